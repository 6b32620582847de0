"""The evaluator: its rows, its rankings, its whitening, against direct computation."""

import shutil

import numpy as np
import pytest

from darac_tf.data.labelled import read_folder
from darac_tf.describing.sizes import LongSide, parse_sizes
from darac_tf.describing.sources import Source, load_sources
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.task import labelled_task
from darac_tf.evaluation.whitening_source import FittingImages, WhiteningSource
from darac_tf.ranking.rank import RankingSettings
from darac_tf.reports.query_rows import query_rows
from darac_tf.reports.report_files import write_all, write_row
from tests.helpers import write_backbone, write_collection, write_image

SIZES = ((LongSide(32),), (LongSide(32), LongSide(48)))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("eval"), 5, 4))


@pytest.fixture(scope="module")
def other_images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    for number in range(16):
        name = f"class_{number % 4}/{number}.jpg"
        write_image(folder / name, 40, 48, 1000 + number, np.eye(3)[number % 3] * 200)
    return read_folder(folder)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")


@pytest.fixture(scope="module")
def spoc(backbone):
    """Its network is traced once for all tests."""
    return load_sources([f"{backbone}+spoc"])


def test_a_row_for_each_descriptor_resolution_and_whitening(images, other_images, backbone):
    sources = load_sources([f"{backbone}+{p}" for p in ("spoc", "gem")])
    assert len(sources) == 1
    whitening = WhiteningSource(FittingImages.of(other_images), dim=4)
    rows = list(evaluate(sources, labelled_task(images), Settings(SIZES, whitening=whitening)))
    assert len(rows) == 8
    assert {(r.result.dimension, r.result.whitening) for r in rows} == {
        (16, None),
        (4, f"PCA on {other_images.name}"),
    }
    for row in rows:
        aps = [query["ap"] for query in row.result.per_query]
        assert row.result.scores["mAP (plain)"] == pytest.approx(np.mean(aps))
        assert len(aps) == 20 and row.result.database_size == 19
    assert rows[0].result.scores["mAP (plain)"] > 0.5
    (drawn,) = query_rows(rows[0].task, rows[0].rankings, rows[0].ap, [3], ranks=2)
    assert drawn.query_path == images.paths[3] and len(drawn.ranks) == 2


@pytest.mark.parametrize("kind", ["pca", "learned"])
def test_whitening_of_each_kind_and_its_file(images, other_images, spoc, kind, tmp_path):
    source = WhiteningSource(FittingImages.of(other_images), kind=kind, dim=3, shrinkage=0.1)
    task = labelled_task(images)
    _, fitted = evaluate(spoc, task, Settings(SIZES[:1], whitening=source))
    again = WhiteningSource(loaded=fitted.whitening)
    _, loaded = evaluate(spoc, task, Settings(SIZES[:1], whitening=again))
    assert loaded.result.scores == fitted.result.scores
    assert loaded.result.whitening == fitted.result.whitening
    assert fitted.whitening.provenance["resolutions"] == ["32"]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({}, "a whitening to 16 dimensions needs more than the 16 .* --whiten_dim=15 or less"),
        ({"kind": "learned", "dim": 3}, "16 dimensions .*: pass --whiten_shrinkage"),
        ({"dim": 15}, None),
        ({"shrinkage": "auto"}, None),
    ],
)
def test_too_few_images_are_refused_before_any_is_described(
    images, other_images, spoc, options, advice
):
    whitening = WhiteningSource(FittingImages.of(other_images), **options)
    sources = [Source(source.names, None, source.parts) for source in spoc]
    settings = Settings(SIZES[:1], whitening=whitening)
    # What describes is not there: a TypeError.
    with pytest.raises(UserError if advice else TypeError, match=advice):
        list(evaluate(sources, labelled_task(images), settings))


def test_a_whitening_is_not_tested_on_its_own_images(images, spoc, tmp_path):
    shutil.copytree(images.paths[0].rsplit("/", 2)[0], tmp_path / "copy")
    task = labelled_task(images)
    copied = read_folder(tmp_path / "copy")
    with pytest.raises(UserError, match=r"20 of the 20 test images.*--allow_whiten_on_test"):
        list(
            evaluate(
                spoc,
                task,
                Settings(SIZES[:1], whitening=WhiteningSource(FittingImages.of(copied), dim=3)),
            )
        )
    allowed = WhiteningSource(FittingImages.of(copied), dim=3, allow_on_test=True)
    plain, whitened = evaluate(spoc, task, Settings(SIZES[:1], whitening=allowed))
    assert not plain.result.notes and "optimistic" in whitened.result.notes[0]


def test_sizes_and_combinations(images, spoc):
    settings = Settings((parse_sizes("32,x0.5,0.5..1"[:7]),), "gmean", 2.0)
    (row,) = evaluate(spoc, labelled_task(images), settings)
    assert row.result.resolutions == ("32", "x0.5")
    assert row.result.combination == "gmean, p = 2"


def test_the_second_evaluation_describes_nothing(images, backbone, tmp_path):
    calls = []

    def counted(source):
        def describe(pixels):
            calls.append(1)  # once a trace
            return source.describe(pixels)

        return Source(source.names, describe, source.parts)

    settings = Settings(SIZES, cache_dir=str(tmp_path / "cache"))
    scores = []
    for _ in range(2):
        sources = [counted(s) for s in load_sources([f"{backbone}+{p}" for p in ("mac", "spoc")])]
        found = evaluate(sources, labelled_task(images), settings)
        scores.append([row.result.scores for row in found])
        assert len(calls) == 1
    assert scores[0] == scores[1]
    uncached = evaluate(sources, labelled_task(images), Settings(SIZES))
    for row, known in zip(uncached, scores[0], strict=True):
        assert row.result.scores == pytest.approx(known)


def test_unreadable_images_are_ranked_last_and_listed(images, spoc, tmp_path):
    shutil.copytree(images.paths[0].rsplit("/", 2)[0], tmp_path / "set")
    bad = tmp_path / "set" / "class_0" / "0.jpg"
    bad.write_bytes(bad.read_bytes()[:200])
    task = labelled_task(read_folder(tmp_path / "set"))
    with pytest.raises(UserError, match=r"class_0/0\.jpg"):
        list(evaluate(spoc, task, Settings(SIZES[:1])))
    (row,) = evaluate(spoc, task, Settings(SIZES[:1], skip_bad=True))
    assert [image["path"] for image in row.result.skipped] == [str(bad)]
    assert (row.rankings.rows[1:, -1] == 0).all()  # last for all others
    assert row.result.per_query[0]["ap"] == 0  # a query that finds nothing
    assert len(row.result.per_query) == 20
    write_row(tmp_path / "out", 1, row, pictured_queries=3, page_queries=20)
    assert "cannot be read" in next((tmp_path / "out").glob("*.html")).read_text()


def test_distractors_are_right_for_nobody(images, other_images, spoc):
    alone, joined = (
        next(evaluate(spoc, labelled_task(images, distractors=more), Settings(SIZES[:1])))
        for more in ([], list(other_images.paths))
    )
    assert joined.result.database_size == alone.result.database_size + len(other_images)
    assert joined.result.scores["mAP (plain)"] <= alone.result.scores["mAP (plain)"]
    assert (np.sort(joined.rankings.rows, axis=1)[:, -1] == 20 + len(other_images) - 1).all()
    assert not any(joined.task.verdicts(0, np.arange(20, 36)))
    assert joined.result.notes == ("16 distractors were added to the database.",)


def test_files_of_an_evaluation(images, spoc, tmp_path):
    rows = list(evaluate(spoc, labelled_task(images), Settings(SIZES)))
    for number, row in enumerate(rows, start=1):
        write_row(tmp_path, number, row, 1, 2)
    write_all(tmp_path, rows, {"a": 1})
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.md", "report.json", "precision-recall.png"} <= names
    assert len([name for name in names if name.endswith(".html")]) == 2
    write_all(tmp_path / "many", rows * 5, {})
    found = sorted(path.name for path in (tmp_path / "many").glob("*.png"))
    assert found == ["precision-recall-1.png", "precision-recall-2.png"]


def test_truncated_rankings_lose_positives(images, spoc):
    settings = Settings(SIZES[:1], ranking=RankingSettings(top_k=1))
    (row,) = evaluate(spoc, labelled_task(images), settings)
    assert row.rankings.rows.shape == (20, 1)
    assert row.result.scores["mAP (plain)"] <= 1 / 3 + 1e-9  # one of three positives at most


def test_sources(backbone):
    (source,) = load_sources(["MobileNet+gem"], "none")
    assert list(source.fingerprints()) == ["MobileNet+gem"] and source.dimensions == [1024]
    with pytest.raises(UserError, match="pooling 'sum'"):
        load_sources([f"{backbone}+sum"])
    with pytest.raises(UserError, match="neither a run directory"):
        load_sources(["nowhere"])
    with pytest.raises(UserError, match="twice"):
        load_sources([f"{backbone}+mac", f"{backbone}+mac"])


@pytest.mark.slow  # Small backbones describe in most tests.
def test_a_backbone_by_its_name_describes():
    (source,) = load_sources(["MobileNet+gem"], "none")
    vectors = source.describe(np.zeros((1, 32, 32, 3), np.float32))
    assert list(vectors) == ["MobileNet+gem"] and vectors["MobileNet+gem"].shape == (1, 1024)
