"""Small images, collections and networks that the tests share."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image


def write_image(path, height=40, width=56, seed=0, base=None):
    """Writes a smooth random image: noise at 1/8 of the size, enlarged, on a base colour."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (max(height // 8, 1), max(width // 8, 1), 3))
    if base is not None:
        small = 0.3 * small + 0.7 * np.asarray(base)
    image = Image.fromarray(small.astype(np.uint8)).resize((width, height), Image.BICUBIC)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return str(path)


def write_collection(folder, classes=4, images=4):
    """Writes a folder of classes that differ in colour and, less so, in size."""
    rng = np.random.default_rng(99)
    for label in range(classes):
        base = rng.uniform(0, 255, 3)
        for view in range(images):
            path = Path(folder) / f"class_{label}" / f"{view}.jpg"
            size = (40 + 8 * (view % 2), 48 + 8 * (label % 3))
            write_image(path, *size, seed=100 * label + view, base=base)
    return Path(folder)


def write_backbone(path, channels=16):
    """Writes a small network of stride 8 with batch normalisation, as a `.keras` file."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(channels, 4, strides=4, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(x)
    keras.Model(inputs, x, name="small").save(path)
    return str(path)


def slow_but(kept, values):
    """Parameters of a test: those that are kept run always, the others with `-m slow`."""
    return [pytest.param(v, marks=() if v in kept else pytest.mark.slow) for v in values]
