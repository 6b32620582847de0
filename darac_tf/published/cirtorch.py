"""GeM and its kin: files of cnnimageretrieval-pytorch (`cirtorch`).

A file is `{"meta": ..., "state_dict": ...}`: the features of a torchvision network as a sequence,
a pooling, and whitening layers where it has them. Learned whitenings (Lw) are in `meta`.

Source: https://github.com/filipradenovic/cnnimageretrieval-pytorch, of Radenovic, Tolias, Chum,
"Fine-tuning CNN image retrieval with no human annotation" (PAMI 2018).
"""

import numpy as np

from darac_tf.errors import UserError
from darac_tf.layers import MAC, RMAC, GeM, RegionalGeM, SPoC, WhitenedRMAC
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

# What `--whitening` of its test.py is, in its README.
_WHITENED_ON = "retrieval-SfM-120k"
_MODULES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def is_cirtorch(content):
    """Whether the content of a file is of this layout."""
    return isinstance(content, dict) and {"meta", "state_dict"} <= content.keys()


def from_cirtorch(content, source):
    """The `Published` of a file's content; `UserError` names what is missing or unknown in it."""
    meta, tensors = content["meta"], dict(content["state_dict"])
    pooled, architecture = meta.get("pooling"), str(meta.get("architecture"))
    if meta.get("local_whitening"):
        raise UserError(f"{source}: whitens local features before pooling, which is not supported")
    mean, deviation = checked_colours(meta.get("mean"), meta.get("std"), source)
    dense = take_linear(tensors, "whiten", source)
    regional = take_linear(tensors, "pool.whiten", source)
    exponent = tensors.pop("pool.rpool.p" if meta.get("regional") else "pool.p", None)
    network = resnet_of(architecture, tensors, _name, "features.0.weight", source)
    if bool(meta.get("whitening")) != (dense is not None):
        raise UserError(f"{source}: says whitening={meta.get('whitening')}, and has other tensors")
    pooling = _pooling(pooled, bool(meta.get("regional")), exponent, regional, source)
    descriptor = descriptor_of(network, pooling, mean, deviation, dense)
    if regional is not None:
        pooling.set_projection(*regional)
    facts = {name: meta.get(name) for name in ("architecture", "pooling", "regional", "whitening")}
    facts |= {"mean": mean, "std": deviation}
    whitenings = _whitenings(meta, source)
    how, whitening = _evaluation(pooling, dense is not None, meta.get("Lw") or {}, source)
    return Published(descriptor, "cirtorch", facts, whitenings, "gem", how, whitening)


def _evaluation(pooling, is_whitened, learned, source):
    """As of its test.py, and of test_e2e.py for networks with a whitening layer.

    Descriptors at several sizes are combined by the exponent, where nothing follows GeM.
    """
    is_plain = isinstance(pooling, GeM) and not is_whitened
    if is_plain and pooling.initial_p < 1:
        raise UserError(
            f"{source}: descriptors at several sizes are combined by the exponent of its GeM, "
            f"{pooling.initial_p:.3g}, which must be at least 1"
        )
    how = {
        "resolutions": ["0.7071..1.4142@1024" if is_whitened else "0.5..1@1024"],
        "combination": "gmean" if is_plain else "sum",
        "exponent": pooling.initial_p if is_plain else None,
    }
    if is_whitened or not learned:
        return how, {}
    name = _WHITENED_ON if _WHITENED_ON in learned else next(iter(learned))
    names = {"one": "ss", "several": "ms"}
    return how, {n: f"{name}-{sizes}" for n, sizes in names.items() if sizes in learned[name]}


def _name(layer):
    """`layer1_0_conv1` is `features.4.0.conv1`: features have numbers for names."""
    first, _, rest = torch_name(layer).partition(".")
    return f"features.{_MODULES[first]}{rest and '.'}{rest}" if first in _MODULES else layer


def _pooling(name, is_regional, exponent, regional, source):
    """The pooling layer; in the authors' regions the whole map is one more."""
    inner = {"name": POOLING_LAYER}
    if name == "gem" and exponent is None:
        raise UserError(f"{source}: has no exponent of GeM (pool.p)")
    power = None if exponent is None else exponent_of(exponent, source)
    if not is_regional:
        known = {
            "gem": lambda: GeM(power, **inner),
            "mac": lambda: MAC(**inner),
            "spoc": lambda: SPoC(**inner),
            "rmac": lambda: RMAC(whole=True, **inner),
        }
    else:
        if regional is None:
            raise UserError(f"{source}: has no tensor 'pool.whiten.weight', of its regions")
        known = {
            "gem": lambda: RegionalGeM(power, dim=len(regional[1]), whole=True, **inner),
            "mac": lambda: WhitenedRMAC(dim=len(regional[1]), whole=True, **inner),
        }
    if name not in known:
        kind = "regional pooling" if is_regional else "pooling"
        raise UserError(f"{source}: its {kind} is {name!r}; {', '.join(known)} can be read")
    return known[name]()


def _whitenings(meta, source):
    """Learned whitenings: by the set that they were learned on, for one size and for several."""
    found = {}
    for data_set, kinds in (meta.get("Lw") or {}).items():
        for sizes, parts in kinds.items():
            mean, projection = np.ravel(parts["m"]), np.asarray(parts["P"], np.float64)
            if projection.ndim != 2 or projection.shape[1] != mean.size:
                raise UserError(f"{source}: the whitening Lw of {data_set} ({sizes}) has no shape")
            found[f"{data_set}-{sizes}"] = Whitening(
                mean.astype(np.float64),
                projection,
                np.ones(len(projection)),
                {"kind": "learned", "images": str(data_set), PUBLISHED: "cirtorch"},
            )
    return found
