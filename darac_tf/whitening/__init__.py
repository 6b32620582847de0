"""Whitening of descriptors: learning it, keeping it in a file, and where it may be tested."""

from darac_tf.whitening.covariance import parse_shrinkage
from darac_tf.whitening.files import PUBLISHED, Whitening, check_not_test_set, load_whitening
from darac_tf.whitening.learned import fit_learned_whitening, matching_pairs
from darac_tf.whitening.pca import fit_pca_whitening

__all__ = [
    "PUBLISHED",
    "Whitening",
    "check_not_test_set",
    "fit_learned_whitening",
    "fit_pca_whitening",
    "load_whitening",
    "matching_pairs",
    "parse_shrinkage",
]
