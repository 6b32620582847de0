"""`check_data`: what it counts, what it misses, and when it is content."""

import dataclasses
import pickle

import pytest

from darac_tf.choices import BENCHMARKS
from darac_tf.data import check as check_module
from darac_tf.data import check_data
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.errors import UserError
from darac_tf.metrics import PROTOCOLS
from tests.data.benchmarks.synthetic import (
    write_gpr1200,
    write_holidays,
    write_oxford,
    write_revisited,
)

LAYOUTS = {
    "oxford5k": (write_oxford, {}, (27, 3, None)),
    "paris6k": (write_oxford, {"paris": True}, (27, 3, None)),
    "roxford5k": (write_revisited, {}, (24, 3, None)),
    "rparis6k": (write_revisited, {"paris": True}, (24, 3, None)),
    "holidays": (write_holidays, {}, (15, 6, 9)),
    "gpr1200": (write_gpr1200, {}, (24, 24, 72)),
}


@pytest.fixture
def published_as(monkeypatch):
    """Makes the published counts of a benchmark those of its synthetic form."""

    def change(kind):
        images, queries, positives = LAYOUTS[kind][2]
        facts = dataclasses.replace(
            PUBLISHED[kind], images=images, queries=queries, positives=positives
        )
        monkeypatch.setitem(check_module.PUBLISHED, kind, facts)

    return change


def test_facts_are_complete():
    assert list(PUBLISHED) == list(BENCHMARKS)
    assert all(facts.protocol in PROTOCOLS for facts in PUBLISHED.values())


@pytest.mark.parametrize("kind", LAYOUTS)
def test_complete_folders(tmp_path, kind, published_as):
    write, options, counts = LAYOUTS[kind]
    folder = write(tmp_path, **options)
    text, ok = check_data(kind, folder)
    assert not ok and "not the published benchmark" in text
    published = f"{PUBLISHED[kind].images} are published"
    assert f"PROBLEM: {counts[0]} database images are in the ground truth, and {published}" in text
    published_as(kind)
    text, ok = check_data(kind, folder)
    assert ok and "PROBLEM" not in text and "complete, and as published" in text
    needed = counts[0] + (3 if kind.startswith("r") else 0)
    assert f"image files needed: {needed}, found: {needed}" in text
    assert "images without a file: 0" in text and "where to get it:" in text
    assert "http" in text and PUBLISHED[kind].paper in text


@pytest.mark.parametrize("kind", LAYOUTS)
def test_an_empty_folder(tmp_path, kind):
    text, ok = check_data(kind, tmp_path)
    assert not ok and "PROBLEM: --data_dir: no " in text and "where to get it:" in text
    if kind not in ("holidays", "gpr1200"):
        assert f"gnd_{kind}.pkl: not there" in text


def test_missing_extra_and_bad_images(tmp_path, published_as):
    published_as("oxford5k")
    folder = write_oxford(tmp_path)
    for name in ("arch", "tower"):
        for i in range(1, 7):
            (folder / "jpg" / f"{name}_00000{i}.jpg").unlink()
    (folder / "jpg" / "palace_000001.jpg").write_bytes(b"")
    (folder / "jpg" / "palace_000002.jpg").write_text("<html>")
    (folder / "jpg" / "cat.jpg").touch()
    (folder / "palace_000003.jpg").touch()
    text, ok = check_data("oxford5k", folder)
    assert not ok
    assert "image files needed: 27, found: 15" in text
    assert "images without a file: 12\n  " in text and "  ... and 2 more" in text
    # The first of one name is that beside the ground truth.
    assert "images that can't be read: 3" in text
    assert "palace_000001.jpg: the image is empty (0 bytes)" in text
    assert "palace_000002.jpg: cannot be decoded" in text
    assert "not used: 1\n  " + str(folder / "jpg" / "palace_000003.jpg") in text
    assert "files that are not used: 1\n  " + str(folder / "jpg" / "cat.jpg") in text
    assert (
        "PROBLEM: images without a file: 12" in text
        and "PROBLEM: images that can't be read: 3" in text
    )


def test_damaged_ground_truth_and_boxes(tmp_path, published_as):
    published_as("oxford5k")
    path = write_oxford(tmp_path) / "gnd_oxford5k.pkl"
    truth = pickle.loads(path.read_bytes())
    truth["gnd"][0]["bbx"] = [0, 0, 99, 9]
    path.write_bytes(pickle.dumps(truth))
    text, ok = check_data("oxford5k", tmp_path)
    assert not ok and "PROBLEM: " in text and "the box of query arch_000000" in text
    path.write_bytes(b"cos\nsystem\n.")
    text, ok = check_data("oxford5k", tmp_path)
    assert not ok and "asks for os.system" in text and "images found: 27" in text


def test_text_lists_and_broken_files_of_paris(tmp_path, published_as):
    published_as("paris6k")
    folder = write_oxford(tmp_path, "text", paris=True)
    (folder / "jpg" / "arch" / "paris_louvre_000136.jpg").write_text("<html>")
    text, ok = check_data("paris6k", folder)
    assert ok and "known to be broken in the archives, not used: 1" in text
    assert f"12 files in {folder / 'gt'}" in text


def test_what_can_not_be_checked(tmp_path):
    for kind in ("cats", "folder"):
        with pytest.raises(UserError, match=f"is for --dataset=oxford5k, .*, not {kind}"):
            check_data(kind, tmp_path)
    with pytest.raises(UserError, match="--check_data needs --data_dir"):
        check_data("oxford5k", None)
    with pytest.raises(UserError, match="no such folder"):
        check_data("oxford5k", tmp_path / "absent")
