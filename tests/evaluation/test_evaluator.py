"""The evaluator: its rows, its rankings, its whitening, against direct computation."""

import numpy as np
import pytest

from darac_tf.data.labelled import read_folder
from darac_tf.errors import UserError
from darac_tf.evaluation.combine import combine_resolutions, whiten
from darac_tf.evaluation.evaluator import Protocol, evaluate, ranking_rows
from darac_tf.evaluation.labelled import leave_one_out, query_split
from darac_tf.evaluation.metrics import plain_average_precision
from darac_tf.evaluation.sources import load_sources
from darac_tf.evaluation.whitening import Whitening
from tests.helpers import write_backbone, write_collection


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("eval"), 5, 4))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")


def test_a_row_for_each_descriptor_resolution_and_whitening(images, backbone):
    sources = load_sources([f"{backbone}+{p}" for p in ("spoc", "darac")])
    assert len(sources) == 1
    settings = ((32,), (32, 48))
    protocol = Protocol(images, resolutions=settings, whiten_images=images, whiten_dim=4)
    rows = list(evaluate(sources, protocol))
    assert len(rows) == 8
    assert {(r.result.dimension, r.result.whitening is None) for r in rows} == {
        (16, True),
        (4, False),
    }
    for row in rows:
        aps = [query["ap"] for query in row.result.per_query]
        assert row.result.scores["mAP (plain)"] == pytest.approx(np.mean(aps))
        assert len(aps) == 20 and row.result.database_size == 19
    assert rows[0].result.scores["mAP (plain)"] > 0.5
    drawn = ranking_rows(rows[0], images, [3], ranks=2)
    assert drawn[0][0] == images.paths[3] and len(drawn[0][2]) == 2


def test_protocols_against_the_metric_query_by_query():
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    vectors = rng.normal(size=(8, 5)).astype(np.float32)
    everyone = leave_one_out(vectors, labels)
    for query in range(8):
        order = [i for i in np.argsort(-vectors @ vectors[query], kind="stable") if i != query]
        np.testing.assert_array_equal(everyone.rankings[query], order)
        positives = [i for i in range(8) if i != query and labels[i] == labels[query]]
        expected = plain_average_precision(order, positives)
        assert everyone.scores["ap"][query] == pytest.approx(expected)
    is_query = np.array([1, 0, 0, 1, 0, 0, 0, 1], bool)
    split = query_split(vectors, labels, is_query)
    for row, query in enumerate([0, 3, 7]):
        rest = np.flatnonzero(~is_query)
        order = rest[np.argsort(-vectors[rest] @ vectors[query], kind="stable")]
        np.testing.assert_array_equal(split.rankings[row], order)


def test_no_positives_at_all():
    with pytest.raises(UserError, match="none of the 3 queries has a positive"):
        leave_one_out(np.eye(3, dtype=np.float32), np.arange(3))


def test_combining_and_whitening():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 4)).astype(np.float32)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]
    total = sum(unit)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(combine_resolutions([a, b]), expected, atol=1e-6)
    np.testing.assert_allclose(combine_resolutions([a]), unit[0], atol=1e-6)
    whitening = Whitening(a.mean(0), rng.normal(size=(3, 4)), np.ones(3), {})
    projected = (a - a.mean(0)) @ whitening.projection.T
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    np.testing.assert_allclose(whiten(a, whitening), projected, atol=1e-5)


def test_sources(backbone):
    weights = ("MobileNetV3Small+gem", "none")
    (source,) = load_sources([weights[0]], weights[1])
    vectors = source.describe(np.zeros((1, 32, 32, 3), np.float32))
    assert list(vectors) == [weights[0]] and vectors[weights[0]].shape == (1, 576)
    with pytest.raises(UserError, match="pooling 'sum'"):
        load_sources([f"{backbone}+sum"])
    with pytest.raises(UserError, match="neither a run directory"):
        load_sources(["nowhere"])
    with pytest.raises(UserError, match="twice"):
        load_sources([f"{backbone}+mac", f"{backbone}+mac"])
