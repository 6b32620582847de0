"""A network of local features without training, pictures for it, and features without a network."""

import cv2
import keras
import numpy as np
from PIL import Image

from darac_tf.local_features.store import LocalFeatures

STRIDE = 8


def patch_model(filters=48):
    """A DELF model by hand: random projections of patches, and brightness as their attention."""
    rng = np.random.default_rng(5)
    pixels = keras.Input((None, None, 3), name="pixels")
    convolution = keras.layers.Conv2D(filters, 2 * STRIDE, strides=STRIDE, padding="same")
    features = keras.layers.UnitNormalization()(convolution(pixels / 255.0))
    cells = keras.layers.AveragePooling2D(STRIDE, padding="same")(pixels)
    model = keras.Model(pixels, [features, keras.ops.mean(cells, axis=-1)])
    kernel = rng.normal(size=convolution.kernel.shape)
    # Patches are told apart by their shapes, not by their mean colour.
    convolution.set_weights([kernel - kernel.mean(axis=(0, 1)), np.zeros(filters)])
    return model


def texture(height=192, width=256, seed=0):
    """Overlapping discs and bars, uint8 `(height, width, 3)`."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 90, np.uint8)
    for _ in range(120):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        colour = tuple(map(int, rng.integers(30, 255, 3)))
        if rng.random() < 0.5:
            cv2.circle(image, (x, y), int(rng.integers(4, 16)), colour, -1)
        else:
            end = (x + int(rng.integers(-40, 40)), y + int(rng.integers(-40, 40)))
            cv2.line(image, (x, y), end, colour, int(rng.integers(2, 8)))
    return image


def save(path, image):
    Image.fromarray(np.asarray(image, np.uint8)).save(path)
    return str(path)


def random_features(count, seed=0, dim=8, long_side=100.0):
    """Features at random places of a square image."""
    rng = np.random.default_rng(seed)
    descriptors = rng.normal(size=(count, dim))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    locations = rng.uniform(0, long_side, (count, 2))
    attention = np.sort(rng.uniform(size=count))[::-1]
    arrays = (array.astype(np.float32) for array in (descriptors, locations, attention))
    return LocalFeatures(*arrays, long_side)
