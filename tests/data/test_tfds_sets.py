"""Sets of TensorFlow Datasets, which the tests build, as train.py and eval.py read them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from darac_tf.choices import DATASET_KINDS
from darac_tf.cli import KindParser
from darac_tf.data import load_dataset, tfds_sets
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.options import read_settings, read_task
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import training_images

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 9, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 1, 0, 2, 0, 0, 1, 1, -1, -1]
SPLITS = {"train": range(6), "test": range(6, 10), "half": range(9, 11), "unlabelled": (10, 11)}
CLASSES = ["red/pink", "green", "blue"]


class TinyColours(tfds.core.GeneratorBasedBuilder):
    """Twelve images of three classes, as PNG with named classes or as JPEG with numbers."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("png", "jpeg")]  # noqa: RUF012
    code_path = None  # TFDS 4.9.10 fails to look for it: tensorflow/datasets#11212

    def _info(self):
        encoding = self.builder_config.name
        label = tfds.features.ClassLabel(names=CLASSES)
        features = {
            "picture": tfds.features.Image(shape=(None, None, 3), encoding_format=encoding),
            "label": label if encoding == "png" else tfds.features.Scalar(np.int64),
            "row": tfds.features.Scalar(np.int32),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(rows) for name, rows in SPLITS.items()}

    def _generate_examples(self, rows):
        for row in rows:
            yield row, {"picture": PIXELS[row], "label": LABELS[row], "row": row}


class TinyOffline(TinyColours):
    """Needs the network."""

    def _split_generators(self, dl_manager):
        raise ConnectionError("no route to host\nand much more")


class TinyTexts(TinyOffline):
    """Has no label, which is told before the network is needed."""

    def _info(self):
        features = tfds.features.FeaturesDict({"image": IMAGE, "text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


def _rows(images):
    """`(row of PIXELS, class name, split)` of each PNG image."""
    found = []
    for path, class_name, split in images.rows():
        pixels = tf.io.decode_image(Path(path).read_bytes()).numpy()
        (row,) = np.flatnonzero((pixels == PIXELS).all((1, 2, 3)))
        found.append((row, class_name, split))
    return sorted(found)


def _expected(*splits):
    return sorted(
        (row, CLASSES[LABELS[row]], split)
        for split in splits
        for row in SPLITS[split]
        if LABELS[row] >= 0
    )


def test_splits_are_written_once(data_dir, monkeypatch):
    images = load_dataset("tfds:tiny_colours/png:train+test", data_dir)
    assert images.name == "tiny_colours/png:train+test"
    assert _rows(images) == _expected("train", "test")
    folder = Path(data_dir, "tiny_colours", "png", "1.0.0-images")
    assert all(path.startswith(str(folder)) and path.endswith(".png") for path in images.paths)
    assert {path.name for path in folder.iterdir()} == {"train", "test"}
    monkeypatch.setattr(tfds_sets, "_write_images", None)
    again = load_dataset("tfds:tiny_colours/png:test+train+test", data_dir)
    assert sorted(again.paths) == sorted(images.paths)
    assert len(load_dataset("tfds:tiny_colours/png:test+train", data_dir, "test")) == 4


def test_parts_of_splits_and_images_without_label(data_dir):
    images = load_dataset("tfds:tiny_colours/png:train[:50%]+half", data_dir)
    rows = _rows(images)
    assert len(rows) == 4 and set(rows) < set(_expected("train", "half"))
    rest = load_dataset("tfds:tiny_colours/png:train[50%:]", data_dir)
    assert sorted({r for r in rows if r[2] == "train"} | set(_rows(rest))) == _expected("train")
    with pytest.raises(UserError, match=r"tiny_colours: no image with a label in unlabelled"):
        load_dataset("tfds:tiny_colours/png:unlabelled", data_dir)


def test_numbered_classes_and_jpegs(data_dir, capsys):
    images = load_dataset("tfds:tiny_colours/jpeg:train", data_dir)
    assert images.class_names == ("0", "1", "2") and images.paths[0].endswith("/0000000.jpg")
    assert tf.io.is_jpeg(images.read(0)).numpy()
    np.testing.assert_array_equal(np.bincount(images.labels), 2)
    assert not capsys.readouterr().out


def test_the_default_place_and_all_splits(tmp_path, monkeypatch):
    """`data_dir` may be left out; whoever prepared the set, the newest files there are read."""
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    with tfds.core.registered.skip_registration():

        class TinyFiles(TinyColours):
            VERSION = tfds.core.Version("2.0.0")

    for split in ("half", "unlabelled"):
        monkeypatch.delitem(SPLITS, split)
    TinyFiles(data_dir=tmp_path, config="png").download_and_prepare()
    images = load_dataset("tfds:tiny_files/png")
    assert _rows(images) == _expected("train", "test")
    assert images.paths[0].startswith(str(tmp_path / "tiny_files/png/2.0.0-images"))
    settings = read_settings(EvalConfig(whiten_dataset="tfds:tiny_files/png"))
    assert len(settings.whitening.images) == 10


def test_training_and_evaluation_read_them(data_dir):
    kind = "tfds:tiny_colours/png:train+test"
    config = TrainConfig(dataset=kind, data_dir=data_dir, split="train", val_split="test")
    training, validation = training_images(config)
    assert _rows(training) == _expected("train") and _rows(validation) == _expected("test")
    task = read_task(EvalConfig(descriptors=["x+spoc"], dataset=kind, data_dir=data_dir))
    assert task.n_database == len(task.queries) == 10  # leave one out
    assert task.name == "tiny_colours/png:train+test"


def test_flags():
    parser = KindParser(DATASET_KINDS)
    for kind in ("folder", "tfds:mnist", "tfds:x/y:train+test[:10%]"):
        assert parser.parse(kind) == kind
    for kind in ("cats", "tfds", "xtfds:mnist"):
        with pytest.raises(ValueError, match=r"<folder\|csv\|.*\|tfds:NAME\[/CONFIG\]\[:SPLIT\]>"):
            parser.parse(kind)
    assert "<folder|csv|demo|" in parser.syntactic_help


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "no_such_set",
            r"no_such_set: .* can't prepare it \(DatasetNotFoundError: ",
        ),
        ("we!rd", "or correct the name"),
        ("tiny_colours/gif", r"can't prepare it \(.*gif"),
        ("tiny_colours/png:nope", "no split 'nope'; choose from .*train"),
        ("tiny_colours/png:train[x]", r"no split 'train\[x\]'"),
        ("tiny_colours/png:train+", "no split ''"),
        ("tiny_colours/png:..", r"no split '\.\.'"),
        (
            "tiny_offline/png",
            r"\(ConnectionError: no route to host\); run `tfds build tiny",
        ),
    ],
)
def test_refused(data_dir, text, message):
    with pytest.raises(UserError, match=message) as caught:
        load_dataset(f"tfds:{text}", data_dir)
    assert "\n" not in str(caught.value)


def test_damaged_records(data_dir, tmp_path):
    load_dataset("tfds:tiny_colours/png:test", data_dir)
    copy = shutil.copytree(Path(data_dir, "tiny_colours"), tmp_path / "tiny_colours") / "png"
    shutil.rmtree(copy / "1.0.0-images")
    (record,) = copy.glob("1.0.0/*-train.tfrecord*")
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(UserError, match=r"png/1\.0\.0: is damaged"):
        load_dataset("tfds:tiny_colours/png:train", tmp_path)
    assert not list((copy / "1.0.0-images").iterdir())


IMAGE, MASK = tfds.features.Image(), tfds.features.LabeledImage(labels=2, shape=(None, None, 1))
DEPTH = tfds.features.Image(shape=(None, None, 1), dtype=np.float32)
NUMBER, CLASS = tfds.features.Scalar(np.int64), tfds.features.ClassLabel(num_classes=2)


@pytest.mark.parametrize(
    ("features", "keys", "expected"),
    [
        ({"x": IMAGE, "mask": MASK, "depth": DEPTH, "id": NUMBER, "y": CLASS}, None, ["x", "y"]),
        ({"image": IMAGE, "crop": IMAGE, "label": NUMBER, "id": NUMBER}, None, ["image", "label"]),
        ({"a": IMAGE, "b": IMAGE, "c": CLASS, "d": CLASS}, ("b", "d"), ["b", "d"]),
        ({"image": IMAGE, "label": CLASS, "fine": CLASS}, ("image", "fine"), ["image", "fine"]),
        ({"image": IMAGE, "only": NUMBER}, ({"a": "b"}, "x"), ["image", "only"]),
        ({"a": IMAGE, "b": IMAGE, "label": CLASS}, None, "several features that may be the image"),
        (
            {"depth": DEPTH, "label": CLASS},
            None,
            r"no features .* the image \(depth, label",
        ),
        ({"image": IMAGE, "a": NUMBER, "b": NUMBER}, None, "several features .* be the label"),
        ({"image": IMAGE, "text": tfds.features.Text()}, None, "no features .* be the label"),
    ],
)
def test_features(features, keys, expected):
    info = SimpleNamespace(
        name="x", features=tfds.features.FeaturesDict(features), supervised_keys=keys
    )
    if isinstance(expected, list):
        assert tfds_sets._image_and_label(info) == expected
        return
    with pytest.raises(UserError, match=expected):
        tfds_sets._image_and_label(info)


def test_sets_of_text_have_no_image():
    info = SimpleNamespace(name="x", features=tfds.features.Text(), supervised_keys=None)
    with pytest.raises(UserError, match="no features that may be the image"):
        tfds_sets._image_and_label(info)
