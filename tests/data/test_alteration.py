"""Altered copies: what is drawn keeps its ranges, and a copy is what Pillow makes of it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from darac_tf.data import alteration
from darac_tf.data.alteration import Alteration, alter, draw_alteration


@pytest.fixture(scope="module")
def photograph():
    """(150, 200, 3) uint8, smooth."""
    small = np.random.default_rng(0).uniform(60, 190, (10, 13, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((200, 150), Image.BICUBIC)


def corners(height, width, drawn):
    """The part's corners in pixels, one after another."""
    angle = np.radians(drawn.angle)
    for x in (-0.5, 0.5):
        for y in (-0.5, 0.5):
            dx, dy = (s * w * np.sqrt(drawn.area) for s, w in ((x, width), (y, height)))
            # What is seen turned counter-clockwise is a part that lies clockwise.
            across = dx * np.cos(angle) - dy * np.sin(angle)
            down = dx * np.sin(angle) + dy * np.cos(angle)
            yield drawn.centre[0] + across, drawn.centre[1] + down


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (256, 256), (40, 900)])
def test_what_is_drawn_keeps_its_ranges(height, width):
    random = np.random.default_rng(1)
    every = [draw_alteration(random, height, width) for _ in range(400)]
    areas, angles = (np.array([getattr(d, name) for d in every]) for name in ("area", "angle"))
    assert 0.25 <= areas.min() < 0.27 and 0.77 < areas.max() <= 0.8
    assert np.abs(angles).max() <= 15 and angles.min() < -1 and angles.max() > 1
    places = np.array([list(corners(height, width, drawn)) for drawn in every])
    assert (places > -1e-9).all() and (places < np.array([width, height]) + 1e-9).all()
    # The middle is not always the middle.
    assert np.ptp(np.array([d.centre for d in every])[:, 0]) > 0.3 * width
    for drawn in every:
        assert drawn.long_side <= min(1024, round(np.sqrt(drawn.area) * max(height, width)))
        assert 30 <= drawn.quality <= 90
        assert (np.abs(np.array(drawn.light) - 1) <= [0.3, 0.3, 0.6]).all()


def test_square_photographs_are_turned_by_all_degrees():
    random = np.random.default_rng(2)
    angles = [draw_alteration(random, 300, 300).angle for _ in range(400)]
    assert min(angles) < -14 and max(angles) > 14


def copy_of(photograph, **changes):
    same = {"area": 0.25, "angle": 0.0, "centre": (100.0, 75.0), "long_side": 100}
    drawn = Alteration(**same | {"light": (1.0, 1.0, 1.0), "quality": 100} | changes)
    return np.asarray(Image.open(io.BytesIO(alter(np.asarray(photograph), drawn))), np.float32)


def test_a_part_is_that_of_pillow(photograph):
    found = copy_of(photograph, centre=(60.0, 90.0))
    wanted = np.asarray(photograph.crop((10, 53, 110, 128)), np.float32)  # 52.5 to 127.5
    assert found.shape == wanted.shape == (75, 100, 3)
    assert np.abs(found - wanted).mean() < 2.5
    even = copy_of(photograph, area=0.64, long_side=160)
    whole = np.asarray(photograph.crop((20, 15, 180, 135)), np.float32)
    assert np.abs(even - whole).mean() < 1


@pytest.mark.parametrize("angle", [-12.0, 7.0])
def test_a_turned_part_is_that_of_pillow(photograph, angle):
    found = copy_of(photograph, area=0.36, long_side=120, angle=angle)
    turned = photograph.rotate(angle, Image.BICUBIC).crop((40, 30, 160, 120))
    assert np.abs(found - np.asarray(turned, np.float32)).mean() < 1.5
    straight = np.asarray(photograph.crop((40, 30, 160, 120)), np.float32)
    assert np.abs(found - straight).mean() > 4


def test_size_light_and_quality(photograph):
    assert copy_of(photograph, long_side=40).shape == (30, 40, 3)
    plain = copy_of(photograph)
    brighter = copy_of(photograph, light=(1.2, 1.0, 1.0))
    assert brighter.mean() == pytest.approx(1.2 * plain.mean(), rel=0.02)
    grey = copy_of(photograph, light=(1.0, 1.0, 0.0))
    middle = photograph.crop((50, 38, 150, 113))
    by_pillow = np.asarray(ImageEnhance.Color(middle).enhance(0.0), np.float32)
    assert np.abs(grey - by_pillow).mean() < 4 and np.ptp(grey, axis=2).mean() < 3
    drawn = Alteration(0.5, 3.0, (100.0, 75.0), 120, (1, 1, 1), 30)
    pixels = np.asarray(photograph)
    assert alter(pixels, drawn) == alter(pixels, drawn)
    finer = Alteration(0.5, 3.0, (100.0, 75.0), 120, (1, 1, 1), 90)
    assert len(alter(pixels, finer)) > len(alter(pixels, drawn))


def test_a_single_pixel_has_a_copy():
    drawn = draw_alteration(np.random.default_rng(0), 1, 1)
    assert alter(np.full((1, 1, 3), 90, np.uint8), drawn).startswith(b"\xff\xd8")
    assert alteration.MAX_ANGLE == 15
