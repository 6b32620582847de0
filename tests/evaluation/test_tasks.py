"""Tasks of labelled collections and of every benchmark, from files to scores."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data import load_benchmark
from darac_tf.data.labelled import LabelledImages
from darac_tf.data.views import ImageList
from darac_tf.describing.combination import Vectors
from darac_tf.describing.sizes import LongSide
from darac_tf.describing.sources import Source
from darac_tf.engines import as_engine
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.task import benchmark_task, labelled_task
from darac_tf.metrics import plain_average_precision
from darac_tf.ranking.rank import RankingSettings, rank
from tests.data.benchmarks import synthetic


def mean_colour(pixels):
    """A descriptor that sees colours only."""
    centred = tf.reduce_mean(pixels, axis=(1, 2)) - 100.0
    return {"colour": tf.math.l2_normalize(centred, axis=-1)}


COLOUR = Source(("colour",), as_engine(mean_colour), {})  # traced once for all tests
RPARIS = "mP@1 (revisited, Easy)"
SETTINGS = Settings(((LongSide(32),),))


def measured(kind, folder, distractors=(), **options):
    task = benchmark_task(load_benchmark(kind, folder, **options), distractors)
    (row,) = evaluate([COLOUR], task, SETTINGS)
    return row


@pytest.mark.parametrize(
    ("kind", "write", "metric", "options"),
    [
        ("oxford5k", synthetic.write_oxford, "mAP (Oxford)", {}),
        ("paris6k", lambda f: synthetic.write_oxford(f, paris=True), "mAP (Oxford)", {}),
        ("oxford5k", lambda f: synthetic.write_oxford(f, "text"), "mAP (Oxford)", {}),
        ("roxford5k", synthetic.write_revisited, "mAP (revisited, Medium)", {}),
        ("rparis6k", lambda f: synthetic.write_revisited(f, "mat", True), RPARIS, {}),
        ("holidays", synthetic.write_holidays, "mAP (Holidays)", {"orientation": "upright"}),
        ("gpr1200", synthetic.write_gpr1200, "mAP (GPR1200)", {}),
    ],
)  # fmt: skip
def test_every_protocol_from_files_to_scores(kind, write, metric, options, tmp_path):
    row = measured(kind, write(tmp_path / kind), **options)
    # The sets are made so that a mean colour finds all that is right first.
    assert row.result.scores[metric] == pytest.approx(1.0)
    assert len(row.result.per_query) == len(row.task.queries)
    assert row.task.protocol == row.result.protocol


@pytest.mark.parametrize("kind", ["oxford5k", "roxford5k"])
def test_the_box_of_a_query_matters(kind, tmp_path):
    write = synthetic.write_oxford if kind == "oxford5k" else synthetic.write_revisited
    folder = write(tmp_path / kind)
    metric = "mAP (Oxford)" if kind == "oxford5k" else "mAP (revisited, Medium)"
    assert measured(kind, folder).result.scores[metric] == pytest.approx(1.0)
    assert measured(kind, folder, crop_queries=False).result.scores[metric] < 0.8


def test_the_orientation_is_said_in_the_report(tmp_path):
    folder = synthetic.write_holidays(tmp_path / "holidays")
    notes = {
        orientation: measured("holidays", folder, orientation=orientation).result.notes
        for orientation in ("stored", "upright")
    }
    assert notes["stored"] != notes["upright"] and all(notes.values())


@pytest.mark.parametrize(("kind", "found"), [("oxford5k", "Oxford"), ("holidays", "Holidays")])
def test_distractors_stay_behind_what_is_right(kind, found, tmp_path):
    write = synthetic.write_oxford if kind == "oxford5k" else synthetic.write_holidays
    folder = write(tmp_path / kind)
    grey = tmp_path / "grey.png"
    tf.io.write_file(str(grey), tf.io.encode_png(tf.fill([20, 20, 3], tf.constant(90, tf.uint8))))
    row = measured(kind, folder, [str(grey)] * 3)
    assert row.result.scores[f"mAP ({found})"] == pytest.approx(1.0)
    assert row.result.database_size == len(row.task.images) - np.count_nonzero(
        row.task.queries >= row.task.n_database
    )
    assert row.task.verdicts(0, [row.task.n_database - 1]) == [False]


def test_a_whole_query_in_the_database_is_described_once(tmp_path):
    holidays = load_benchmark("holidays", synthetic.write_holidays(tmp_path / "h"))
    task = benchmark_task(holidays)
    assert len(task.images) == len(holidays.database)
    np.testing.assert_array_equal(task.queries, holidays.own_rows)
    assert [task.n_positives(q) for q in range(2)] == [2, 1]
    # Turned otherwise than in the database, it is another image.
    is_turned = (np.arange(len(task.queries)) == 1).astype(np.int64)
    turned = replace(
        holidays, queries=ImageList(holidays.queries.paths, turns=is_turned, upright=False)
    )
    queries = benchmark_task(turned).queries
    np.testing.assert_array_equal(np.flatnonzero(queries >= len(holidays.database)), [1])
    oxford = benchmark_task(load_benchmark("oxford5k", synthetic.write_oxford(tmp_path / "o")))
    assert len(oxford.images) == oxford.n_database + len(oxford.queries)
    assert oxford.n_positives(0) == 6  # itself, 3 good and 2 ok
    gpr = benchmark_task(load_benchmark("gpr1200", synthetic.write_gpr1200(tmp_path / "g")))
    assert gpr.n_positives(0) == 4  # with itself


def labelled(labels, splits=None):
    labels = np.array(labels)
    splits = np.array([""] * len(labels) if splits is None else splits)
    paths = np.array([f"{i}.jpg" for i in range(len(labels))])
    return LabelledImages("set", paths, labels, tuple(map(str, np.unique(labels))), splits)


def test_labelled_rankings_query_by_query():
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    vectors = rng.normal(size=(8, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    task = labelled_task(labelled(labels))
    found = rank(Vectors([vectors]), task, RankingSettings(), np.ones(8, bool))
    scores = task.score(found.rows)
    for query in range(8):
        order = [i for i in np.argsort(-vectors @ vectors[query], kind="stable") if i != query]
        np.testing.assert_array_equal(found.rows[query], order)
        positives = [i for i in range(8) if i != query and labels[i] == labels[query]]
        expected = plain_average_precision(order, positives)
        assert scores.per_query["ap"][query] == pytest.approx(expected)
        assert task.n_positives(query) == len(positives)


def test_a_query_split_is_searched_for_among_the_rest():
    rng = np.random.default_rng(1)
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    splits = np.where([1, 0, 0, 1, 0, 0, 0, 1], "query", "rest")
    task = labelled_task(labelled(labels, splits), "query")
    assert task.n_database == 5 and task.exclude is None
    vectors = rng.normal(size=(8, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = rank(Vectors([vectors]), task, RankingSettings(), np.ones(8, bool))
    for row, place in enumerate(task.queries):
        order = np.argsort(-vectors[:5] @ vectors[place], kind="stable")
        np.testing.assert_array_equal(found.rows[row], order)
    assert [str(task.images.paths[place]) for place in task.queries] == ["0.jpg", "3.jpg", "7.jpg"]
    assert [task.n_positives(q) for q in range(3)] == [2, 1, 2]


def test_no_positives_at_all():
    task = labelled_task(labelled([0, 1, 2]))
    found = rank(Vectors([np.eye(3, dtype=np.float32)]), task, RankingSettings(), np.ones(3, bool))
    with pytest.raises(UserError, match="none of the 3 queries has a positive"):
        task.score(found.rows)


@pytest.mark.parametrize("top_k", [None, 3])
def test_an_approximate_search_says_what_it_finds(top_k):
    pytest.importorskip("faiss")
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(8, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    task, usable = labelled_task(labelled([0, 0, 0, 1, 1, 2, 2, 2])), np.ones(8, bool)
    settings = RankingSettings(top_k=top_k, faiss_index="Flat")
    found = rank(Vectors([vectors]), task, settings, usable)
    exact = rank(Vectors([vectors]), task, RankingSettings(top_k=top_k), usable)
    np.testing.assert_array_equal(found.rows, exact.rows)
    assert "finds 100.00 % of the exact" in found.notes[0]
