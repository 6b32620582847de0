"""DELF: attentive local features, matched and verified by geometry.

Noh, Araujo, Sim, Weyand and Han, Large-scale image retrieval with attentive deep local features,
ICCV 2017 (arXiv 1612.06321).

    model = load_delf("runs/delf")                  # train.py --matching=local trains it
    pca = load_whitening("runs/delf/pca.npz")
    extractor = LocalExtractor(model, images, pca)  # `ImageList`: boxes are respected
    store = write_features(folder, extractor, extractor.dim)  # FeatureStore(folder) reads it
    queries = [store[place] for place in task.queries]
    rows, inliers = rerank_by_inliers(rows, queries, store)   # of any descriptor's first 100
    rows, inliers = rank_by_inliers(queries, store)           # or of all
"""

from darac_tf.local_features.extraction import ExtractionSettings, LocalExtractor, fit_local_pca
from darac_tf.local_features.matching import (
    MatchSettings,
    match,
    rank_by_inliers,
    rerank_by_inliers,
)
from darac_tf.local_features.model import build_delf, load_delf, save_delf
from darac_tf.local_features.store import FeatureStore, LocalFeatures, write_features

__all__ = [
    "ExtractionSettings",
    "FeatureStore",
    "LocalExtractor",
    "LocalFeatures",
    "MatchSettings",
    "build_delf",
    "fit_local_pca",
    "load_delf",
    "match",
    "rank_by_inliers",
    "rerank_by_inliers",
    "save_delf",
    "write_features",
]
