"""Local features from a training run to rows of a table, alone and as a re-ranker."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.labelled import LabelledImages, read_csv
from darac_tf.data.views import ImageList
from darac_tf.describing.sizes import LongSide, parse_sizes
from darac_tf.describing.sources import Source
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.local import InlierReranker, LocalSource, load_local
from darac_tf.evaluation.options import measure
from darac_tf.evaluation.task import labelled_task
from darac_tf.local_features.extraction import ExtractionSettings, LocalExtractor, fit_local_pca
from darac_tf.training.config import TrainConfig
from darac_tf.training.local_features import train_local_features
from tests.helpers import write_backbone, write_collection
from tests.local_features.local_helpers import patch_model, save, texture

SIZES = parse_sizes("0.5..1")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three scenes, each seen twice: as it is, and moved a little."""
    folder, rows = tmp_path_factory.mktemp("scenes"), []
    for scene in range(3):
        picture = texture(seed=scene)
        for view, moved in enumerate((picture, np.roll(picture, (5, 9), (0, 1))[:, 16:])):
            path = save(folder / f"{scene}_{view}.png", moved)
            rows.append((path, f"scene {scene}", ""))
    return LabelledImages.from_rows("scenes", rows)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    return [save(folder / f"{i}.png", texture(seed=10 + i)) for i in range(3)]


@pytest.fixture(scope="module")
def source(other):
    model = patch_model()
    pca = fit_local_pca(LocalExtractor(model, ImageList(np.array(other)), progress=False), dim=24)
    return LocalSource("patches", model, pca, allow_on_test=True)


def test_ranking_by_inliers(images, source, tmp_path):
    settings = Settings((SIZES,), cache_dir=str(tmp_path))
    (row,) = evaluate([source], labelled_task(images), settings)
    assert row.result.scores["mAP (plain)"] == 1.0
    assert row.result.dimension == 24 and row.result.resolutions == ("x0.5", "x0.7071", "x1")
    assert row.rankings.rows.shape == (6, 5)
    assert (np.diff(row.rankings.scores, axis=1) <= 0).all()
    # Kept features: the model is not asked again.
    broken = dataclasses.replace(source, model=source.model)
    (folder,) = tmp_path.iterdir()
    before = (folder / "descriptors.npy").stat().st_mtime_ns
    (again,) = evaluate([broken], labelled_task(images), settings)
    np.testing.assert_array_equal(again.rankings.rows, row.rankings.rows)
    assert (folder / "descriptors.npy").stat().st_mtime_ns == before
    assert len(list(tmp_path.iterdir())) == 1


def test_re_ranking_of_a_global_descriptor(images, source, tmp_path):
    def nothing(pixels):
        """All images look alike, so that the search keeps the order of the database."""
        return {"constant": tf.ones([tf.shape(pixels)[0], 4]) / 2}

    task = labelled_task(images)
    reranker = InlierReranker(source, depth=5)
    settings = Settings(((LongSide(64),),), reranker=reranker, cache_dir=str(tmp_path))
    descriptor = Source(("constant",), nothing, {"constant": ("alike",)})
    (row,) = evaluate([descriptor], task, settings)
    assert row.result.scores["mAP (plain)"] == 1.0
    assert row.result.post_processing == "inliers of local features (first 5)"
    # Scores are inliers where there are none too, whatever the search gave.
    assert (row.rankings.scores == 0).any() and (np.diff(row.rankings.scores, axis=1) <= 0).all()
    shallow = dataclasses.replace(settings, reranker=InlierReranker(source, depth=1))
    (unchanged,) = evaluate([descriptor], task, shallow)
    assert unchanged.result.scores["mAP (plain)"] < 0.8
    # Features are taken at the sizes that it is given.
    halves = ExtractionSettings(scales=parse_sizes("x0.5,x1"))
    (halved,) = evaluate(
        [descriptor],
        task,
        dataclasses.replace(settings, reranker=InlierReranker(source, 5, halves)),
    )
    assert halved.rankings.scores.max() != row.rankings.scores.max()
    assert any("at x0.5,x1." in note for note in halved.rankings.notes)
    # What re-ranks holds nothing of a task: two evaluations may take turns.
    rows = evaluate([descriptor] * 2, task, shallow)
    first, others, second = next(rows), list(evaluate([descriptor], task, shallow)), next(rows)
    for row in (first, *others, second):
        np.testing.assert_array_equal(row.rankings.rows, unchanged.rankings.rows)


def test_re_ranking_refuses_images_that_the_pca_may_be_fitted_on(images, source):
    strict = InlierReranker(dataclasses.replace(source, allow_on_test=False)).of
    with (
        pytest.raises(UserError, match="does not say which images it was fitted on"),
        strict(labelled_task(images), Settings((SIZES,))),
    ):
        pass


def test_kept_features_are_of_one_view_one_pca_and_one_setting(images, source):
    whole, mean, rows = ImageList(images.paths), source.reduction.mean, source.reduction.projection
    others = [
        dataclasses.replace(source, reduction=dataclasses.replace(source.reduction, **change))
        for change in ({"mean": mean + 1}, {"projection": 2 * rows})
    ]
    boxed = ImageList(images.paths, boxes=np.tile([0.0, 0, 40, 40], (6, 1)))
    turned = ImageList(images.paths, turns=np.ones(6, np.int64))
    keys = [each._key(whole, ExtractionSettings()) for each in (source, *others)]
    keys += [source._key(view, ExtractionSettings()) for view in (boxed, turned)]
    keys.append(source._key(whole, ExtractionSettings(max_features=5)))
    assert len(set(keys)) == 6
    assert source._key(whole, ExtractionSettings()) == keys[0]


def test_unreadable_images_and_test_images(images, source, tmp_path):
    bad = save(tmp_path / "bad.png", texture(seed=0))
    content = (tmp_path / "bad.png").read_bytes()
    (tmp_path / "bad.png").write_bytes(content[: len(content) // 2])
    rows = [*images.rows(), (bad, "scene 0", "")]
    task = labelled_task(LabelledImages.from_rows("with a bad one", rows))
    for _ in range(2):  # the second time from the cache
        settings = Settings((SIZES,), skip_bad=True, cache_dir=str(tmp_path / "cache"))
        (row,) = evaluate([source], task, settings)
        assert [image["path"] for image in row.result.skipped] == [bad]
        assert (row.rankings.rows[:-1, -1] == 6).sum() >= 3
    with pytest.raises(UserError, match=r"bad\.png"):
        list(evaluate([source], task, Settings((SIZES,))))
    with pytest.raises(UserError, match=r"take factors of the size, as 0\.25\.\.2, .*: 299$"):
        list(evaluate([source], task, Settings(((LongSide(299),),))))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    backbone = write_backbone(folder / "small.keras")
    layer = keras.models.load_model(backbone).layers[-1].name
    config = TrainConfig(
        dataset="folder",
        data_dir=str(write_collection(folder / "photos", classes=6, images=4)),
        val_classes=3,
        backbone=backbone,
        layer=layer,
        matching="local",
        loss="softmax",
        local_dim=8,
        image_size=32,
        classes_per_batch=3,
        images_per_class=2,
        steps=4,
        warmup_steps=1,
    )
    result = train_local_features(config, folder / "run")
    assert result.steps == 4 and len(result.losses) == 4 and np.isfinite(result.losses).all()
    return config, folder / "run"


def test_a_run_goes_on_where_it_stopped(run_dir):
    config, folder = run_dir
    pca = (folder / "pca.npz").read_bytes()
    with pytest.raises(UserError, match="holds a run already"):
        train_local_features(config, folder)
    (folder / "pca.npz").unlink()
    model = (folder / "delf.keras").stat().st_mtime_ns
    train_local_features(config, folder, resume=True)
    assert (folder / "delf.keras").stat().st_mtime_ns == model
    reduction = load_local(folder).reduction
    assert reduction.projection.shape == (8, 16) and len(reduction.image_keys) == 12  # all images
    assert len(pca) == len((folder / "pca.npz").read_bytes())


def test_options_of_an_evaluation(run_dir):
    _, folder = run_dir
    held_out = str(folder / "val.csv")
    given = EvalConfig(
        descriptors=[str(folder)],
        matching="local",
        dataset="csv",
        data_dir=held_out,
        resolutions=["1..2"],
        batch_pixels=1000,
    )
    (row,) = measure(given)
    assert 0 < row.result.scores["mAP (plain)"] <= 1
    assert len(row.rankings.rows) == len(read_csv(held_out))
    again = dataclasses.replace(given, matching="global", resolutions=["64"])
    with pytest.raises(UserError, match="--local_resolutions is for --rerank=local"):
        measure(dataclasses.replace(again, local_resolutions="x1"))
    again = dataclasses.replace(again, rerank="local", local_model=str(folder))
    with pytest.raises(UserError, match=r"take factors of the size.*: 299$"):
        measure(dataclasses.replace(again, local_resolutions="x0.5,299"))
    with pytest.raises(UserError, match="--rerank is for --matching=global"):
        measure(dataclasses.replace(given, rerank="k_reciprocal"))
    on_training = dataclasses.replace(given, data_dir=str(folder / "train.csv"))
    with pytest.raises(UserError, match="--allow_whiten_on_test"):
        list(measure(on_training))
    with pytest.raises(UserError, match=r"no such \.keras model"):
        measure(dataclasses.replace(given, descriptors=[str(folder.parent)]))


def test_attention_is_trained_with_softmax():
    with pytest.raises(UserError, match="--loss=nra: the attention of --matching=local"):
        TrainConfig(matching="local")
