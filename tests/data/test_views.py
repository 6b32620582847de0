"""Views: boxes rounded as Pillow crops, shapes after crop and turn, boxes of another image."""

import numpy as np
import pytest
from PIL import Image

from darac_tf.data.views import ImageList, are_jpeg, decoding_ratios, plan_views, read_views
from darac_tf.describing.sizes import Factor, LongSide
from darac_tf.errors import UserError
from tests.helpers import write_image

WHOLE = [np.nan] * 4


def _views(sizes, boxes=None, turns=None):
    paths = np.array([f"{i}.jpg" for i in range(len(sizes))])
    boxes = None if boxes is None else np.array(boxes, float)
    return plan_views(ImageList(paths, boxes, turns), np.array(sizes))


def test_whole_images():
    for boxes in (None, [WHOLE, WHOLE]):
        views = _views([(30, 40), (50, 20)], boxes, np.array([0, 0]))
        assert views.boxes is None and views.turns is None
        assert views.shapes.tolist() == [[30, 40], [50, 20]]


def test_shapes_and_rounding_are_those_of_pillow():
    rng = np.random.default_rng(0)
    halves = rng.integers(0, 40, (300, 2)) / 2
    boxes = np.concatenate([halves, halves + 5 + rng.integers(0, 60, (300, 2)) / 2], axis=1)
    boxes[7] = WHOLE
    views = _views([(60, 70)] * 300, boxes)
    image = Image.new("RGB", (70, 60))
    for index, box in enumerate(boxes):
        width, height = image.size if index == 7 else image.crop(tuple(box)).size
        assert views.shapes[index].tolist() == [height, width]
    assert views.boxes[7].tolist() == [0, 0, 70, 60]


def test_halves_go_to_even():
    box = _views([(1000, 1000)], [[136.5, 34.1, 648.5, 955.7]]).boxes[0]
    assert box.tolist() == [136, 34, 648, 956]
    assert _views([(1000, 1000)], [[137.5, 0.5, 649.5, 955.5]]).boxes[0].tolist() == [
        138, 0, 650, 956,
    ]  # fmt: skip


def test_turns_swap_the_sides_of_the_crop():
    boxes = [WHOLE, [0, 0, 10, 20], [0, 0, 10, 20], [0, 0, 10, 20]]
    views = _views([(30, 40)] * 4, boxes, np.array([1, 1, 2, 3]))
    assert views.shapes.tolist() == [[40, 30], [10, 20], [20, 10], [10, 20]]


def test_a_few_pixels_outside_are_allowed_and_more_are_not():
    assert _views([(100, 100)], [[-2, 0, 98, 103]]).shapes.tolist() == [[103, 100]]
    with pytest.raises(UserError, match=r"^1\.jpg: the box \(0, 0, 150, 90\) lies outside the "):
        _views([(100, 150), (100, 100)], [[0, 0, 150, 90]] * 2)
    for box in ([20, 20, 20, 40], [30, 20, 20, 40], [20, 20, 20.4, 40]):
        with pytest.raises(UserError, match=r"^0\.jpg: the box .* is empty"):
            _views([(100, 100)], [box])


def test_unreadable_images_are_not_checked():
    assert _views([(0, 0)], [[0, 0, 5, 5]]).boxes is not None


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="Received: 1 boxes for 2"):
        _views([(9, 9)] * 2, [WHOLE])
    with pytest.raises(ValueError, match="Received: 3 turns for 2"):
        _views([(9, 9)] * 2, None, np.zeros(3, int))


def test_unreadable_headers_are_collected_on_request(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    good = write_image(tmp_path / "good.jpg", 40, 56)
    paths = [good, str(tmp_path / "text.jpg"), str(tmp_path / "absent.jpg")]
    views, failures = read_views(paths, progress=False, skip_bad=True)
    assert list(failures) == [1, 2] and "absent.jpg: no such image" in failures[2]
    assert views.whole.tolist() == [[40, 56], [0, 0], [0, 0]]
    with pytest.raises(UserError, match=r"text\.jpg: cannot be decoded"):
        read_views(paths, progress=False)


@pytest.mark.parametrize(
    "sizes", [[LongSide(40)], [LongSide(11), LongSide(30)], [Factor(0.5)], [Factor(0.2)]]
)
def test_ratios_are_the_largest_with_twice_the_pixels(sizes):
    shapes = np.random.default_rng(0).integers(1, 400, (60, 2))
    found = decoding_ratios(shapes, sizes)
    for (height, width), ratio in zip(shapes.tolist(), found, strict=True):
        needed = 2 * max(max(size.planned_size(height, width)) for size in sizes)
        enough = [r for r in (1, 2, 4, 8) if -(-max(height, width) // r) >= needed]
        assert ratio == max(enough, default=1)
    assert found.max() > 1 or sizes == [Factor(0.5)]


def test_files_are_told_by_their_first_bytes(tmp_path):
    pixels = Image.new("RGB", (9, 9))
    pixels.save(tmp_path / "a.png", "JPEG")
    pixels.save(tmp_path / "b.jpg", "PNG")
    names = [tmp_path / name for name in ("a.png", "b.jpg", "absent.jpg")]
    assert are_jpeg(names).tolist() == [True, False, False]
