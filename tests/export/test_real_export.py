"""Exports of a pretrained network against evaluation, on all real photographs of buildings."""

import numpy as np
import pytest

from darac_tf.data import load_dataset
from darac_tf.export import ExportSettings, export_saved_model
from darac_tf.export.verification import describe_with_export, describe_with_source
from darac_tf.metrics.plain import retrieval_scores
from darac_tf.models import build_descriptor


def mean_ap(vectors, labels):
    """Each image against all others."""
    similarity = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    np.fill_diagonal(similarity, -np.inf)
    rankings = np.argsort(-similarity, axis=1, kind="stable")
    own = np.arange(len(labels))
    return np.nanmean(retrieval_scores(rankings, labels, labels, own)["ap"])


# Of 135 photographs: weights of 8 bits turn single ranks, which cost 0.34 points or less.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "difference", "points"),
    [("float32", 1e-5, 1e-3), ("bfloat16", 0.05, 0.5), ("float16", 0.005, 0.1)],
)
def test_the_export_is_the_evaluation(shared_data, tmp_path, precision, difference, points):
    images = load_dataset("csv", shared_data / "images" / "buildings")
    paths = list(map(str, images.paths))
    model = build_descriptor("EfficientNetLite2")
    settings = ExportSettings((299,), precision=precision)
    expected, usable = describe_with_source(model, settings, paths)
    export_saved_model(model, tmp_path / "1", settings.resolutions, precision=precision)
    found, valid = describe_with_export(tmp_path / "1", paths)
    assert usable.all() and valid.all()
    np.testing.assert_allclose(found, expected, atol=difference)
    cosines = np.sum(found.astype(np.float64) * expected, axis=1)
    scores = [100 * mean_ap(vectors, images.labels) for vectors in (expected, found)]
    print(
        f"{precision}: largest difference {np.abs(found - expected).max():.1e}, smallest cosine "
        f"{cosines.min():.7f}, mAP {scores[0]:.3f} against {scores[1]:.3f}"
    )
    assert abs(scores[0] - scores[1]) < points
