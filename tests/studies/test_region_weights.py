"""The weights that are drawn and listed are those of the model, in the order of the grid."""

import json

import numpy as np
import pytest

from darac_tf.models import build_descriptor
from darac_tf.reports.figures import DPI
from darac_tf.reports.region_weights import region_weights, weight_rows, weight_table
from darac_tf.reports.weight_plot import color_scale, draw_weights, patch_sizes
from tests.helpers import write_backbone, write_image
from tests.layers.region_oracle import fixed_regions, pyramid_regions
from tests.studies.study_runner import png_size, run_study


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_backbone(folder / "small.keras")
    write_image(folder / "photo.jpg", 40, 64)
    for name, options in {
        "fixed": {},
        "channels": {"per_channel": True},
        "shared": {"sharing": "level_kind"},
        "pyramid": {"grid": "pyramid"},
    }.items():
        model = build_descriptor(str(folder / "small.keras"), **options)
        pooling = model.get_layer("pooling")
        rng = np.random.default_rng(5)
        shape = pooling.get_weights()[0].shape
        pooling.set_weights([rng.normal(1, 0.2, shape).astype(np.float32)])
        model.save(folder / f"{name}.keras")
    build_descriptor(str(folder / "small.keras"), pooling="gem").save(folder / "gem.keras")
    return folder


def load(place, name):
    from darac_tf.models import load_descriptor

    return load_descriptor(place / f"{name}.keras")


@pytest.mark.parametrize(
    ("name", "regions"), [("fixed", fixed_regions), ("channels", fixed_regions),
                          ("pyramid", pyramid_regions)],
)  # fmt: skip
def test_rows_are_the_weights_in_the_order_of_the_grid(place, name, regions):
    model = load(place, name)
    stored = model.get_layer("pooling").get_weights()[0]
    rows = weight_rows(region_weights(model, name), 5, 8)
    assert [row["region"] for row in rows] == list(range(1, 22))
    for k, row in enumerate(rows):
        assert row["x y width height"] == regions(5, 8)[k].tolist()
        assert row["maximum"] == pytest.approx(sum(stored[k]) / len(stored[k]), rel=1e-5)
        assert row["average"] == pytest.approx(sum(stored[21 + k]) / len(stored[k]), rel=1e-5)
    # All regions of a level have one size, and levels differ.
    for level in {row["level"] for row in rows}:
        own = {tuple(r["x y width height"][2:]) for r in rows if r["level"] == level}
        assert len(own) == 1 or name == "pyramid"
    mean = np.mean([row["maximum"] for row in rows])
    assert weight_table(rows).splitlines()[-1].startswith(f"| mean |  |  | {mean:.3f} |")


def test_shared_weights_are_listed_for_each_region(place):
    rows = weight_rows(region_weights(load(place, "shared"), "shared"), 5, 8)
    for level in {row["level"] for row in rows}:
        own = {(row["maximum"], row["average"]) for row in rows if row["level"] == level}
        assert len(own) == 1
    assert len({row["maximum"] for row in rows}) == 4


def test_colours_are_as_far_below_one_as_above(place):
    weights = region_weights(load(place, "fixed"), "fixed")
    scale = color_scale(weights)
    low, high = scale.get_clim()
    assert (low + high) / 2 == pytest.approx(1)
    both = [*weights.maximum, *weights.average]
    assert max(abs(w - 1) for w in both) == pytest.approx(high - 1)
    equal = weights._replace(maximum=np.ones(21), average=np.ones(21))
    assert color_scale(equal).get_clim() == pytest.approx((0.99, 1.01))


@pytest.mark.parametrize(("rows", "columns"), [(17, 10), (7, 10), (4, 4), (9, 9), (12, 5)])
def test_patches_do_not_meet_and_lie_inside_their_regions(rows, columns):
    for span in (slice(0, 2), slice(2, 8), slice(8, 20), slice(20, 21)):
        regions = fixed_regions(rows, columns)[span]
        sizes = patch_sizes(regions)
        boxes = []
        for (x, y, width, height), (wide, high) in zip(regions.tolist(), sizes, strict=True):
            assert 0 < wide <= width / 2 and 0 < high <= height / 2
            boxes.append((x + width / 2, y + height / 2, wide, high))
        for i, (x, y, wide, high) in enumerate(boxes):
            for other_x, other_y, *_ in boxes[:i]:
                is_same = (x, y) == (other_x, other_y)  # regions of small maps coincide
                assert is_same or abs(x - other_x) > wide or abs(y - other_y) > high


def test_every_weight_is_written_and_has_a_bar(place):
    weights = region_weights(load(place, "fixed"), "fixed")
    figure = draw_weights("title", weights, 5, 8)
    *panels, bars, _ = figure.axes
    written = [text.get_text() for axes in panels for text in axes.texts]
    assert written == [f"{w:.2f}" for w in [*weights.maximum, *weights.average]]
    tops = [bar.get_y() + bar.get_height() for bar in bars.patches]
    np.testing.assert_allclose(tops, [*weights.maximum, *weights.average])


@pytest.mark.parametrize(
    ("name", "flags", "shape"),
    [
        pytest.param("fixed", ["--map_rows=4", "--map_columns=6"], [4, 6], marks=pytest.mark.slow),
        ("channels", ["photo"], [5, 8]),
    ],
)
def test_from_a_descriptor_to_files(place, capsys, name, flags, shape):
    out = place / f"out-{name}"
    if flags == ["photo"]:  # stride 8
        flags = [f"--image={place / 'photo.jpg'}", "--size=64"]
    descriptor = f"--descriptor={place / name}.keras"
    assert run_study("region_weights", descriptor, *flags, f"--out={out}") == 0
    page = (out / "region_weights.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() in page
    assert ("mean over 16 channels" in page) == (name == "channels")
    content = json.loads((out / "region_weights.json").read_text())
    assert content["results"]["map"] == shape and len(content["results"]["regions"]) == 21
    assert content["settings"]["descriptor"].endswith(f"{name}.keras")
    assert png_size(out / "region_weights.png")[0] == 10 * DPI


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--descriptor=gem.keras"], "GeM"),
        (["--descriptor=nowhere"], "nowhere"),
        (["--descriptor=small.keras"], "no descriptor"),
        (["--descriptor=fixed.keras", "--image=nowhere.jpg"], "nowhere.jpg: no such image"),
        (["--descriptor=fixed.keras", "--map_rows=0"], "--map_rows"),
        ([], "--descriptor"),
    ],
)
def test_a_mistake_is_one_line(place, monkeypatch, flags, message):
    monkeypatch.chdir(place)
    status = run_study("region_weights", *flags, "--out=wrong")
    assert isinstance(status, str) and status.startswith("error: ") and message in status
    assert "\n" not in status and not (place / "wrong").exists()
