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
    if name.startswith("ResNet") and name.endswith("V2"):
        return "tf"
    families = [family for family in _MODE_OF_FAMILY if name.startswith(family)]
    return _MODE_OF_FAMILY[max(families, key=len)]


@keras.saving.register_keras_serializable(package="darac_tf")
class Preprocessing(keras.layers.Layer):
    """RGB pixels in [0, 255], of any dtype, to a backbone's input, `(batch, height, width, 3)`.

    Args:
        mode: `"tf"` (to [-1, 1]), `"caffe"` (to BGR less the ImageNet mean), `"torch"` (to [0, 1],
            less mean, by deviation) or `"none"`.

    Raises:
        ValueError: If `mode` is another.
    """

    def __init__(self, mode="tf", **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_choice("mode", mode, MODES)
        self.mode = mode

    def call(self, inputs):
        pixels = tf.cast(inputs, tf.float32)
        if self.mode != "none":
            pixels = keras.applications.imagenet_utils.preprocess_input(
                pixels, data_format="channels_last", mode=self.mode
            )
        return tf.cast(pixels, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config() | {"mode": self.mode}
        config.pop("autocast", None)
        return config
