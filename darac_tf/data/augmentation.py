"""Random crop, flip and light for training, reproducible from a seed.

The ranges are a reconstruction: the paper does not give its augmentation.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from darac_tf.data.images import decode_window, resize

# Weights of red, green and blue in the grey value (ITU-R BT.601).
_GREY_OF = np.repeat(np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=1)
_SAMPLED = 8
# Makes the seed of flip and light another one than that of the crop.
_OF_REST = [1, 0]


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the augmentation.

    Attributes:
        min_area: Smallest share of the image's area that a crop keeps, in (0, 1]; 1 keeps all.
        aspect: Crops have a width : height between `1 / aspect` and `aspect` (1 or more).
        flip: Whether half of the images are mirrored.
        light: Strength of brightness, contrast and saturation changes, 0 (none) to 1.
    """

    min_area: float = 0.4
    aspect: float = 1.33
    flip: bool = True
    light: float = 0.3

    def __call__(self, data, size, seed):
        """Decodes and augments one image.

        Args:
            data: Its file, a scalar string.
            size: Side of the square result, in pixels.
            seed: int tensor `(2,)`.

        Returns:
            float32 `(size, size, 3)` in [0, 255].
        """
        # Few operations: on small images, starting them takes as long as their work.
        image = resize(decode_window(data, partial(self._window, seed)), size, size)
        chances = tf.random.stateless_uniform([4], tf.add(seed, _OF_REST))
        if self.flip:
            is_mirrored = chances[0] < 0.5
            image = tf.cond(is_mirrored, lambda: tf.reverse(image, [1]), lambda: image)
        if self.light:
            image = change_light(image, *tf.unstack(1 + self.light * (2 * chances[1:] - 1)))
        return tf.ensure_shape(image, [size, size, 3])

    def _window(self, seed, shape):
        """`(offset, size)` of a random crop, as `tf.slice` takes them."""
        offset, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.zeros([1, 0, 4]),
            seed=seed,
            min_object_covered=0.0,
            aspect_ratio_range=(1 / self.aspect, self.aspect),
            area_range=(self.min_area, 1.0),
            max_attempts=20,
            use_image_if_no_bounding_boxes=True,
        )
        return offset, size


def change_light(image, gain, contrast, saturation):
    """Changes brightness, contrast and saturation, all at once.

    All three are linear in the pixels, so that one pass over them does: with g the grey value of a
    pixel x, and m the mean value in every eighth row and column,
    `clip(gain * (contrast * (y - m) + m))` where `y = g + saturation * (x - g)`.

    Args:
        image: float32 `(height, width, 3)` in [0, 255].
        gain: Scalar; 1 changes nothing, here and below.
        contrast: Scalar.
        saturation: Scalar; 0 makes it grey.

    Returns:
        float32 `(height, width, 3)` in [0, 255].
    """
    strength = gain * contrast
    colour = strength * (_GREY_OF + saturation * (np.eye(3, dtype=np.float32) - _GREY_OF))
    # Of a sample: the mean of all pixels would cost as much as all the rest.
    shift = (gain - strength) * tf.reduce_mean(image[::_SAMPLED, ::_SAMPLED])
    # As a convolution of one pixel, which is several times faster here than a product of matrices.
    changed = tf.nn.conv2d(image[tf.newaxis], colour[tf.newaxis, tf.newaxis], 1, "VALID")[0]
    return tf.minimum(tf.nn.relu(changed + shift), 255.0)
