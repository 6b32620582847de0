"""Light of training images, against the three changes made one after another in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.augmentation import Augmentation, Draws, change_light, light_matrix


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
    flat = tf.io.encode_png(tf.cast(tf.fill([32, 32, 3], 100), tf.uint8))
    augmentation = Augmentation(light=0.2)
    draws = augmentation.draw(40, [0, 1])
    means = [
        float(tf.reduce_mean(augmentation(flat, 16, Draws(*(rows[image] for rows in draws)))))
        for image in range(40)
    ]
    assert min(means) >= 80 - 1e-2 and max(means) <= 120 + 1e-2 and max(means) - min(means) > 20


def test_matrices_of_many_are_those_of_each():
    factors = np.random.default_rng(0).uniform(0.5, 1.5, (3, 7)).astype(np.float32)
    colours, lifts = light_matrix(*factors)
    for place, each in enumerate(factors.T):
        colour, lift = light_matrix(*each)
        np.testing.assert_allclose(colours[place], colour, rtol=1e-6)
        np.testing.assert_allclose(lifts[place], lift, rtol=1e-6)
