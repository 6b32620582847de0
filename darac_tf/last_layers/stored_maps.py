"""What the frozen part of a network gives, described once and kept in half precision.

Training of the rest then costs that rest alone: a network whose lower layers don't change is its
upper ones on stored maps.
"""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from darac_tf.choices import DEFAULT_BATCH_PIXELS
from darac_tf.data.augmentation import Augmentation
from darac_tf.data.pipeline import sized_batches
from darac_tf.data.views import ImageList, read_views
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.describing.sizes import LongSide
from darac_tf.engines.inference_copy import inference_copy
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models import Preprocessing, build_backbone
from darac_tf.threads import CORES

_VIEWS_AT_ONCE = 16


class Split(NamedTuple):
    """A network in two."""

    lower: object  # Function of pixels `(n, height, width, 3)` in [0, 255] to maps, frozen.
    upper: keras.Model  # Of these maps to feature maps; its layers are those of `network`.
    fingerprint: str
    network: keras.Model  # All of it, RGB in [-1, 1] or as `preprocessing` gives it.
    preprocessing: Preprocessing


def split_network(backbone, weights, layer):
    """`Split` of a backbone before the layer of a name; `UserError` if it has no such layer."""
    network, preprocessing = build_backbone(backbone, weights)
    known = [each.name for each in network.layers]
    if layer not in known:
        raise UserError(f"--layer={layer}: {backbone} has none; its last ones are {known[-12:]}")
    between = network.get_layer(layer).input
    lower, upper = keras.Model(network.inputs[0], between), keras.Model(between, network.outputs[0])
    fast = inference_copy(lower)

    @tf.function(reduce_retracing=True, autograph=False)
    def describe(pixels):
        return tf.cast(fast(preprocessing(pixels), training=False), tf.float16)

    fingerprint = model_fingerprint(lower, preprocessing, layer)
    return Split(describe, upper, fingerprint, network, preprocessing)


def store_whole(part, paths, size, folder):
    """Maps of whole images at a long side of `size` pixels, aspect kept.

    Args:
        part: `Split`.
        paths: Of `images` images.
        size: In pixels.
        folder: Where they are, or are put.

    Returns:
        List of `(places (n,), maps float16 (n, rows, columns, channels))`, one for each shape of a
        map; each image is in one.

    Raises:
        UserError: If an image can't be read, or `folder` has maps of something else.
    """

    def describe():
        views, _ = read_views(ImageList(np.asarray(paths), upright=False))
        found, every = {}, np.arange(len(paths))
        with tqdm(total=len(paths), desc=Path(folder).name, unit="image", mininterval=5) as bar:
            for batch in sized_batches(views, every, [LongSide(size)], DEFAULT_BATCH_PIXELS):
                if batch.failures:
                    raise UserError(next(iter(batch.failures.values())))
                maps = part.lower(batch.pixels[0]).numpy()
                found.setdefault(maps.shape[1:3], []).append((batch.places, maps))
                bar.update(len(maps))
        return [[np.concatenate(x) for x in zip(*same, strict=True)] for same in found.values()]

    of = {"network": part.fingerprint, "images": [Path(p).name for p in paths], "size": size}
    of["orientation"] = "stored"
    return _stored(Path(folder), of, describe)


def store_views(part, images, sides, count, seed, folder):
    """Maps of augmented views of training images, all of one shape.

    Args:
        part: `Split`.
        images: `LabelledImages`.
        sides: `(height, width)` of a view in pixels.
        count: Views of each image.
        seed: Of what chance decides about them.
        folder: Where they are, or are put.

    Returns:
        float16 `(count, images, rows, columns, channels)`.

    Raises:
        UserError: As `store_whole`.
    """
    augmentation = Augmentation(orientation="stored")

    def describe():
        parts = []
        for view in range(count):
            rows = tf.range(len(images)), augmentation.draw(len(images), [seed, view])
            data = tf.data.Dataset.from_tensor_slices(rows).map(
                lambda index, draws: augmentation(images.read(index), sides, draws),
                num_parallel_calls=CORES,
            )
            batches = tqdm(data.batch(_VIEWS_AT_ONCE), f"{Path(folder).name} {view}", mininterval=5)
            parts.append(np.concatenate([part.lower(pixels).numpy() for pixels in batches]))
        return [(np.arange(count), np.stack(parts))]

    of = {"network": part.fingerprint, "images": [Path(p).name for p in images.paths]}
    of |= {"sides": list(map(int, sides)), "count": count, "seed": seed, "orientation": "stored"}
    return _stored(Path(folder), of, describe)[0][1]


def _stored(folder, of, describe):
    """What `describe` gives, from the files of a folder, memory-mapped; `of` says what it is."""
    facts = folder / "of.json"
    if not facts.exists():
        groups = describe()
        for number, (places, maps) in enumerate(groups):
            for name, array in (("places", places), ("maps", maps)):
                with atomic_path(folder / f"{number}-{name}.npy") as path, path.open("wb") as file:
                    np.save(file, array)
        with atomic_path(facts) as path:
            path.write_text(json.dumps({"of": of, "groups": len(groups)}))
    stored = json.loads(facts.read_text())
    if stored["of"] != of:
        raise UserError(f"{folder} has maps of something else: remove it, or name another --out")
    return [
        (
            np.load(folder / f"{number}-places.npy"),
            np.load(folder / f"{number}-maps.npy", mmap_mode="r"),
        )
        for number in range(stored["groups"])
    ]
