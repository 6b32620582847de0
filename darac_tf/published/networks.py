"""What the layouts of PyTorch share: a ResNet of version 1.5, and what follows its maps."""

from dataclasses import dataclass, field

import numpy as np

from darac_tf.errors import UserError
from darac_tf.layers import Projected
from darac_tf.models.descriptor import POOLING_LAYER, compose
from darac_tf.models.preprocessing import Preprocessing
from darac_tf.models.resnet_v15 import RESNET_V15, resnet_v15
from darac_tf.models.torch_weights import set_torch_weights


@dataclass(frozen=True)
class Published:
    """A model of others.

    Attributes:
        descriptor: Keras model, as of `models.descriptor.compose`.
        layout: Whose files are like it.
        facts: What its file says of it, plain JSON values.
        whitenings: Dictionary of name to `whitening.Whitening`.
        system: Preset of eval.py that its authors' evaluation is one of, or None.
        evaluation: Settings of eval.py that their own evaluation has, beyond the preset's.
        whitening: Which of the whitenings that evaluation has, by name: `{"one": ..., "several":
            ...}`, at one size and at several; empty for none.
    """

    descriptor: object
    layout: str
    facts: dict
    whitenings: dict = field(default_factory=dict)
    system: str | None = None
    evaluation: dict = field(default_factory=dict)
    whitening: dict = field(default_factory=dict)


def descriptor_of(network, pooling, mean, deviation, dense=None, normalize=True):
    """A descriptor: the network, a pooling, and a dense layer after it where there is one.

    `dense` is `(weight (dim, channels), bias (dim,))`. The mean and deviation are of RGB in [0, 1].
    """
    if dense is not None:
        pooling = Projected(pooling, len(dense[1]), normalize, name=POOLING_LAYER)
    descriptor = compose(network, Preprocessing("torch", mean, deviation), pooling)
    if dense is not None:
        pooling.set_projection(*dense)
    return descriptor


def resnet_of(architecture, tensors, name_of, stem, source):
    """The network of an architecture such as `resnet101`, with its weights; width as its stem's.

    `UserError` if there is no such architecture, or the tensors are not its own.
    """
    name = f"{architecture.replace('resnet', 'ResNet')}v1.5"
    if name not in RESNET_V15:
        known = ", ".join(each.removesuffix("v1.5").lower() for each in RESNET_V15)
        raise UserError(f"{source}: its architecture is {architecture!r}; {known} can be read")
    if stem not in tensors or tensors[stem].ndim != 4:
        raise UserError(
            f"{source}: has no tensor {stem!r}, the first convolution of {architecture}"
        )
    network = resnet_v15(name, len(tensors[stem]))
    set_torch_weights(network, tensors, name_of, source)
    return network


def exponent_of(tensor, source):
    """The exponent of GeM; `UserError` if it is missing, or not one number above 0."""
    values = np.ravel([] if tensor is None else tensor)
    if values.size != 1 or not 0 < values[0] < np.inf:
        raise UserError(f"{source}: the exponent of its GeM is not one number above 0")
    return float(values[0])


def take_linear(tensors, name, source):
    """Removes a dense layer's `(weight, bias)` from tensors; None where there is no such layer."""
    names = [f"{name}.{part}" for part in ("weight", "bias")]
    if not any(each in tensors for each in names):
        return None
    for each, axes in zip(names, (2, 1), strict=True):
        if each not in tensors or tensors[each].ndim != axes:
            raise UserError(f"{source}: {each!r} is missing or of another shape")
    weight, bias = (np.asarray(tensors.pop(each), np.float32) for each in names)
    if len(weight) != len(bias):
        raise UserError(f"{source}: {name!r} has {len(weight)} rows and {len(bias)} shifts")
    return weight, bias


def checked_colours(mean, deviation, source):
    """Mean and deviation of red, green and blue as lists; `UserError` if they are none."""
    try:
        mean, deviation = (np.asarray(x, np.float64) for x in (mean, deviation))
        is_sound = mean.shape == deviation.shape == (3,) and (deviation > 0).all()
    except (TypeError, ValueError):
        is_sound = False
    if not is_sound or not np.isfinite([mean, deviation]).all():
        raise UserError(f"{source}: its mean and deviation of colours are not three numbers each")
    return mean.tolist(), deviation.tolist()
