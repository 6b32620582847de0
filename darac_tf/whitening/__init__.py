"""Whitening of descriptors: learning it, keeping it in a file, and where it may be tested."""

from darac_tf.whitening.files import Whitening, load_whitening
from darac_tf.whitening.guard import check_not_test_set
from darac_tf.whitening.learned import fit_learned_whitening
from darac_tf.whitening.pairs import matching_pairs
from darac_tf.whitening.pca import fit_pca_whitening
from darac_tf.whitening.shrinkage import parse_shrinkage

__all__ = [
    "Whitening",
    "check_not_test_set",
    "fit_learned_whitening",
    "fit_pca_whitening",
    "load_whitening",
    "matching_pairs",
    "parse_shrinkage",
]
