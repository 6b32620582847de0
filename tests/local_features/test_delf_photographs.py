"""The whole system on real photographs with a real pretrained backbone, where they are at hand."""

import numpy as np
import pytest

from darac_tf.data import load_dataset
from darac_tf.evaluation.task import labelled_task
from darac_tf.local_features.extraction import ExtractionSettings, LocalExtractor, fit_local_pca
from darac_tf.local_features.matching import rank_by_inliers
from darac_tf.local_features.store import write_features
from darac_tf.models import build_backbone
from darac_tf.training.config import TrainConfig
from darac_tf.training.local_features import train_attention

WEIGHTS = "weights/efficientnet_lite2_imagenet_notop.keras"


@pytest.mark.slow
def test_inliers_find_buildings_again(shared_data, tmp_path):
    network, preprocessing = build_backbone(str(shared_data / WEIGHTS))
    images = load_dataset("csv", shared_data / "images" / "buildings")
    training, tested = images.split("train"), images.split("test")
    twice = np.flatnonzero(np.bincount(tested.labels) >= 2)
    tested = tested.select(np.isin(tested.labels, twice) & (np.arange(len(tested)) < 22))
    settings = TrainConfig(
        image_size=224,
        steps=20,
        warmup_steps=0,
        classes_per_batch=8,
        images_per_class=2,
        head_learning_rate=1e-3,
    )
    model, losses = train_attention(network, preprocessing, training, settings, progress=False)
    assert losses[-5:].mean() < losses[:5].mean()
    sizes = ExtractionSettings(max_side=400)
    sample = LocalExtractor(model, training.paths[:8], None, sizes, progress=False)
    pca = fit_local_pca(sample)
    extractor = LocalExtractor(model, tested.paths, pca, sizes, progress=False)
    store = write_features(tmp_path / "store", extractor, extractor.dim)
    task = labelled_task(tested)
    queries = [store[place] for place in task.queries]
    rows, _ = rank_by_inliers(queries, store, task.exclude, progress=False)
    rng = np.random.default_rng(0)
    shuffled = [rng.permuted(rows, axis=1) for _ in range(20)]
    random = np.mean([task.score(order).means["mAP (plain)"] for order in shuffled])
    assert task.score(rows).means["mAP (plain)"] > random + 0.3
