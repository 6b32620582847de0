"""The whole path on real photographs with a real pretrained backbone, where they are at hand."""

import numpy as np
import pytest

from darac_tf.data import load_dataset
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.sources import load_sources
from darac_tf.engines import as_engine
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.task import labelled_task
from darac_tf.export import export_saved_model
from darac_tf.models import build_descriptor
from tests.export.test_saved_model import SERVE

WEIGHTS = "weights/efficientnet_lite2_imagenet_notop.keras"


@pytest.mark.slow
def test_regions_beat_the_global_average_on_buildings(shared_data):
    backbone = shared_data / WEIGHTS
    images = load_dataset("csv", shared_data / "images" / "buildings")
    sources = load_sources([f"{backbone}+{pooling}" for pooling in ("spoc", "rmac", "ramac")])
    rows = evaluate(sources, labelled_task(images), Settings())
    score = {r.result.descriptor.rpartition("+")[2]: r.result.scores["mAP (plain)"] for r in rows}
    # 0.705 was measured elsewhere for the global average of images squashed to 260 x 260.
    assert score["spoc"] > 0.69
    assert score["rmac"] > score["spoc"] and score["ramac"] > score["spoc"]


@pytest.mark.slow
def test_the_export_gives_the_evaluations_vectors(shared_data, run_command, tmp_path):
    model = build_descriptor(str(shared_data / WEIGHTS))
    paths = load_dataset("csv", shared_data / "images" / "buildings").paths[:12]
    resolutions = (299, 540)
    engine = as_engine(lambda x: {"d": model(x, training=False)})
    expected = extract_features(engine, paths, resolutions, progress=False).vectors("d")
    export_saved_model(model, tmp_path / "1", resolutions)
    words = ["-c", SERVE, tmp_path, ",".join(map(str, paths)), tmp_path / "1"]
    status, _, last = run_command(*words, folder=tmp_path, bare=True)
    assert status == 0, last
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), expected[:], atol=1e-5)
    assert engine.traces == 1
