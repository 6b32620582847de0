"""The faster gradient of convolutions equals TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.models import build_backbone
from darac_tf.training.convolutions import convolve, speed_up_gradients


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 3), (2, 2), (4, 3), (1, 5)])
@pytest.mark.parametrize("map_size", [(5, 7), (4, 5)])
def test_values_and_gradients_are_those_of_tensorflow(padding, kernel_size, map_size):
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(2, *map_size, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(*kernel_size, 3, 4)), tf.float32)

    def run(op):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            maps = op(images, kernel)
            loss = tf.reduce_sum(maps * tf.cos(maps))
        return maps, *tape.gradient(loss, [images, kernel])

    found = run(lambda x, k: convolve(x, k, padding))
    wanted = run(lambda x, k: tf.nn.conv2d(x, k, 1, padding))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def small_model():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.Conv2D(4, 3, strides=2),
            layers.DepthwiseConv2D(3),
            layers.Conv2D(4, 3, dilation_rate=2),
            layers.Conv2D(4, 1, groups=2),
            layers.Conv2D(5, 3, use_bias=False),
        ]
    )


def gradients_of(model):
    images = tf.random.stateless_uniform([2, 24, 20, 3], [1, 2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(images, training=True)))
    return tape.gradient(loss, [v.value for v in model.trainable_variables])


def test_a_models_gradients_stay_the_same():
    wanted = gradients_of(small_model())
    model = small_model()
    assert speed_up_gradients(model) == 2
    for ours, theirs in zip(gradients_of(model), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_nothing_of_it_is_stored_with_the_model(tmp_path):
    model = small_model()
    speed_up_gradients(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.layers[0]) is keras.layers.Conv2D
    assert speed_up_gradients(again) == 2  # not set yet
    images = np.ones((1, 24, 24, 3), np.float32)
    np.testing.assert_allclose(again(images), model(images), rtol=1e-6)


@pytest.mark.slow
def test_every_convolution_of_stride_1_of_the_default_backbone_is_sped_up():
    model, _ = build_backbone("ResNet50V2", "none")
    assert model.output_shape == (None, None, None, 2048)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    strided = [x for x in convolutions if x.strides != (1, 1)]
    assert speed_up_gradients(model) == len(convolutions) - len(strided)
    assert len(strided) == 4


def test_half_precision():
    images = tf.ones([1, 4, 4, 2], tf.bfloat16)
    kernel = tf.ones([3, 3, 2, 2], tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(images)
        maps = convolve(images, kernel, "SAME")
    assert tape.gradient(maps, images).dtype == tf.bfloat16
