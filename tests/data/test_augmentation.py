"""Augmentation: crops, mirroring, and light against its three changes made one after another."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.data.augmentation import Augmentation, Draws, change_light, light_matrix
from tests.photographs import expected, file_of


def one_after_another(image, gain, contrast, saturation):
    grey = (image @ np.array([0.299, 0.587, 0.114]))[..., np.newaxis]
    mean = image[::8, ::8].mean()
    coloured = grey + saturation * (image - grey)
    return np.clip(gain * (contrast * (coloured - mean) + mean), 0, 255)


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 255, (24, 33, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "factors", [(1, 1, 1), (1.3, 1, 1), (1, 0.7, 1), (1, 1, 0), (0.8, 1.2, 1.3), (2, 2, 2)]
)
def test_it_is_gain_contrast_and_saturation(image, factors):
    found = change_light(tf.constant(image), *light_matrix(*factors)).numpy()
    np.testing.assert_allclose(found, one_after_another(image, *factors), atol=2e-3)


def test_nothing_changes_at_one_and_no_saturation_is_grey(image):
    np.testing.assert_allclose(
        change_light(tf.constant(image), *light_matrix(1, 1, 1)), image, atol=1e-3
    )
    grey = change_light(tf.constant(image), *light_matrix(1, 1, 0)).numpy()
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-3)


def test_strength_bounds_the_change_of_a_flat_image():
    flat = np.full((32, 32, 3), 100, np.uint8)
    means = _augmented(Augmentation(light=0.2), flat, 1, 40, (16, 16)).mean(axis=(1, 2, 3))
    assert min(means) >= 80 - 1e-2 and max(means) <= 120 + 1e-2 and max(means) - min(means) > 20


def test_matrices_of_many_are_those_of_each():
    factors = np.random.default_rng(0).uniform(0.5, 1.5, (3, 7)).astype(np.float32)
    colours, lifts = light_matrix(*factors)
    for place, each in enumerate(factors.T):
        colour, lift = light_matrix(*each)
        np.testing.assert_allclose(colours[place], colour, rtol=1e-6)
        np.testing.assert_allclose(lifts[place], lift, rtol=1e-6)


def _augmented(augmentation, image, seed, count=1, shape=(32, 32)):
    data = tf.io.encode_png(image)
    draws = augmentation.draw(count, [0, seed])
    each = [Draws(*(rows[place] for rows in draws)) for place in range(count)]
    # A trace takes as long as several images without one.
    augment = tf.function(augmentation, autograph=False) if count > 9 else augmentation
    return np.stack([augment(data, shape, own) for own in each])


def test_without_augmentation_it_is_the_resized_image():
    plain = Augmentation(min_area=1.0, aspect=1.0, flip=False, light=0.0)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(_augmented(plain, image, 2)[0], image, atol=1e-3)


def test_augmentation_follows_its_seed():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    one, same, other = (_augmented(Augmentation(), image, seed, 2) for seed in (2, 2, 3))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 5 and np.abs(one[0] - one[1]).mean() > 5


def test_crops_are_of_the_upright_image():
    lying = file_of("PNG", "RGB", 40, 60, 6)
    copy = tf.io.encode_png(expected(lying))
    augmentation = Augmentation()
    draws = Draws(*(rows[0] for rows in augmentation.draw(1, [0, 3])))
    found, same = (augmentation(data, (24, 32), draws) for data in (lying, copy))
    np.testing.assert_allclose(found, same, atol=1e-3)
    stored = Augmentation(orientation="stored")(lying, (24, 32), draws)
    assert np.abs(stored - found).max() > 5


def test_flip_mirrors_half_of_the_images():
    flip = Augmentation(min_area=1.0, aspect=1.0, flip=True, light=0.0)
    image = np.tile(np.arange(32, dtype=np.uint8)[None, :, None], (32, 1, 3))
    mirrored = _augmented(flip, image, 0, 60)[:, 0, 0, 0] > 16
    assert 15 < sum(mirrored) < 45


def test_crops_differ_and_keep_to_their_share_and_shape():
    part = Augmentation(min_area=0.4, flip=False, light=0.0)
    # Red grows to the right and green downwards, so that they tell the window's sides.
    down, across = np.mgrid[:150, :200].astype(np.uint8)
    image = np.stack([across, down, across], axis=2)
    found = _augmented(part, image, 1, 60)
    widths = (found[:, 16, -1, 0] - found[:, 16, 0, 0]) * 32 / 31
    heights = (found[:, -1, 16, 1] - found[:, 0, 16, 1]) * 32 / 31
    shares, aspects = widths * heights / (150 * 200), widths / heights
    assert 0.38 < shares.min() < 0.5 and 0.8 < shares.max() < 1.02
    assert 0.73 < aspects.min() < 0.85 and 1.2 < aspects.max() < 1.36


@pytest.mark.parametrize("shape", [(24, 32), (32, 24), (20, 20)])
def test_a_crop_of_a_shape_is_that_part_of_the_image(shape):
    # Two channels tell the place of a pixel, the third is a picture.
    image = np.zeros((150, 200, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(200), np.arange(150)[:, None]
    picture = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.uint8)
    image[..., 2] = Image.fromarray(picture).resize((200, 150), Image.BICUBIC)
    plain = Augmentation(min_area=0.2, aspect=1.0, flip=False, light=0.0)
    height, width = shape
    windows = []
    for found in _augmented(plain, image, 3, 12, shape):
        # The middle half, where a ramp stays one: pixels apart, and the place of the first edge.
        places = found[height // 4 : -(height // 4), width // 4 : -(width // 4)]
        steps = [np.polyfit(range(len(p)), p, 1)[0] for p in (places[0, :, 0], places[:, 0, 1])]
        centre = places[..., :2].mean(axis=(0, 1)) + 0.5
        sides = np.rint(np.multiply(steps, (width, height))).astype(int)
        left, top = np.rint(centre - sides / 2).astype(int)
        right, bottom = left + sides[0], top + sides[1]
        assert left >= 0 and top >= 0 and right <= 200 and bottom <= 150
        assert abs(sides[0] / sides[1] - width / height) < 0.03
        cut = Image.fromarray(image[top:bottom, left:right])
        expected = np.asarray(cut.resize((width, height), Image.BILINEAR), np.float32)
        np.testing.assert_allclose(found, expected, atol=1.5)
        windows.append((left, top, right, bottom))
    assert len(set(windows)) > 8
