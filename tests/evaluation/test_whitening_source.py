"""What a whitening is fitted on: images and pairs, of labelled collections and of benchmarks."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data import load_benchmark
from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.labelled import LabelledImages
from darac_tf.describing.combination import Vectors
from darac_tf.describing.sizes import LongSide
from darac_tf.describing.sources import Source
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.task import benchmark_task
from darac_tf.evaluation.whitening_source import FittingImages, WhiteningSource
from darac_tf.rows import unit_rows
from tests.data.benchmarks import synthetic

WRITERS = {
    "oxford5k": synthetic.write_oxford,
    "roxford5k": synthetic.write_revisited,
    "holidays": synthetic.write_holidays,
    "gpr1200": synthetic.write_gpr1200,
}


def _loop_pairs(benchmark):
    """Paths and boxes of every (query, positive)."""
    result = set()
    for query in range(len(benchmark.queries)):
        box = benchmark.queries.box_of(query)
        for name, rows in benchmark.relevance.items():
            for row in rows[query] if name != "junk" else ():
                if benchmark.own_rows is not None and row == benchmark.own_rows[query]:
                    continue
                own = None if box is None else tuple(box)
                result.add((benchmark.queries.paths[query], own, benchmark.database.paths[row]))
    return result


@pytest.mark.parametrize("kind", WRITERS)
def test_pairs_of_a_benchmark_are_its_queries_and_positives(kind, tmp_path):
    benchmark = load_benchmark(kind, WRITERS[kind](tmp_path / kind))
    fitting = FittingImages.of(benchmark, "learned")
    first, second = fitting.pairs_among(np.arange(len(fitting.images)), 10**6, 0)
    found = [
        (
            fitting.images.paths[i],
            None if fitting.images.box_of(i) is None else tuple(fitting.images.box_of(i)),
            fitting.images.paths[j],
        )
        for i, j in zip(first, second, strict=True)
    ]
    assert set(found) == _loop_pairs(benchmark) and len(found) == len(set(found)) > 3
    assert all(fitting.images.box_of(j) is None for j in second)


@pytest.mark.parametrize("side", [0, 1], ids=["query", "positive"])
def test_pairs_are_among_the_images_that_could_be_read(side, tmp_path):
    fitting = FittingImages.of(
        load_benchmark("oxford5k", synthetic.write_oxford(tmp_path)), "learned"
    )
    everything = np.arange(len(fitting.images))
    lost = int(fitting.pairs[side][0])
    rows = np.delete(everything, lost)
    first, second = fitting.pairs_among(rows, 10**6, 0)
    kept = (fitting.pairs[0] != lost) & (fitting.pairs[1] != lost)
    np.testing.assert_array_equal(rows[first], fitting.pairs[0][kept])
    np.testing.assert_array_equal(rows[second], fitting.pairs[1][kept])
    few = fitting.pairs_among(everything, 5, seed=3)
    all_pairs = set(zip(*map(np.ndarray.tolist, fitting.pairs), strict=True))
    assert len(few[0]) == 5 and set(zip(*map(np.ndarray.tolist, few), strict=True)) <= all_pairs
    with pytest.raises(UserError, match="no query has a positive"):
        fitting.pairs_among(everything[:0], 5, 0)


def test_keys_are_those_of_the_images_that_could_be_read(tmp_path):
    paths = np.array([str(tmp_path / f"{i}.jpg") for i in range(6)])
    for path in paths:
        Path(path).write_text(path, encoding="utf-8")
    images = LabelledImages.from_rows("six", [(path, "one", "") for path in paths])
    vectors = unit_rows(np.random.default_rng(0).normal(size=(6, 3)))
    usable = np.array([False, True, True, False, True, True])
    described = SimpleNamespace(vectors=Vectors([vectors]), usable=usable, name="d", sizes=("32",))
    whitening = WhiteningSource(FittingImages.of(images), dim=2).fit(described)
    expected = np.unique(keys_of_images(paths[usable]), axis=0)
    np.testing.assert_array_equal(whitening.image_keys, expected)
    np.testing.assert_allclose(whitening.mean, vectors[usable].mean(axis=0), atol=1e-6)


def test_pca_takes_the_database_of_a_benchmark(tmp_path):
    benchmark = load_benchmark("roxford5k", synthetic.write_revisited(tmp_path))
    assert FittingImages.of(benchmark).images is benchmark.database


def test_labelled_images_match_within_a_class():
    rows = [(f"{i}.jpg", "ab"[i % 2], "") for i in range(6)]
    fitting = FittingImages.of(LabelledImages.from_rows("six", rows))
    kept = np.array([0, 1, 2, 5])
    first, second = fitting.pairs_among(kept, 100, 0)
    pairs = {frozenset(kept[[i, j]].tolist()) for i, j in zip(first, second, strict=True)}
    assert pairs == {frozenset({0, 2}), frozenset({1, 5})}


def test_learned_whitening_of_one_benchmark_is_measured_on_another(tmp_path):
    def colours(pixels):
        means = tf.reduce_mean(pixels, axis=(1, 2)) - 100.0
        spread = tf.math.reduce_std(pixels, axis=(1, 2))
        return {"colours": tf.math.l2_normalize(tf.concat([means, spread], 1), axis=-1)}

    paris = load_benchmark("paris6k", synthetic.write_oxford(tmp_path / "paris", paris=True))
    oxford = load_benchmark("oxford5k", synthetic.write_oxford(tmp_path / "oxford"))
    whitening = WhiteningSource(
        FittingImages.of(oxford, "learned"), kind="learned", shrinkage=0.01, allow_on_test=True
    )
    settings = Settings(((LongSide(32),),), whitening=whitening)
    source = Source(("colours",), colours, {})
    _, whitened = evaluate([source], benchmark_task(paris), settings)
    assert whitened.result.whitening == "Lw on Oxford5k"
    facts = whitened.whitening.provenance
    # 3 queries, each with 3 good and 2 ok images besides itself.
    assert facts["pairs"] == 15 and facts["samples"] == len(
        FittingImages.of(oxford, "learned").images
    )
    assert whitened.result.scores["mAP (Oxford)"] > 0.9


def _labelled(sizes, pairs=None):
    labels = np.random.default_rng(3).permutation(np.repeat(np.arange(len(sizes)), sizes))
    paths = np.array([f"{place}.jpg" for place in range(len(labels))])
    names = tuple(map(str, range(len(sizes))))
    return LabelledImages("set", paths, labels, names, np.full(len(labels), ""), pairs)


def test_some_images_are_a_share_of_each_class():
    sizes = np.array([400, 100, 60, 40])
    whole = FittingImages.of(_labelled(sizes))
    some = whole.some(150, seed=1)
    assert some.name == "set (150 of 600 images)" and len(set(some.images.paths)) == 150
    assert np.abs(np.bincount(some.labels) - sizes / 4).max() <= 2
    labels = dict(zip(whole.images.paths, whole.labels, strict=True))
    assert [labels[path] for path in some.images.paths] == some.labels.tolist()
    again, other = whole.some(150, seed=1), whole.some(150, seed=2)
    assert (again.images.paths == some.images.paths).all()
    assert (other.images.paths != some.images.paths).any()
    assert whole.some(None, 0) is whole and whole.some(600, 0) is whole
    # Of many small classes, those that are there have a pair each.
    first, _ = (
        FittingImages.of(_labelled([4] * 100)).some(60, 0).pairs_among(np.arange(60), 10**6, 0)
    )
    assert len(first) >= 15


def test_some_images_of_listed_pairs_are_those_of_pairs():
    pairs = np.arange(200).reshape(100, 2)[:, ::-1]
    whole = FittingImages.of(_labelled([300], pairs), "learned")
    some = whole.some(40, seed=0)
    first, second = some.pairs_among(np.arange(len(some.images)), 10**6, 0)
    named = {
        (some.images.paths[i], some.images.paths[j]) for i, j in zip(first, second, strict=True)
    }
    assert len(named) == 20 and len(some.images) == 40
    assert named <= {(f"{i}.jpg", f"{j}.jpg") for i, j in pairs}
    assert FittingImages.of(_labelled([300], pairs)).pairs is None  # PCA wants images only.
