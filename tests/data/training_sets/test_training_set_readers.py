"""Readers of the training sets, and the check, on made-up folders."""

import dataclasses
import hashlib
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from darac_tf.data import check_data
from darac_tf.data.training_sets import TRAINING_SETS, load_training_set, read_for_preparation
from darac_tf.errors import UserError
from tests.helpers import write_image

IDS = {"2": ["abcd1", "xyz45"], "10": ["0a1b2"]}
URLS = ["http://a.org/x.jpg", "https://b.org/a b.png", "http://a.org/y.jpg"]


def write_gldv2(folder):
    lines = ["landmark_id,images", *(f"{n},{' '.join(ids)}" for n, ids in IDS.items())]
    folder.mkdir(parents=True)
    (folder / "train_clean.csv").write_text("\n".join(lines) + "\n")
    for image in (i for ids in IDS.values() for i in ids):
        write_image(folder / "train" / image[0] / image[1] / image[2] / f"{image}.jpg")
    return folder


def write_landmarks(folder):
    folder.mkdir(parents=True)
    train = f"{URLS[0]} eiffel\n{URLS[1]} louvre\n"
    (folder / "annotation_clean_train.txt").write_text(train)
    (folder / "annotation_clean_val.txt").write_text(f"{URLS[2]} eiffel\n")
    for url in URLS:
        write_image(folder / "images" / f"{hashlib.sha1(url.encode()).hexdigest()}.jpg")
    return folder


def write_products(folder):
    header = "image_id class_id super_class_id path\n"
    paths = ["chair_final/1_0.JPG", "chair_final/1_1.JPG", "mug_final/9_0.JPG"]
    folder.mkdir(parents=True)
    train = "".join(f"{i} 1 1 {path}\n" for i, path in enumerate(paths[:2], 1))
    (folder / "Ebay_train.txt").write_text(header + train)
    (folder / "Ebay_test.txt").write_text(header + f"3 11319 8 {paths[2]}\n")
    for path in paths:
        write_image(folder / path)
    return folder


def write_cub(folder):
    """Four classes, in the order of another list."""
    names = [f"{n:03d}.Bird/{n}_{view}.jpg" for n in (1, 2, 3, 4) for view in (0, 1)]
    for name in names:
        write_image(folder / "images" / name)
    lines = [f"{i} {name}\n" for i, name in enumerate(names, 1)]
    (folder / "images.txt").write_text("".join(lines))
    labels = [f"{i} {int(name[:3])}\n" for i, name in reversed(list(enumerate(names, 1)))]
    (folder / "image_class_labels.txt").write_text("".join(labels))
    return folder


def write_cars(folder):
    """Annotations of four classes in MATLAB's form: a struct array of cells."""
    names = [f"car_ims/{i:06d}.jpg" for i in range(1, 9)]
    for name in names:
        write_image(folder / name)
    rows = [(name, np.float64(1), 1 + i % 4, 0) for i, name in enumerate(names)]
    fields = [(n, object) for n in ("relative_im_path", "bbox_x1", "class", "test")]
    savemat(folder / "cars_annos.mat", {"annotations": np.array([rows], fields)})
    return folder


SFM = {
    "train": (["aa0001", "bb0002", "0123456789"], [7, 7, 9], [0, 2, 1], [1, 2, 0]),
    "val": (["dd0004", "ee0005"], [7, 7], [1], [0]),
}


def write_sfm(folder, sets=None):
    columns = ("cids", "cluster", "qidxs", "pidxs")
    database = {name: dict(zip(columns, lists, strict=True)) for name, lists in SFM.items()}
    folder.mkdir(parents=True)
    (folder / "retrieval-SfM-30k.pkl").write_bytes(pickle.dumps(database | (sets or {})))
    for path, *_ in ROWS["sfm_30k"]:
        write_image(folder / f"{path}.png")
        (folder / f"{path}.png").rename(folder / path)
    return folder


WRITERS = {
    "cub200": write_cub,
    "cars196": write_cars,
    "sfm_30k": write_sfm,
    "gldv2_clean": write_gldv2,
    "landmarks_clean": write_landmarks,
    "products": write_products,
}
ROWS = {
    "cub200": [
        (f"images/{n:03d}.Bird/{n}_{view}.jpg", f"{n:03d}", "train" if n < 3 else "test")
        for n in (1, 2, 3, 4)
        for view in (0, 1)
    ],
    "cars196": [
        (f"car_ims/{i + 1:06d}.jpg", f"{1 + i % 4:03d}", "train" if i % 4 < 2 else "test")
        for i in range(8)
    ],
    "sfm_30k": [
        ("ims/01/00/aa/aa0001", "train-7", "train"),
        ("ims/02/00/bb/bb0002", "train-7", "train"),
        ("ims/89/67/45/0123456789", "train-9", "train"),
        ("ims/04/00/dd/dd0004", "val-7", "val"),
        ("ims/05/00/ee/ee0005", "val-7", "val"),
    ],
    "gldv2_clean": [
        ("train/a/b/c/abcd1.jpg", "2", ""),
        ("train/x/y/z/xyz45.jpg", "2", ""),
        ("train/0/a/1/0a1b2.jpg", "10", ""),
    ],
    "landmarks_clean": [
        (f"images/{hashlib.sha1(url.encode()).hexdigest()}.jpg", label, split)
        for url, label, split in zip(
            URLS, ("eiffel", "louvre", "eiffel"), ("train", "train", "val"), strict=True
        )
    ],
    "products": [
        ("chair_final/1_0.JPG", "00001", "train"),
        ("chair_final/1_1.JPG", "00001", "train"),
        ("mug_final/9_0.JPG", "11319", "test"),
    ],
}


@pytest.mark.parametrize("kind", WRITERS)
def test_rows(tmp_path, kind):
    folder = WRITERS[kind](tmp_path / "set")
    expected = [(str(folder / path), label, split) for path, label, split in ROWS[kind]]
    assert load_training_set(kind, folder).rows() == expected
    assert read_for_preparation(kind, folder).rows() == expected


@pytest.mark.parametrize("kind", ["gldv2_clean", "products"])
def test_a_missing_image_is_named(tmp_path, kind):
    folder = WRITERS[kind](tmp_path / "set")
    (folder / ROWS[kind][1][0]).unlink()
    (folder / ROWS[kind][2][0]).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{ROWS[kind][1][0]}: no such image.* \(2 of 3"):
        load_training_set(kind, folder)
    assert len(read_for_preparation(kind, folder)) == 3


def test_missing_urls_are_left_out(tmp_path, caplog):
    folder = write_landmarks(tmp_path / "set")
    (folder / ROWS["landmarks_clean"][1][0]).unlink()
    with caplog.at_level(logging.WARNING):
        images = load_training_set("landmarks_clean", folder)
    assert images.class_names == ("eiffel",) and len(images) == 2
    assert "1 of 3 images are missing" in caplog.text
    text, complete = check_data("landmarks_clean", folder)
    assert not complete and f"  {URLS[1]}\n" in text and "image files needed: 3, found: 2" in text
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="none of the other 2"):
        load_training_set("landmarks_clean", folder)


@pytest.mark.parametrize(
    ("kind", "file", "text", "message"),
    [
        ("gldv2_clean", "train_clean.csv", "id,url\n", "first line must be landmark_id,images"),
        (
            "gldv2_clean",
            "train_clean.csv",
            "landmark_id,images\n7\n",
            "line 2: must be landmark_id",
        ),
        ("gldv2_clean", "train_clean.csv", "landmark_id,images\n7,../../x\n", "line 2"),
        ("gldv2_clean", "train_clean.csv", "landmark_id,images\n", "lists no images"),
        (
            "landmarks_clean",
            "annotation_clean_train.txt",
            "http://a.org/x\n",
            "must be `url label`",
        ),
        ("products", "Ebay_test.txt", "", "first line must be image_id"),
        ("cub200", "image_class_labels.txt", "1 x\n", "line 1: must be image_id class_id"),
        ("cub200", "image_class_labels.txt", "1 1\n", "have other image_ids"),
        ("cars196", "cars_annos.mat", "", "not a MATLAB file"),
        (
            "products",
            "Ebay_train.txt",
            "image_id class_id super_class_id path\n1 x 1 a.jpg\n",
            "line 2: must be image_id",
        ),
    ],
)
def test_damaged_lists(tmp_path, kind, file, text, message):
    folder = WRITERS[kind](tmp_path / "set")
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=message):
        load_training_set(kind, folder)


def test_pairs_of_sfm_follow_their_images(tmp_path):
    images = load_training_set("sfm_30k", write_sfm(tmp_path / "set"))
    # Without that of an image with itself.
    assert images.pairs.tolist() == [[0, 1], [1, 0], [4, 3]]
    assert images.split("val").pairs.tolist() == [[1, 0]]
    assert images.select(np.arange(5) != 1).pairs.tolist() == [[3, 2]]
    images.split("train").check_for_training()  # With a model of one image, which is in no pair.


@pytest.mark.parametrize(
    "val",
    [
        {},
        {"cids": ["../../x"], "cluster": [1], "qidxs": [], "pidxs": []},
        {"cids": [b"abcdef"], "cluster": [1], "qidxs": [], "pidxs": []},
        {"cids": ["abcdef"], "cluster": [], "qidxs": [], "pidxs": []},
        {"cids": ["abcdef"], "cluster": [1], "qidxs": [0], "pidxs": [1]},
        {"cids": ["abcdef"], "cluster": [1], "qidxs": [0], "pidxs": []},
        {"cids": ["abcdef"], "cluster": [1], "qidxs": ["a"], "pidxs": ["b"]},
        [],
    ],
)
def test_damaged_sfm(tmp_path, val):
    folder = write_sfm(tmp_path / "set", {"val": val})
    with pytest.raises(UserError, match="val must hold cids, cluster, qidxs, pidxs"):
        load_training_set("sfm_30k", folder)


def test_a_pickle_of_sfm_that_runs_code_is_refused(tmp_path):
    folder = write_sfm(tmp_path / "set", {"val": print})
    with pytest.raises(UserError, match=r"asks for builtins\.print"):
        load_training_set("sfm_30k", folder)


@pytest.mark.parametrize("kind", TRAINING_SETS)
def test_nothing_there(tmp_path, kind):
    with pytest.raises(UserError, match="no such folder"):
        load_training_set(kind, tmp_path / "absent")
    with pytest.raises(UserError, match=r"put it there|run `tfds build"):
        load_training_set(kind, tmp_path)
    text, complete = check_data(kind, tmp_path)
    assert not complete and "PROBLEM: --data_dir" in text
    assert all(line in text for line in TRAINING_SETS[kind].sources)
    with pytest.raises(UserError, match="choose from gldv2_clean"):
        load_training_set("other", tmp_path)


def test_check_counts(tmp_path, monkeypatch):
    folder = write_products(tmp_path / "set")
    text, complete = check_data("products", folder)
    assert not complete and "PROBLEM: 3 images are listed, and 120053 are published" in text
    facts = dataclasses.replace(TRAINING_SETS["products"], images=3, classes=2)
    monkeypatch.setitem(TRAINING_SETS, "products", facts)
    text, complete = check_data("products", folder)
    assert complete and "images without a file, or with an empty one: 0" in text


PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 9, 3), dtype=np.uint8)
CARS = [0, 1, 2, 3, 0, 3, 0, 1, 2, 3, 1, 2]


def _prepare_cars(data_dir):
    """Lets TFDS prepare a set of that name: twelve images of four classes."""
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():

        class Cars196(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("2.1.0")
            code_path = None  # TFDS 4.9.10 fails to look for it: tensorflow/datasets#11212

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(num_classes=4),
                    "id": tfds.features.Text(),
                }
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features)
                )

            def _split_generators(self, dl_manager):
                return {"train": self._generate_examples(0), "test": self._generate_examples(6)}

            def _generate_examples(self, first):
                for row in range(first, first + 6):
                    yield row, {"image": PIXELS[row], "label": CARS[row], "id": str(row)}

    Cars196(data_dir=data_dir).download_and_prepare()


def test_tfds_sets(tmp_path):
    import tensorflow as tf

    _prepare_cars(tmp_path)
    images = load_training_set("cars196", tmp_path)
    again = load_training_set("cars196", tmp_path)
    np.testing.assert_array_equal(again.paths, images.paths)
    assert images.class_names == ("001", "002", "003", "004")
    np.testing.assert_array_equal(np.bincount(images.labels), 3)
    np.testing.assert_array_equal(images.splits == "train", images.labels < 2)
    for path, label in zip(images.paths, images.labels, strict=True):
        pixels = tf.io.decode_image(Path(path).read_bytes()).numpy()
        (row,) = np.flatnonzero((pixels == PIXELS).all((1, 2, 3)))
        assert CARS[row] == label
    text, complete = check_data("cars196", tmp_path)
    assert not complete and "PROBLEM: 12 images are listed, and 16185 are published" in text
