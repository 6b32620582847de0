"""Preparation: what is written, what is dropped, and going on after a kill at any moment."""

import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.images import decode_image, resize
from darac_tf.data.labelled import LabelledImages, read_folder
from darac_tf.data.training_sets import PreparedImages, preparation, prepare
from darac_tf.data.training_sets.shards import FEATURES
from darac_tf.errors import UserError
from tests.helpers import write_collection, write_image

SIZE, PER_SHARD = 44, 3


def _prepare(images, out, **settings):
    settings = {"size": SIZE, "workers": 2, "images_per_shard": PER_SHARD, **settings}
    return prepare(images, out, progress=False, **settings)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three classes of four images, not in their order; two of the last can't be decoded."""
    images = read_folder(write_collection(tmp_path_factory.mktemp("photos"), classes=3, images=4))
    # Larger than SIZE on both sides, and larger on the longer only.
    write_image(images.paths[2], 61, 90, seed=7)
    write_image(images.paths[5], 100, 44, seed=8)
    write_image(images.paths[8].replace(".jpg", ".png"), 70, 50, seed=9)
    Path(images.paths[9]).write_bytes(Path(images.paths[9]).read_bytes()[:300])
    Path(images.paths[10]).unlink()
    order = np.random.default_rng(0).permutation(12)
    paths = np.char.replace(images.paths, "class_2/0.jpg", "class_2/0.png")
    splits = np.where(np.arange(12) % 2, "odd", "even")
    return LabelledImages(
        "photos", paths[order], images.labels[order], images.class_names, splits[order]
    )


@pytest.fixture(scope="module")
def out(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "out"
    _prepare(images, folder)
    return folder


def _contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _bad(images):
    return [p for p in images.paths if p.endswith(("class_2/1.jpg", "class_2/2.jpg"))]


def test_report(images, out):
    report = json.loads((out / "report.json").read_text())
    assert (report["images"], report["kept"], report["classes"]) == (12, 10, 3)
    assert sorted(row["path"] for row in report["dropped"]) == sorted(_bad(images))
    reasons = {Path(row["path"]).name: row["reason"] for row in report["dropped"]}
    assert "cannot be decoded" in reasons["1.jpg"] and "no such image" in reasons["2.jpg"]
    assert report["classes_below_two"] == []  # the last has two
    assert _prepare(images, out) == report


def test_shards_are_tfrecords_of_every_good_image_once(images, out):
    """Read by TensorFlow's own reader, which checks the framing."""
    files = sorted(map(str, out.glob("*.tfrecord")))
    assert len(files) == 4
    found = {}
    for record in tf.data.TFRecordDataset(files):
        example = tf.io.parse_single_example(record, FEATURES)
        path = example["source"].numpy().decode()
        assert path not in found
        found[path] = example["class/label"].numpy(), example["class/name"].numpy().decode()
        assert decode_image(example["image/encoded"]).shape[2] == 3
    expected = {
        path: (label, images.class_names[label])
        for path, label in zip(images.paths, images.labels, strict=True)
        if path not in _bad(images)
    }
    assert found == expected
    assert [label for label, _ in found.values()] == sorted(label for label, _ in found.values())


def test_pixels_are_those_of_the_one_resize(images, out):
    prepared = PreparedImages.open(out)
    sizes = {}
    for row in range(len(prepared)):
        source = decode_image(Path(prepared.paths[row]).read_bytes())
        height, width = source.shape[:2]
        shorter = min(height, width)
        if shorter > SIZE:
            to = [int(np.floor(side * SIZE / shorter + 0.5)) for side in (height, width)]
            source = np.round(np.clip(resize(source, *to), 0, 255)).astype(np.uint8)
            sizes[height, width] = tuple(to)
        data = prepared.read(tf.constant(row))
        assert data.numpy() == tf.io.encode_jpeg(source, quality=95).numpy()
    assert sizes[61, 90] == (44, 65) and sizes[70, 50] == (62, 44)
    assert (100, 44) not in sizes


def _kill_points(folder):
    """Folders as a kill may leave them, made of a finished one: what is damaged, and how."""
    index, notes = folder / "index", folder / "shard-00001.json"
    shard = folder / "shard-00001.tfrecord"

    def half_index():
        index.rename(folder / ".0123abcd.index")
        (folder / ".0123abcd.index" / "names.json").unlink()

    def no_notes():
        shutil.rmtree(index)
        notes.unlink()

    def first_shard_half_written():
        shutil.rmtree(index)
        for path in folder.glob("shard-*"):
            path.unlink()
        (folder / "report.json").unlink()
        (folder / ".0123abcd.shard-00000.tfrecord").write_bytes(b"half")

    def shard_cut_short():
        shutil.rmtree(index)
        os.truncate(shard, 100)

    def plan_only():
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (folder / ".0123abcd.plan.json").write_text("{")

    return [half_index, no_notes, first_shard_half_written, shard_cut_short, plan_only]


@pytest.mark.parametrize("point", range(5))
def test_going_on_gives_the_same_files(images, out, tmp_path, point):
    folder = shutil.copytree(out, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.tfrecord")}
    _kill_points(folder)[point]()
    if point != 3:
        with pytest.raises(UserError, match="no finished preparation"):
            PreparedImages.open(folder)
    _prepare(images, folder)
    assert _contents(folder) == _contents(out)
    if point in (0, 1):
        rewritten = [p.name for p, old in times.items() if p.stat().st_mtime_ns != old]
        assert rewritten == ["shard-00001.tfrecord"] * point


def test_an_error_stops_the_others_and_leaves_nothing_half_written(
    images, out, tmp_path, monkeypatch
):
    write, calls = preparation.write_shard, []

    def failing(path, *args):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(path, *args)

    monkeypatch.setattr(preparation, "write_shard", failing)
    with pytest.raises(KeyboardInterrupt):
        _prepare(images, tmp_path / "out", workers=1)
    assert len(calls) == 2
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [".lock", "plan.json", "shard-00000.json", "shard-00000.tfrecord"]
    _prepare(images, tmp_path / "out")
    assert len(calls) == 5
    assert _contents(tmp_path / "out") == _contents(out)


def test_refused(images, out, tmp_path):
    with pytest.raises(UserError, match=r"preparation with size=44, not 45"):
        _prepare(images, out, size=45)
    other = dataclasses.replace(images, labels=np.roll(images.labels, 1))
    with pytest.raises(UserError, match="preparation with list="):
        _prepare(other, out)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds other files \(mine.txt\)"):
        _prepare(images, tmp_path)
    with (out / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="out is being written by process"):
            _prepare(images, out)
    with pytest.raises(ValueError, match=r"Received: size=0, workers=2"):
        _prepare(images, tmp_path / "new", size=0)
    bad = dataclasses.replace(images, paths=np.char.add(images.paths, ".gone"))
    with pytest.raises(UserError, match="no such image; and none of the other images"):
        _prepare(bad, tmp_path / "bad")


_SCRIPT = """
import sys
from darac_tf.data.labelled import read_folder
from darac_tf.data.training_sets import prepare
prepare(read_folder(sys.argv[1]), sys.argv[2], 32, workers=2, images_per_shard=5, progress=False)
"""


@pytest.mark.slow
def test_sigkill(tmp_path):
    photos = write_collection(tmp_path / "photos", classes=60, images=20)
    command = [sys.executable, "-c", _SCRIPT, str(photos), str(tmp_path / "killed")]
    process = subprocess.Popen(command)
    while len(list(tmp_path.glob("killed/shard-*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "index").exists()
    settings = {"size": 32, "workers": 2, "images_per_shard": 5, "progress": False}
    for name in ("killed", "whole"):
        prepare(read_folder(photos), tmp_path / name, **settings)
    assert _contents(tmp_path / "killed") == _contents(tmp_path / "whole")
