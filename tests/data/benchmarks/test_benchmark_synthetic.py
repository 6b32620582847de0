"""The synthetic benchmarks do what they are for: a mean colour ranks them, if the box is used."""

import numpy as np
import pytest
from PIL import Image

from darac_tf.data.benchmarks import load_benchmark
from tests.data.benchmarks.synthetic import (
    write_gpr1200,
    write_holidays,
    write_oxford,
    write_revisited,
)


def _colours(images):
    rows = []
    for i, path in enumerate(images.paths):
        pixels = np.asarray(Image.open(path), np.float64)
        box = images.box_of(i)
        if box is not None:
            left, top, right, bottom = (round(v) for v in box)
            pixels = pixels[top:bottom, left:right]
        colour = pixels.mean((0, 1))
        rows.append(colour / np.linalg.norm(colour))
    return np.array(rows)


def _share_on_top(benchmark, right, ignored=()):
    """Mean share of right images among as many first ones."""
    similarity = _colours(benchmark.queries) @ _colours(benchmark.database).T
    shares = []
    for i, row in enumerate(similarity):
        wanted = set(np.concatenate([benchmark.relevance[kind][i] for kind in right]).tolist())
        skipped = {int(r) for kind in ignored for r in benchmark.relevance[kind][i]}
        if benchmark.own_rows is not None and benchmark.own_rows[i] not in wanted:
            skipped.add(int(benchmark.own_rows[i]))
        ranking = [j for j in np.argsort(-row, kind="stable").tolist() if j not in skipped]
        shares.append(len(wanted & set(ranking[: len(wanted)])) / len(wanted))
    return np.mean(shares)


@pytest.mark.parametrize("paris", [False, True])
def test_boxes_decide(tmp_path, paris):
    kinds = ("paris6k", "rparis6k") if paris else ("oxford5k", "roxford5k")
    for kind, write, right in [
        (kinds[0], write_oxford, ("positives",)),
        (kinds[1], write_revisited, ("easy", "hard")),
    ]:
        folder = write(tmp_path / kind, paris=paris)
        assert _share_on_top(load_benchmark(kind, folder), right, ("junk",)) == 1
        whole = load_benchmark(kind, folder, crop_queries=False)
        assert _share_on_top(whole, right, ("junk",)) < 0.8


def test_groups_and_classes(tmp_path):
    holidays = load_benchmark("holidays", write_holidays(tmp_path / "h"))
    assert _share_on_top(holidays, ("positives",)) == 1
    gpr = load_benchmark("gpr1200", write_gpr1200(tmp_path / "g"))
    assert _share_on_top(gpr, ("positives",)) == 1


@pytest.mark.parametrize("write", [write_oxford, write_revisited, write_holidays, write_gpr1200])
def test_images_differ_and_are_the_same_each_time(tmp_path, write):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    contents = [(first / p).read_bytes() for p in files]
    assert contents == [(second / p).read_bytes() for p in files]
    assert len(set(contents)) == len(contents)
