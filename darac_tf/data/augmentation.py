"""Random crop, flip and light for training, reproducible from a seed.

The ranges are a reconstruction: the paper does not give its augmentation.
"""

from dataclasses import dataclass

import tensorflow as tf

from darac_tf.data.images import resize

# Weights of red, green and blue in the grey value (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)
_SAMPLED = 8


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

    def __call__(self, image, size, seed):
        """Augments one image.

        Args:
            image: uint8 `(height, width, 3)`.
            size: Side of the square result, in pixels.
            seed: int tensor `(2,)`.

        Returns:
            float32 `(size, size, 3)` in [0, 255].
        """
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 5))
        image = resize(self._crop(image, seeds[0]), size, size)
        if self.flip:
            image = tf.image.stateless_random_flip_left_right(image, seeds[1])
        if self.light:
            image = self._change_light(image, seeds[2:])
        return tf.ensure_shape(image, [size, size, 3])

    def _crop(self, image, seed):
        offset, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            bounding_boxes=tf.zeros([1, 0, 4]),
            seed=seed,
            min_object_covered=0.0,
            aspect_ratio_range=(1 / self.aspect, self.aspect),
            area_range=(self.min_area, 1.0),
            max_attempts=20,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.slice(image, offset, size)

    def _change_light(self, image, seeds):
        low, high = 1 - self.light, 1 + self.light
        gain, contrast, saturation = (
            tf.random.stateless_uniform([], each, low, high) for each in seeds
        )
        return change_light(image, gain, contrast, saturation)


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
    grey = tf.constant(_GREY)[:, tf.newaxis] * tf.ones([1, 3])
    colour = gain * contrast * (saturation * tf.eye(3) + (1 - saturation) * grey)
    # Of a sample: the mean of all pixels would cost as much as all the rest.
    mean = tf.reduce_mean(image[::_SAMPLED, ::_SAMPLED])
    shift = gain * mean - gain * contrast * mean
    # As a convolution of one pixel, which is several times faster here than a product of matrices.
    changed = tf.nn.conv2d(image[tf.newaxis], colour[tf.newaxis, tf.newaxis], 1, "VALID")[0]
    return tf.clip_by_value(changed + shift, 0.0, 255.0)
