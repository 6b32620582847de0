"""Feature files: what is written is read back, damage is refused; scores are eval's own."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.labelled import read_folder
from darac_tf.data.views import ImageList
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_file import FeatureFile, load_feature_file
from darac_tf.describing.sizes import LongSide
from darac_tf.describing.sources import load_sources
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.task import labelled_task
from darac_tf.evaluation.whitening_source import FittingImages, WhiteningSource
from darac_tf.ranking.rank import RankingSettings
from tests.helpers import write_backbone, write_collection

SIZES = ((LongSide(32),),)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("features"), 4, 3))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    rng = np.random.default_rng(5)
    folder = write_collection(tmp_path_factory.mktemp("others"), 3, 6)
    for path in folder.rglob("*.jpg"):  # other bytes than those of `images`
        path.write_bytes(path.read_bytes() + rng.bytes(8))
    return read_folder(folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    backbone = write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")
    return load_sources([f"{backbone}+gem"])[0]


@pytest.fixture(scope="module")
def vectors(images, others, source):
    """Dictionary of path to descriptor."""
    paths = np.array([*images.paths, *others.paths])
    features = extract_features(source.describe, paths, [32], progress=False)
    return dict(zip(paths, features[32][source.names[0]], strict=True))


def made(vectors, paths, **changes):
    arrays = {
        "paths": np.asarray(paths),
        "vectors": np.stack([vectors[path] for path in paths]),
        "valid": np.ones(len(paths), bool),
        "keys": keys_of_images(paths),
        "provenance": {"made_by": "a test", "resolutions": ["32"]},
    }
    return FeatureFile(**{**arrays, **changes})


def test_written_and_read(images, vectors, tmp_path):
    file = made(vectors, images.paths)
    file.save(tmp_path / "a.npz")
    again = load_feature_file(tmp_path / "a.npz")
    for field in dataclasses.fields(FeatureFile)[:-1]:
        np.testing.assert_array_equal(getattr(again, field.name), getattr(file, field.name))
    assert again.name == str(tmp_path / "a.npz")


def test_the_same_scores_as_computed_descriptors(images, others, source, vectors, tmp_path):
    task = labelled_task(images)
    settings = Settings(
        SIZES,
        whitening=WhiteningSource(FittingImages.of(others), dim=5),
        ranking=RankingSettings(expansion="alpha", expansion_n=2),
    )
    made(vectors, [*images.paths, *others.paths]).save(tmp_path / "a.npz")
    own = list(evaluate([source], task, settings))
    read = list(evaluate([load_feature_file(tmp_path / "a.npz")], task, settings))
    assert len(own) == len(read) == 2
    for mine, theirs in zip(own, read, strict=True):
        np.testing.assert_array_equal(mine.rankings.rows, theirs.rankings.rows)
        assert mine.result.scores == theirs.result.scores
        assert mine.result.resolutions == theirs.result.resolutions
        assert mine.result.dimension == theirs.result.dimension
        assert mine.result.whitening == theirs.result.whitening
        assert theirs.result.notes == (f"Vectors of {tmp_path / 'a.npz'} were made by a test.",)


def test_images_are_found_by_content(images, vectors, tmp_path):
    shutil.copytree(images.paths[0].rsplit("/", 2)[0], tmp_path / "moved")
    moved = read_folder(tmp_path / "moved")
    order = np.random.default_rng(0).permutation(len(images))
    file = made(vectors, images.paths[order])
    assert file.rows_of(moved.image_list()).tolist() == np.argsort(order).tolist()
    changed = tmp_path / "moved" / "class_1" / "0.jpg"
    changed.write_bytes(changed.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"no vector of .*class_1/0\.jpg \(1 of 12 images"):
        list(evaluate([file], labelled_task(moved), Settings(SIZES)))


def test_images_that_could_not_be_decoded(images, vectors):
    valid = np.ones(len(images), bool)
    valid[[2, 5]] = False
    file, task = made(vectors, images.paths, valid=valid), labelled_task(images)
    with pytest.raises(UserError, match=r"class_0/2\.jpg.*--skip_bad_images"):
        list(evaluate([file], task, Settings(SIZES)))
    (row,) = evaluate([file], task, Settings(SIZES, skip_bad=True))
    assert [image["path"] for image in row.result.skipped] == list(images.paths[[2, 5]])
    assert set(row.rankings.rows[0, -2:]) == {2, 5} and row.result.per_query[2]["ap"] == 0
    none = dataclasses.replace(file, valid=np.zeros(len(images), bool))
    with pytest.raises(UserError, match="12 of 12 images have no vector"):
        list(evaluate([none], task, Settings(SIZES, skip_bad=True)))


def test_images_that_are_gone_have_the_content_of_no_other(images, vectors, tmp_path):
    shutil.copytree(images.paths[0].rsplit("/", 2)[0], tmp_path / "emptied")
    emptied = read_folder(tmp_path / "emptied")
    file = made(vectors, images.paths)
    for row in (2, 5):
        Path(emptied.paths[row]).write_bytes(b"")
    (row,) = evaluate([file], labelled_task(emptied), Settings(SIZES, skip_bad=True))
    assert [image["path"] for image in row.result.skipped] == list(emptied.paths[[2, 5]])
    assert not [note for note in row.result.notes if "have the content" in note]


def test_boxes_and_turns_are_refused(images, vectors):
    file, task = made(vectors, images.paths), labelled_task(images)
    boxes = np.full((len(images), 4), np.nan)
    boxes[3] = 0, 0, 10, 10
    turns = np.zeros(len(images), np.int64)
    whole = ImageList(images.paths, np.full((len(images), 4), np.nan), turns)
    assert len(list(evaluate([file], dataclasses.replace(task, images=whole), Settings())))
    for wrong in (ImageList(images.paths, boxes), ImageList(images.paths, None, turns + 1)):
        with pytest.raises(UserError, match="--nocrop_queries, and no --orientation=list"):
            list(evaluate([file], dataclasses.replace(task, images=wrong), Settings()))


def test_a_whitening_is_not_tested_on_its_own_images(images, vectors):
    settings = Settings(SIZES, whitening=WhiteningSource(FittingImages.of(images), dim=3))
    with pytest.raises(UserError, match="--allow_whiten_on_test"):
        list(evaluate([made(vectors, images.paths)], labelled_task(images), settings))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("vectors", lambda x: x.astype(np.float64)),
        ("vectors", lambda x: x[:-1]),
        ("vectors", lambda x: x[:, :0]),
        ("vectors", lambda x: np.where(np.arange(len(x))[:, None] == 1, np.nan, x)),
        ("valid", lambda x: x.astype(np.uint8)),
        ("keys", lambda x: x[:, :1]),
        ("paths", lambda x: x.astype("S")),
        ("provenance", lambda x: np.array("[]")),
        ("provenance", lambda x: np.array("{")),
        ("paths", lambda x: x.astype(object)),  # pickled
    ],
)
def test_damage_is_refused(images, vectors, tmp_path, name, change):
    made(vectors, images.paths).save(tmp_path / "a.npz")
    arrays = dict(np.load(tmp_path / "a.npz"))
    arrays[name] = np.asarray(change(arrays[name]), *([np.float32] if name == "x" else []))
    if arrays[name].dtype == np.float64 and name == "vectors" and np.isnan(arrays[name]).any():
        arrays[name] = arrays[name].astype(np.float32)
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(UserError, match=r"b\.npz is no feature file"):
        load_feature_file(tmp_path / "b.npz")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name in ("text.npz", "other.npz"):
        with pytest.raises(UserError, match="is no feature file"):
            load_feature_file(tmp_path / name)
    with pytest.raises(UserError, match="can't read the features"):
        load_feature_file(tmp_path / "none.npz")
