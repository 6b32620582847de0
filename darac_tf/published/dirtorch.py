"""DIR and AP-GeM: files of deep-image-retrieval (`dirtorch`).

A file is `{"model_options": ..., "state_dict": ..., "preprocess": ..., "pca": ...}`: a ResNet as
torchvision has it, a pooling, and a fully connected layer. The whitenings are PCAs of scikit-learn
by the name of their set.

Source: https://github.com/naver/deep-image-retrieval, of Gordo, Almazan, Revaud, Larlus (IJCV
2017) and Revaud, Almazan, Rezende, de Souza, "Learning with average precision" (ICCV 2019).
"""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.layers import MAC, GeM, SPoC
from darac_tf.models.descriptor import POOLING_LAYER
from darac_tf.models.resnet_v15 import torch_name
from darac_tf.published.networks import (
    Published,
    checked_colours,
    descriptor_of,
    exponent_of,
    resnet_of,
    take_linear,
)
from darac_tf.whitening import PUBLISHED, Whitening

# Of test_dir.py: variances to this power, where 0.5 whitens, images as they are, and the whitening.
_POWER = 0.25
_SIZE = "x1"
_WHITENED_ON = "Landmarks_clean"


def is_dirtorch(content):
    """Whether the content of a file is of this layout."""
    return isinstance(content, dict) and {"model_options", "state_dict"} <= content.keys()


def from_dirtorch(content, source):
    """The `Published` of a file's content; `UserError` names what is missing or unknown in it."""
    options = content["model_options"]
    architecture = str(options.get("arch"))
    if not architecture.endswith("_rmac") or options.get("center_bias"):
        raise UserError(
            f"{source}: is a {architecture}, center_bias={options.get('center_bias', 0)}; ResNets "
            "such as resnet101_rmac without a bias of the centre can be read"
        )
    tensors = {n.removeprefix("module."): t for n, t in content["state_dict"].items()}
    colours = content.get("preprocess") or {}
    mean, deviation = checked_colours(colours.get("mean"), colours.get("std"), source)
    dense = take_linear(tensors, "fc", source)
    if options.get("without_fc"):
        dense = None
    elif dense is None:
        raise UserError(f"{source}: has no tensor 'fc.weight', of its fully connected layer")
    exponent = tensors.pop("adpool.p", None)
    network = resnet_of(
        architecture.removesuffix("_rmac"), tensors, torch_name, "conv1.weight", source
    )
    pooling = _pooling(str(options.get("pooling", "gem")), exponent, source)
    normalize = bool(options.get("norm_features"))
    descriptor = descriptor_of(network, pooling, mean, deviation, dense, normalize)
    facts = {name: options.get(name) for name in ("arch", "pooling", "norm_features", "out_dim")}
    facts |= {"mean": mean, "std": deviation}
    whitenings = _whitenings(content, source)
    how = {"resolutions": [_SIZE], "combination": "sum"}
    used = _WHITENED_ON if _WHITENED_ON in whitenings else next(iter(whitenings), None)
    of_sizes = dict.fromkeys(("one", "several"), used) if used else {}
    return Published(descriptor, "dirtorch", facts, whitenings, "dir", how, of_sizes)


def _pooling(name, exponent, source):
    if name == "max":
        return MAC(name=POOLING_LAYER)
    if name == "avg":
        return SPoC(name=POOLING_LAYER)
    if not name.startswith("gem"):
        raise UserError(f"{source}: its pooling is {name!r}; max, avg and gem can be read")
    return GeM(exponent_of(exponent, source), name=POOLING_LAYER)


def _whitenings(content, source):
    found = {}
    for data_set, pca in (content.get("pca") or {}).items():
        names = ("mean_", "components_", "explained_variance_")
        if not isinstance(pca, dict) or not set(names) <= pca.keys():
            raise UserError(f"{source}: the PCA of {data_set} has no {', '.join(names)}")
        mean, components, variances = (np.asarray(pca[name], np.float64) for name in names)
        if components.shape != (variances.size, mean.size) or not (variances > 0).all():
            raise UserError(f"{source}: the PCA of {data_set} has no shape, or variances of 0")
        projection = components / variances[:, np.newaxis] ** _POWER
        provenance = {"kind": "pca", "images": str(data_set), "power": _POWER}
        provenance[PUBLISHED] = "dirtorch"
        found[str(data_set)] = Whitening(mean, projection, variances, provenance)
    return found
