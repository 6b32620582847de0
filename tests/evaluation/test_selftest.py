"""The self-test: perfect descriptors score 1, random ones what chance gives, bad folders a line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from darac_tf.commands.main import main
from darac_tf.errors import UserError
from darac_tf.evaluation import selftest
from darac_tf.evaluation.selftest import selftest_task
from tests.helpers import write_backbone, write_image

COUNT = 24


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selftest") / "photos"
    for number in range(COUNT):
        write_image(folder / f"{number % 3}" / f"{number:02d}.jpg", 48, 64, number)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("network") / "small.keras")


@pytest.fixture(scope="module")
def task(photographs, tmp_path_factory):
    return selftest_task(photographs, tmp_path_factory.mktemp("copies"), count=12)


def scored(task, vectors):
    """Scores of unit vectors of the task's images, ranked by a plain sort."""
    database, asked = vectors[: task.n_database], vectors[task.queries]
    return task.score(np.argsort(-asked @ database.T, axis=1, kind="stable")).means


def originals(task):
    """For each query the row of the photograph it was made of, by the name of its file."""
    return [int(str(path)[-10:-4]) for path in task.images.paths[task.queries]]


def test_each_copy_has_its_photograph_as_the_one_positive(task):
    assert task.n_database == COUNT and len(task.queries) == 12
    for query, own in enumerate(originals(task)):
        right = [row for row in range(COUNT) if task.verdicts(query, [row]) == [True]]
        assert right == [own] and task.n_positives(query) == 1


def test_a_perfect_descriptor_scores_1(task):
    vectors = np.eye(COUNT)[[*range(COUNT), *originals(task)]]
    assert [scored(task, vectors)[name] for name in selftest.METRICS] == [1.0, 1.0, 1.0]


def test_a_random_descriptor_scores_what_chance_gives(task):
    random = np.random.default_rng(0)
    found = [scored(task, random.standard_normal((COUNT + 12, 40))) for _ in range(200)]
    means = {name: np.mean([each[name] for each in found]) for name in selftest.METRICS}
    harmonic = np.mean(1 / np.arange(1, COUNT + 1))  # Of one positive: the mean of 1 / rank.
    assert means["R@1"] == pytest.approx(1 / COUNT, abs=0.015)
    assert means["R@5"] == pytest.approx(5 / COUNT, abs=0.03)
    assert means["mAP (plain)"] == pytest.approx(harmonic, abs=0.02)


def copies_of(task):
    paths = (Path(path) for path in task.images.paths[task.queries])
    return {path.name: path.read_bytes() for path in paths}


def test_copies_follow_from_the_seed(task, photographs, tmp_path):
    again = selftest_task(photographs, tmp_path / "again", count=12)
    assert copies_of(again) == copies_of(task)
    other = selftest_task(photographs, tmp_path / "other", count=10, among=15, seed=1)
    assert other.n_database == 15 and len(other.queries) == 10
    assert not set(copies_of(other).values()) & set(copies_of(task).values())


def test_what_cannot_be_taken_is_said(photographs, tmp_path):
    folder = shutil.copytree(photographs, tmp_path / "photos")
    (folder / "no_image.jpg").write_text("nothing")
    data = next(folder.rglob("*.jpg")).read_bytes()
    shutil.copy(folder / "0" / "00.jpg", folder / "again.jpg")
    (folder / "cut.jpg").write_bytes(data[: len(data) // 3])
    task = selftest_task(folder, tmp_path / "copies")
    assert len(task.queries) == task.n_database == COUNT
    again, faults = task.notes
    assert again.startswith("1 files have the content of another")
    assert faults.startswith("2 images can't be read") and "cut.jpg: cannot be" in faults


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "is neither: give a folder"),
        (0, "no image"),
        (9, "10 photographs or more are needed, and 9 can be taken"),
        (-12, "0 can be taken; 12 images can't be read"),
    ],
)
def test_a_folder_of_too_few_is_refused(tmp_path, files, message):
    folder = tmp_path / "photos"
    if files is not None:
        folder.mkdir()
        for number in range(abs(files)):
            if files > 0:
                write_image(folder / f"{number}.jpg", seed=number)
            else:
                (folder / f"{number}.jpg").write_text("x" * (1 + number))
    with pytest.raises(UserError, match=message) as caught:
        selftest_task(folder, tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
    assert "\n" not in str(caught.value)


def test_the_command(photographs, small, tmp_path, capsys):
    names, out = [f"{small}+spoc", f"{small}+gem"], tmp_path / "out"
    flags = [f"--descriptors={','.join(names)}", "--resolutions=32", "--copies=14"]
    assert main(["selftest", str(photographs), *flags, f"--out={out}"]) == 0
    text = capsys.readouterr().out
    table = [line.strip("| ").split(" | ") for line in text.splitlines()[:4]]
    assert table[0][-3:] == ["R@1", "R@5", "mAP (plain)"]
    assert [row[0] for row in table[2:]] == names
    report = json.loads((out / "report.json").read_text())
    assert [len(row["per_query"]) for row in report["results"]] == [14] * 2
    assert f"14 altered copies, each to be found among {COUNT} photographs" in text
    assert len(list((out / "copies").iterdir())) == 14
    for number, row in enumerate(report["results"], 1):
        missed = sum(query["ap"] < 1 for query in row["per_query"])
        assert row["scores"]["R@1"] == pytest.approx(1 - missed / 14)
        pages = list(out.glob(f"{number:02d}-*-misses.html"))
        assert len(pages) == (missed > 0)
        if pages:
            assert pages[0].read_text(encoding="utf-8").count("<article") == missed
            assert str(pages[0]) in text


def test_mistakes_of_a_command_line(photographs, capsys):
    for words in ([], [str(photographs), "more"], [str(photographs), "--copies=3"]):
        assert main(["selftest", *words]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
