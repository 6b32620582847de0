"""The tasks of extraction: from files to whitened descriptors, at each size and at all together."""

import collections
import importlib.util
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.peers.contest import Task, taking_part
from benchmarks.peers.peak import multiply_adds_of
from darac_tf.data import load_dataset
from darac_tf.data.images import scaled_size, stored_size
from darac_tf.errors import UserError

_EXPORTED = "OpenVINO on the exported SavedModel"
_PRECISIONS = ("float32", "bfloat16")


def photographs(dataset, data_dir, least):
    """Images of one stored shape, so that all contestants have the same batches.

    Args:
        dataset: `folder` or `csv`.
        data_dir: Where it lies.
        least: How many there must be.

    Returns:
        List of paths.

    Raises:
        UserError: If there are fewer.
    """
    paths = load_dataset(dataset, data_dir).paths
    shapes = [stored_size(path) for path in paths]
    (shape, _), *_ = collections.Counter(shapes).most_common(1)
    chosen = [str(path) for path, own in zip(paths, shapes, strict=True) if own == shape]
    if len(chosen) < least:
        raise UserError(f"--images={least}: {len(chosen)} images have one shape")
    return chosen


def draw_photographs(folder, count):
    """Writes JPEGs of 576 x 1024 pixels, coarse noise, where no others are at hand: their paths."""
    paths = [str(Path(folder) / f"{number}.jpg") for number in range(count)]
    for number, path in enumerate(paths):
        cells = np.random.default_rng(number).integers(0, 256, (36, 64, 3)).astype(np.uint8)
        Image.fromarray(cells).resize((1024, 576), Image.BICUBIC).save(path, quality=90)
    return paths


def extraction_tasks(network, paths, sizes, images, batch_pixels, wanted):
    """Tasks at each of the sizes, and at all of them.

    Args:
        network: Dictionary of `backbone` and `weights`.
        paths: Images of one shape.
        sizes: Long sides.
        images: Images at all sizes together; at fewer sizes as many more as take the same pixels.
        batch_pixels: Most pixels of a batch.
        wanted: Function of a contestant's name to whether it takes part; the base always does.

    Yields:
        `Task`. Files that its contestants need exist until the next one is asked for.
    """
    for setting in [[size] for size in sizes] + ([sizes] if len(sizes) > 1 else []):
        more = sum(size**2 for size in sizes) / sum(size**2 for size in setting)
        count = min(round(images * more), len(paths))
        title = f"extraction at {', '.join(map(str, setting))}: {count} images, s/image"
        with tempfile.TemporaryDirectory() as folder:
            graph = str(Path(folder) / "exported.pb")
            files = {"paths": paths[:count], "batch_pixels": batch_pixels}
            chosen = taking_part(_contestants(network, files, graph), wanted)
            is_exported = any(name.startswith(_EXPORTED) for name in chosen)
            if is_exported and importlib.util.find_spec("openvino") is not None:
                _export(graph, network, setting)
            planned = [scaled_size(*stored_size(paths[0]), size) for size in setting]
            work = multiply_adds_of(network["backbone"], planned)
            yield Task(title, chosen, (setting, count), count, work)


def _contestants(network, files, graph):
    """`{name: (factory, settings)}` of all of them."""
    bare = network | files
    found = {"bare backbone, TensorFlow": ("benchmarks.peers.describers:Bare", bare)}
    for precision in _PRECISIONS:
        in_precision = {"precision": precision}
        own = bare | in_precision
        ours = "benchmarks.peers.describers:Extraction"
        on_openvino = "benchmarks.peers.openvino_describers"
        found |= {
            f"darac_tf, {precision}": (ours, own | {"engine": "tensorflow"}),
            f"darac_tf on OpenVINO, {precision}": (ours, own | {"engine": "openvino"}),
            f"bare backbone, OpenVINO, {precision}": (f"{on_openvino}:BareOpenVINO", own),
            f"{_EXPORTED}, {precision}": (
                f"{on_openvino}:ExportedOpenVINO",
                files | in_precision | {"graph": graph},
            ),
            f"torchvision ResNet50 + GeM, {precision}": (
                "benchmarks.peers.torchvision_gem:TorchvisionGeM",
                {"paths": files["paths"]} | in_precision,
            ),
        }
    return found


def _export(graph, network, sizes):
    """In a process of its own, whose memory is nobody's."""
    # Imported here, it would be imported by every contestant.
    process = multiprocessing.get_context("spawn").Process(
        target=_export_frozen, args=(graph, *network.values(), sizes)
    )
    process.start()
    process.join()
    if process.exitcode:
        raise UserError(f"{_EXPORTED}: the export failed; see above")


def _export_frozen(*arguments):
    from benchmarks.peers.frozen_export import export_frozen

    export_frozen(*arguments)
