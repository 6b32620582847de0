"""Blocks of a backbone, and which of them are in float32 in each copy that is measured."""

import itertools

from darac_tf.engines.inference_copy import CONVOLUTIONS
from darac_tf.models.folding import flat


def blocks_of(model):
    """Dictionary of name to layers of a model, each convolution with what follows it."""
    blocks, name = {}, "input"
    for layer in flat(model):
        if isinstance(layer, CONVOLUTIONS):
            name = "_".join(layer.name.split("_")[:2])
        blocks.setdefault(name, []).append(layer)
    return blocks


def copies(blocks, prefixes, alone=True):
    """Yields names and the layers in float32 of what is measured, each block `alone` or not."""
    everything = list(itertools.chain.from_iterable(blocks.values()))
    yield "all in float32", everything
    yield "all in bfloat16", []
    for count in range(1, prefixes + 1):
        names = list(blocks)[:count]
        first = [layer for name in names for layer in blocks[name]]
        yield f"float32 up to {names[-1]}", first
    for name, layers in blocks.items() if alone else ():
        rest = [layer for other, own in blocks.items() if other != name for layer in own]
        yield f"{name} alone in bfloat16", rest
        yield f"{name} alone in float32", layers
