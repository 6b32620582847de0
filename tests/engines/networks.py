"""A small residual network with all that the engines rewrite, as of a trained one."""

import keras
import numpy as np
from keras import layers

from darac_tf.models import Preprocessing
from darac_tf.models.descriptor import make_pooling, share_backbone

SHAPES = ((3, 64, 80), (1, 40, 96), (2, 57, 33))


def residual_network(channels=16):
    """Foldable and unfoldable batch normalisation, a residual sum, a sum that broadcasts."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(channels, 4, strides=4, padding="same")(inputs)
    y = layers.ReLU()(layers.BatchNormalization()(x))  # in front of a convolution: it stays
    y = layers.Conv2D(channels, 1, use_bias=False)(y)
    y = layers.ReLU()(layers.BatchNormalization(scale=False)(y))
    y = layers.Conv2D(channels, 3, padding="same")(y)
    x = layers.Add()([x, y])
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Add()([x, layers.Conv2D(channels, 1)(pooled)])
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization(center=False)(x))
    return randomised(keras.Model(inputs, x, name="residual"))


def randomised(model):
    """Weights of all layers as training leaves them: no zero biases, no unit variances."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name in ("beta", "bias", "moving_mean"):
                weight.assign(rng.normal(0, 0.2, weight.shape))
            elif weight.name in ("gamma", "moving_variance"):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def parts(network=None):
    """`(network, preprocessing, poolings)` as `make_engine` takes them."""
    network = network or residual_network()
    poolings = {name: make_pooling(name) for name in ("gem", "darac")}
    for layer in poolings.values():
        layer.build((None, None, None, network.output_shape[-1]))
    return network, Preprocessing("tf"), poolings


def pixels(shape, seed=0):
    """Smooth random pixels `(*shape, 3)` in [0, 255], float32."""
    rng = np.random.default_rng(seed)
    count, height, width = shape
    coarse = rng.uniform(0, 255, (count, -(-height // 8), -(-width // 8), 3))
    smooth = keras.ops.image.resize(coarse.astype(np.float32), (height, width))
    return np.asarray(smooth)


def expected(parts, batch):
    """What the layers give as they are."""
    return {k: np.asarray(v) for k, v in share_backbone(*parts)(batch).items()}


def described(engine, batch):
    """What an engine gives, as arrays."""
    return {k: np.asarray(v) for k, v in engine(batch).items()}


def smallest_cosine(first, second):
    """Over all descriptors and images."""
    return min(float(np.sum(first[name] * second[name], axis=1).min()) for name in first)
