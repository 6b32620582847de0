"""Pixels to what a backbone was trained on: the one preprocessing of the project, in the model."""

import keras
import tensorflow as tf

from darac_tf.errors import check_choice

# Modes of `keras.applications.imagenet_utils.preprocess_input`, and none for backbones that rescale
# their input themselves.
MODES = ("tf", "caffe", "torch", "none")

# The longest matching start of a backbone's name decides.
_MODE_OF_FAMILY = {
    "ConvNeXt": "none",
    "DenseNet": "torch",
    "EfficientNet": "none",
    "EfficientNetLite": "tf",
    "Inception": "tf",
    "MobileNet": "tf",
    "MobileNetV3": "none",
    "NASNet": "tf",
    "ResNet": "caffe",
    "VGG": "caffe",
    "Xception": "tf",
}


def mode_of_application(name):
    """The preprocessing mode of a backbone by its name, such as `"ResNet50V2"`."""
    if name.startswith("ResNet") and name.endswith(("V2", "v1.5")):
        return "tf" if name.endswith("V2") else "torch"
    families = [family for family in _MODE_OF_FAMILY if name.startswith(family)]
    return _MODE_OF_FAMILY[max(families, key=len)]


@keras.saving.register_keras_serializable(package="darac_tf")
class Preprocessing(keras.layers.Layer):
    """RGB pixels in [0, 255], of any dtype, to a backbone's input, `(batch, height, width, 3)`.

    Args:
        mode: `"tf"` (to [-1, 1]), `"caffe"` (to BGR less the ImageNet mean), `"torch"` (to [0, 1],
            less mean, by deviation) or `"none"`.
        mean: With `"torch"`: of red, green and blue in [0, 1]; None for ImageNet's.
        deviation: As `mean`.

    Raises:
        ValueError: If `mode` is another, or has a mean or a deviation without the other.
    """

    def __init__(self, mode="tf", mean=None, deviation=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_choice("mode", mode, MODES)
        if (mean is None) != (deviation is None) or (mean is not None and mode != "torch"):
            raise ValueError(
                "`mean` and `deviation` are for the mode 'torch', both or none. "
                f"Received: mode={mode}, mean={mean}, deviation={deviation}"
            )
        self.mode = mode
        self.mean, self.deviation = mean, deviation

    def call(self, inputs):
        pixels = tf.cast(inputs, tf.float32)
        if self.mean is not None:
            pixels = (pixels / 255.0 - self.mean) / self.deviation
        elif self.mode != "none":
            pixels = keras.applications.imagenet_utils.preprocess_input(
                pixels, data_format="channels_last", mode=self.mode
            )
        return tf.cast(pixels, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config() | {"mode": self.mode}
        if self.mean is not None:
            config |= {"mean": self.mean, "deviation": self.deviation}
        config.pop("autocast", None)
        return config
