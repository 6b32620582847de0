"""Prepared images: any record at random, subsets, and what is damaged."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data import load_dataset
from darac_tf.data.images import decode_image, decode_upright
from darac_tf.data.labelled import LabelledImages, read_csv, read_folder
from darac_tf.data.training_sets import PreparedImages, prepare, read_prepared
from darac_tf.errors import UserError
from tests.helpers import write_collection
from tests.photographs import file_of


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    found = read_folder(write_collection(tmp_path_factory.mktemp("photos"), classes=4, images=3))
    for row in (3, 4):
        Path(found.paths[row]).write_bytes(b"no image")
    splits = np.where(found.labels < 2, "train", "test")
    return LabelledImages("photos", found.paths, found.labels, found.class_names, splits)


@pytest.fixture(scope="module")
def out(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "out"
    report = prepare(images, folder, size=200, workers=1, images_per_shard=5, progress=False)
    assert report["classes_below_two"] == ["class_1"]
    return folder


@pytest.fixture(scope="module")
def encoded(images):
    """The JPEG that every source becomes: none is larger than 200 pixels."""
    return {
        path: tf.io.encode_jpeg(decode_image(Path(path).read_bytes()), quality=95).numpy()
        for row, path in enumerate(images.paths)
        if row not in (3, 4)
    }


def test_opened(images, out):
    prepared = PreparedImages.open(out)
    assert len(prepared) == 10 and prepared.name == "photos"
    assert isinstance(prepared.labels, np.memmap) and prepared.labels.dtype == np.int64
    assert prepared.class_names == images.class_names
    good = np.delete(np.arange(12), [3, 4])
    np.testing.assert_array_equal(prepared.labels, images.labels[good])
    np.testing.assert_array_equal(prepared.splits, images.splits[good])
    np.testing.assert_array_equal(prepared.paths[:], images.paths[good])
    assert prepared.paths[3] == images.paths[5] and len(prepared.paths) == 10
    np.testing.assert_array_equal(prepared.paths[[3, 0]], images.paths[[5, 0]])
    with pytest.raises(UserError, match="fewer than two images in class 'class_1'"):
        prepared.check_for_training()


def test_any_image_at_random_in_a_parallel_map(out, encoded):
    prepared = PreparedImages.open(out)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 3))
    dataset = tf.data.Dataset.from_tensor_slices(order)
    read = dataset.map(prepared.read, num_parallel_calls=4, deterministic=True)
    for row, data in zip(order, read.as_numpy_iterator(), strict=True):
        assert data == encoded[prepared.paths[row]]
    table = prepared.read(order.reshape(5, 6)).numpy()
    assert table.shape == (5, 6) and table[4, 5] == encoded[prepared.paths[order[-1]]]


def test_subsets(out, encoded, tmp_path):
    prepared = read_prepared(out)
    prepared.check_for_training()
    assert prepared.class_names == ("class_0", "class_2", "class_3")
    test = prepared.split("test")
    assert test.class_names == ("class_2", "class_3") and test.name == "photos:test"
    np.testing.assert_array_equal(test.labels, [0, 0, 0, 1, 1, 1])
    last = test.select(test.labels == 1)
    for row, view in enumerate(last.read(tf.range(3)).numpy()):
        assert last.paths[row].endswith(f"class_3/{row}.jpg")
        assert view == encoded[last.paths[row]]
    rest, held_out = prepared.hold_out_classes(1, seed=0)
    assert len(rest) == 6 and len(held_out) == 3
    assert not set(rest.paths[:]) & set(held_out.paths[:])
    last.write_csv(tmp_path / "all.csv")
    again = read_csv(tmp_path / "all.csv")
    np.testing.assert_array_equal(again.paths, last.paths[:])
    assert again.class_names == ("class_3",) and set(again.splits) == {"test"}
    with pytest.raises(UserError, match="no image is left of the 9"):
        prepared.select(np.zeros(9, bool))


def test_extracted_files(out, encoded, tmp_path):
    prepared = PreparedImages.open(out).split("test")
    for _ in range(2):
        files = prepared.extract(tmp_path / "val")
        assert files.class_names == prepared.class_names and len(files) == 6
        for row, path in enumerate(files.paths):
            assert Path(path).read_bytes() == encoded[prepared.paths[row]]
    Path(files.paths[0]).unlink()
    with pytest.raises(UserError, match="holds other images"):
        prepared.extract(tmp_path / "val")


def _damage(folder, what):
    shard, index = folder / "shard-00001.tfrecord", folder / "index"
    if what == "shard":
        shard.unlink()
    elif what == "end":
        os.truncate(shard, shard.stat().st_size // 2)
    elif what == "labels":
        np.save(index / "labels.npy", np.zeros(9, np.int64))
    elif what == "names":
        (index / "names.json").write_text("{}")
    else:
        shutil.rmtree(index)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shard", "shard-00001.tfrecord: is missing or cut short"),
        ("end", "shard-00001.tfrecord: is missing or cut short"),
        ("labels", "index: is damaged"),
        ("names", "index: is damaged"),
        ("index", "no finished preparation"),
    ],
)
def test_damaged(out, tmp_path, what, message):
    folder = shutil.copytree(out, tmp_path / "out")
    _damage(folder, what)
    with pytest.raises(UserError, match=message):
        PreparedImages.open(folder)


def test_a_shard_cut_short_while_it_is_read(out, tmp_path):
    folder = shutil.copytree(out, tmp_path / "out")
    prepared = PreparedImages.open(folder)
    os.truncate(folder / "shard-00001.tfrecord", 60)
    message = r"shard-00001\.tfrecord: record 5 is damaged: remove the file and .*/index"
    with pytest.raises(UserError, match=message):
        prepared.read(5)
    with pytest.raises(tf.errors.OpError, match=message):
        list(tf.data.Dataset.range(5, 6).map(prepared.read))


def test_photographs_are_prepared_upright_or_as_stored(tmp_path):
    for number in range(4):
        path = tmp_path / "photos" / f"class_{number // 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_of("JPEG", "RGB", 20, 30, 6, seed=number))
    for orientation, shape in (("upright", (30, 20, 3)), ("stored", (20, 30, 3))):
        images = load_dataset("folder", tmp_path / "photos", orientation=orientation)
        prepare(images, tmp_path / orientation, size=400, progress=False)
        prepared = load_dataset("prepared", tmp_path / orientation, orientation=orientation)
        assert decode_upright(prepared.read(0)).shape == shape
        other = {"upright": "stored", "stored": "upright"}[orientation]
        with pytest.raises(UserError, match=f"prepared with --orientation={orientation}, not "):
            load_dataset("prepared", tmp_path / orientation, orientation=other)
    with pytest.raises(UserError, match="a preparation with orientation=stored, not upright"):
        prepare(load_dataset("folder", tmp_path / "photos"), tmp_path / "stored", size=400)
