"""Seven poolings against loops over cells and regions, and the command from images to files."""

import json

import numpy as np
import pytest

from darac_tf.reports.figures import DPI
from studies import poolings
from studies.size_plot import main_metric, size_table
from tests.helpers import write_backbone, write_collection
from tests.layers.region_oracle import fixed_regions
from tests.studies.study_runner import png_size, run_study

SIZE = (round(7.5 * DPI), round(4.8 * DPI))


def unit(vector):
    return vector / np.sqrt(sum(value**2 for value in vector))


def loop_poolings(feature_map):
    """Each pooled vector of one map `(height, width, channels)`, from its definition."""
    height, width, _ = feature_map.shape
    maxima, means = [], []
    for x, y, columns, rows in fixed_regions(height, width):
        cells = [feature_map[j, i] for j in range(y, y + rows) for i in range(x, x + columns)]
        maxima.append(unit(np.max(cells, axis=0)))
        means.append(unit(sum(cells) / len(cells)))
    powers = sum(feature_map[j, i] ** 3 for j in range(height) for i in range(width))
    return {
        poolings.GLOBAL_AVERAGE: means[-1],
        poolings.GLOBAL_MAX: maxima[-1],
        poolings.GLOBAL_BOTH: unit(maxima[-1] + means[-1]),
        poolings.REGIONAL_AVERAGE: unit(sum(means)),
        poolings.REGIONAL_MAX: unit(sum(maxima)),
        poolings.REGIONAL_BOTH: unit(sum(maxima) + sum(means)),
        poolings.GEM: unit((powers / (height * width)) ** (1 / 3)),
    }


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 6), (4, 4), (1, 2)])
def test_each_pooling_is_what_its_name_says(height, width):
    maps = np.random.default_rng(0).uniform(0.01, 1, (2, height, width, 3)).astype(np.float32)
    layers = poolings.make_poolings(3)
    for image, feature_map in enumerate(maps.astype(np.float64)):
        wanted = loop_poolings(feature_map)
        assert list(wanted) == list(layers)
        for name, layer in layers.items():
            found = unit(np.asarray(layer(maps))[image].astype(np.float64))
            np.testing.assert_allclose(found, wanted[name], atol=2e-6, err_msg=name)


def test_the_best_of_each_size_is_bold():
    table = size_table([100, 200], {"a": [0.5, 0.25], "b": [0.4, 0.3]})
    assert table.splitlines() == [
        "| mAP in % | 100 | 200 |",
        "| --- | ---: | ---: |",
        "| a | **50.00** | 25.00 |",
        "| b | 40.00 | **30.00** |",
    ]
    with pytest.raises(ValueError, match="mAP"):
        main_metric({"P@1": 1.0})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pooling")
    write_collection(folder / "photos", classes=3, images=3)
    write_backbone(folder / "small.keras")
    return folder


@pytest.mark.slow
def test_from_images_to_files(place, capsys):
    flags = [f"--backbone={place / 'small.keras'}", f"--data_dir={place / 'photos'}"]
    out = place / "out"
    assert run_study("pooling_by_size", *flags, "--sizes=48,32", f"--out={out}") == 0
    printed = capsys.readouterr().out
    assert "| mAP in % | 32 | 48 |" in printed and printed.strip() in (
        out / "pooling_by_size.md"
    ).read_text(encoding="utf-8")
    content = json.loads((out / "pooling_by_size.json").read_text())
    assert content["settings"]["sizes"] == "48,32"
    rows = content["results"]
    assert [(row["pooling"], row["size"]) for row in rows[:3]] == [
        ("global avg", 32),
        ("global avg", 48),
        ("global max", 32),
    ]
    assert len(rows) == 14
    for row in rows:
        aps = [query["ap"] for query in row["per_query"]]
        assert len(aps) == 9 and np.mean(aps) == pytest.approx(row["scores"]["mAP (plain)"])
        assert f"{100 * row['scores']['mAP (plain)']:.2f}" in printed
    assert png_size(out / "pooling_by_size.png") == SIZE


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--sizes=x0.5", "--sizes=x0.5"),
        ("--sizes=32,32", "twice"),
        ("--backbone=nowhere", "'nowhere'"),
        ("--data_dir=nowhere", "nowhere"),
        ("--colour=red", "colour"),
    ],
)
def test_a_mistake_is_one_line(place, flag, message):
    defaults = {"backbone": place / "small.keras", "data_dir": place / "photos", "sizes": 32}
    flags = [f"--{name}={value}" for name, value in defaults.items()]
    status = run_study("pooling_by_size", *flags, f"--out={place / 'wrong'}", flag)
    assert isinstance(status, str) and status.startswith("error: ") and message in status
    assert "\n" not in status and not (place / "wrong").exists()
