"""Whitening of descriptors: learning it, keeping it in a file, and where it may be tested."""

from darac_tf.evaluation.whitening.files import Whitening, load_whitening
from darac_tf.evaluation.whitening.guard import check_not_test_set
from darac_tf.evaluation.whitening.image_keys import keys_of_images
from darac_tf.evaluation.whitening.learned import fit_learned_whitening
from darac_tf.evaluation.whitening.pairs import matching_pairs
from darac_tf.evaluation.whitening.pca import fit_pca_whitening
from darac_tf.evaluation.whitening.shrinkage import parse_shrinkage

__all__ = [
    "Whitening",
    "check_not_test_set",
    "fit_learned_whitening",
    "fit_pca_whitening",
    "keys_of_images",
    "load_whitening",
    "matching_pairs",
    "parse_shrinkage",
]
