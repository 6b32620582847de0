"""The training sets of the papers: lists of images, checks, and preparation for fast reading."""

from darac_tf.data.training_sets.check import check_training_set
from darac_tf.data.training_sets.preparation import prepare
from darac_tf.data.training_sets.prepared import PreparedImages, read_prepared
from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.data.training_sets.readers import load_training_set, read_for_preparation

__all__ = [
    "TRAINING_SETS",
    "PreparedImages",
    "check_training_set",
    "load_training_set",
    "prepare",
    "read_for_preparation",
    "read_prepared",
]
