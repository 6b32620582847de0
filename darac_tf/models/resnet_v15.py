"""ResNet 50, 101 and 152 of version 1.5 in Keras: the networks of torchvision.

The stride of a stage is that of the first 3x3 convolution. Keras's own ResNets are of version 1,
whose stride is that of the 1x1 before it: with the same weights they are other networks.

Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (arXiv 1512.03385), as
torchvision builds it.
"""

import keras
from keras import layers

# Blocks of each of the four stages.
RESNET_V15 = {
    "ResNet50v1.5": (3, 4, 6, 3),
    "ResNet101v1.5": (3, 4, 23, 3),
    "ResNet152v1.5": (3, 8, 36, 3),
}
_CHANNELS = 64


def resnet_v15(name, width=_CHANNELS):
    """A network without its top and with random weights.

    It maps RGB in [0, 1] less the ImageNet mean, by its deviation, `(batch, height, width, 3)`, to
    feature maps `(batch, rows, columns, 32 * width)`, of stride 32, any size rounded up; values of
    at least 0. Layers are called as torchvision calls its own, with `_` for dots.

    Args:
        name: A key of `RESNET_V15`.
        width: Channels of the stem; those of the published networks by default.
    """
    inputs = keras.Input((None, None, 3))
    x = _convolution(inputs, "conv1", "bn1", width, 7, 2)
    x = layers.ReLU(name="relu")(x)
    x = layers.ZeroPadding2D(1, name="maxpool_pad")(x)  # Nothing is below 0 here.
    x = layers.MaxPooling2D(3, 2, name="maxpool")(x)
    for stage, blocks in enumerate(RESNET_V15[name]):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            x = _block(x, f"layer{stage + 1}_{block}", width * 2**stage, stride)
    return keras.Model(inputs, x, name=name.lower().replace(".", "_"))


def torch_name(layer):
    """What torchvision calls a layer of `resnet_v15`: `layer1_0_conv1` is `layer1.0.conv1`."""
    return layer.replace("_", ".")


def _block(x, name, channels, stride):
    """A bottleneck: narrower, 3x3, wider, and the way around it."""
    start = x
    for number, (size, step) in enumerate([(1, 1), (3, stride)], 1):
        x = _convolution(x, f"{name}_conv{number}", f"{name}_bn{number}", channels, size, step)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    x = _convolution(x, f"{name}_conv3", f"{name}_bn3", 4 * channels, 1)
    if stride != 1 or start.shape[-1] != x.shape[-1]:
        around = f"{name}_downsample_0", f"{name}_downsample_1"
        start = _convolution(start, *around, 4 * channels, 1, stride)
    x = layers.Add(name=f"{name}_add")([x, start])
    return layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, name, norm, channels, size, stride=1):
    """With batch normalisation. Pads the same on all sides, where Keras pads less before."""
    if size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(channels, size, stride, use_bias=False, name=name)(x)
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=norm)(x)
