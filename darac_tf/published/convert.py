"""From a file that others have published to a run directory."""

import json
import re
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models.backbones import BEST_MODEL
from darac_tf.models.descriptor import compose, make_pooling
from darac_tf.models.preprocessing import Preprocessing
from darac_tf.models.resnet_v15 import RESNET_V15, torch_name
from darac_tf.models.torch_files import read_torch_file
from darac_tf.published.cirtorch import from_cirtorch, is_cirtorch
from darac_tf.published.dirtorch import from_dirtorch, is_dirtorch
from darac_tf.published.networks import Published, resnet_of
from darac_tf.published.slim import checkpoint_of, slim_resnet50
from darac_tf.systems.published import PUBLISHED_FILE


def convert(path, out, pooling="darac"):
    """Reads a published model and writes it as a run directory.

    It has the descriptor, `best.keras`, `published.json` with what the file says of it, and a
    `whitening-NAME.npz` for each whitening that the file holds.

    Args:
        path: A file of cnnimageretrieval-pytorch, deep-image-retrieval, or of torchvision's ResNet
            50, 101 or 152; or a checkpoint of TF-Slim's `resnet_v2_50`.
        out: The run directory, which must not exist.
        pooling: A key of `models.descriptor.POOLINGS`, for networks that are published without one.

    Returns:
        `Published`.

    Raises:
        UserError: If the file can't be read, is of no such layout, or a tensor is missing or of
            another shape, which the message names; nothing is written then.
    """
    out = Path(out)
    if out.exists():
        raise UserError(f"--out: {out} exists already; give a new folder")
    published = read_published(path, pooling)
    with atomic_path(out) as temporary:
        temporary = Path(temporary)
        temporary.mkdir()
        published.descriptor.save(temporary / BEST_MODEL)
        facts = {"file": Path(path).name, "layout": published.layout, **published.facts}
        facts |= {"system": published.system, "evaluation": published.evaluation}
        facts["whitening"] = {n: _file(name) for n, name in published.whitening.items()}
        text = json.dumps(facts, indent=1)
        (temporary / PUBLISHED_FILE).write_text(text + "\n", encoding="utf-8")
        for name, whitening in published.whitenings.items():
            whitening.save(temporary / _file(name))
    return published


def _file(whitening):
    return f"whitening-{re.sub(r'[^A-Za-z0-9.-]', '_', whitening)}.npz"


def read_published(path, pooling):
    """The `Published` of a file; arguments and errors of `convert`."""
    checkpoint = checkpoint_of(path)
    if checkpoint is not None:
        network, mode = slim_resnet50(checkpoint), "tf"
        descriptor = compose(network, Preprocessing(mode), make_pooling(pooling))
        return Published(descriptor, "slim", {"architecture": "resnet_v2_50", "pooling": pooling})
    content = read_torch_file(path)
    if is_dirtorch(content):
        return from_dirtorch(content, path)
    if is_cirtorch(content):
        return from_cirtorch(content, path)
    if not isinstance(content, dict) or "conv1.weight" not in content:
        raise UserError(
            f"{path}: is no model of cnnimageretrieval-pytorch, deep-image-retrieval, of "
            "torchvision's ResNets, or of TF-Slim's resnet_v2_50"
        )
    architecture = _architecture(content)
    tensors = {n: t for n, t in content.items() if not n.startswith("fc.")}
    network = resnet_of(architecture, tensors, torch_name, "conv1.weight", path)
    descriptor = compose(network, Preprocessing("torch"), make_pooling(pooling))
    return Published(descriptor, "torchvision", {"architecture": architecture, "pooling": pooling})


def _architecture(tensors):
    """By the number of blocks of the third stage; what is none of them is named later."""
    blocks = 0
    while f"layer3.{blocks}.conv1.weight" in tensors:
        blocks += 1
    of_blocks = {stages[2]: name for name, stages in RESNET_V15.items()}
    name = of_blocks.get(blocks, f"ResNet with {blocks} blocks in its third stage")
    return name.removesuffix("v1.5").lower()
