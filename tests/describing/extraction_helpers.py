"""Images and a describing function without a network, for the tests of extraction."""

import numpy as np
import tensorflow as tf

from darac_tf.describing.extraction import extract_features
from darac_tf.engines import FunctionEngine
from tests.helpers import write_image


def halves(pixels):
    """Mean colours of the left, right, upper and lower half, and the shape: `(batch, 14)`."""
    height, width = tf.shape(pixels)[1], tf.shape(pixels)[2]
    parts = [
        pixels[:, :, : (width + 1) // 2],
        pixels[:, :, width // 2 :],
        pixels[:, : (height + 1) // 2],
        pixels[:, height // 2 :],
    ]
    means = [tf.reduce_mean(part, axis=(1, 2)) for part in parts]
    shape = tf.cast(tf.tile([[height, width]], [tf.shape(pixels)[0], 1]), tf.float32)
    return tf.concat([*means, shape], axis=1)


class Counting(FunctionEngine):
    """Describes by `halves`, and counts the images."""

    def __init__(self, names=("d",)):
        super().__init__(self._describe)
        self.names = names
        self.images = tf.Variable(0)

    def _describe(self, pixels):
        self.images.assign_add(tf.shape(pixels)[0])
        return {name: halves(pixels) + place for place, name in enumerate(self.names)}

    def counted(self):
        """Images since it was last asked."""
        count = int(self.images.numpy())
        self.images.assign(0)
        return count


# Traced once for all tests.
HALVES = FunctionEngine(lambda pixels: {"d": halves(pixels)})


def write_images(folder, count=12, suffix="png"):
    """Paths of new images in three shapes."""
    shapes = [(48, 64), (64, 48), (40, 40)]
    return np.array(
        [write_image(folder / f"{i}.{suffix}", *shapes[i % 3], seed=i) for i in range(count)]
    )


def extract_all(images, sizes, describe=HALVES, cache=None, **options):
    """`Features` in batches of a few images."""
    options = {"batch_pixels": 9000, "progress": False, **options}
    return extract_features(describe, images, sizes, cache, **options)


def extract(images, size, describe=HALVES, cache=None, **options):
    """Array `(images, 14)` at one size, and the `Features`."""
    features = extract_all(images, [size], describe, cache, **options)
    return np.asarray(features[size]["d"]), features
