"""What users would take instead, side by side, in one run: extraction, training and search.

    pip install -r requirements-bench.txt
    python -m benchmarks.peers --data_dir=photos.csv --backbone_weights=none --out=runs/peers

    python -m benchmarks.peers --quick --out=runs/now --against=runs/before/report.json

Each contestant is a process; those of one task take turns, so that what else the machine does falls
on all. Prints one Markdown table: the median, the median ratio to the base of the task within a
round, and the peak memory of the process (VmHWM, which counts mapped pages of files and not a GPU's
memory). Peers that are not installed are left out with a line. TensorFlow and PyTorch take a GPU
where there is one, OpenVINO and faiss the processor. The share of the peak is that of the largest
rate of multiply-adds which matrix products reach in the same run (`peak`). --out keeps the table,
and timings and ratios as JSON. --quick takes some minutes: this project beside its bases, on drawn
pictures unless --data_dir names photographs. --against names a report.json of before, and fails
where a ratio rose by more than its spread.
"""

import contextlib
import itertools
import os
import sys
import tempfile

from absl import flags

from benchmarks.peers.contest import compete
from benchmarks.peers.extraction import draw_photographs, extraction_tasks, photographs
from benchmarks.peers.peak import PRECISIONS, peak_tasks
from benchmarks.peers.report import about_machine, page, worse_rows, write_report
from benchmarks.peers.search import search_tasks
from benchmarks.peers.training import training_tasks
from darac_tf import cli
from darac_tf.errors import UserError, listing
from darac_tf.files import atomic_path

FLAGS = flags.FLAGS
flags.DEFINE_list("tasks", ["peak", "extraction", "training", "search"], "What is measured.")
flags.DEFINE_bool("quick", False, "Take the settings of a quick run for those that are not given.")
flags.DEFINE_string("against", None, "A report.json of before that nothing may be worse than.")
flags.DEFINE_list("only", [], "Take only contestants whose name holds one of these words.")
flags.DEFINE_integer("repeats", 5, "Timings of each.", lower_bound=1)
flags.DEFINE_string("out", None, "New folder for table.md and report.json.")
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "none times random weights, which cost the same.")
flags.DEFINE_string("data_dir", None, "Extraction: CSV of images, or folder of class folders.")
flags.DEFINE_enum("dataset", "csv", ["folder", "csv"], "Extraction: kind of data set.")
flags.DEFINE_list("sizes", ["299", "540", "1020"], "Extraction: long sides, also all together.")
flags.DEFINE_integer(
    "images", 8, "Extraction: images at all sizes; of fewer sizes as many more as take its time."
)
flags.DEFINE_integer("batch_pixels", 1_000_000, "Extraction: pixels a batch.", lower_bound=1)
flags.DEFINE_integer("batch", 24, "Training: images a step, four of a class.", lower_bound=8)
flags.DEFINE_integer("image_size", 128, "Training: side of the images.", lower_bound=32)
flags.DEFINE_integer("rows", 200_000, "Search: vectors.", lower_bound=1)
flags.DEFINE_integer("dim", 2048, "Search: numbers of each.", lower_bound=1)
flags.DEFINE_integer("queries", 70, "Search: queries.", lower_bound=1)
flags.DEFINE_integer("top_k", 1000, "Search: ranks.", lower_bound=1)


# What --quick stands for; pictures are drawn where --data_dir names none.
_QUICK = {
    "only": ["darac_tf, float32", "darac_tf, nra", "darac_tf, exact"],
    "repeats": 3,
    "backbone_weights": "none",
    "sizes": ["299"],
    "images": 22,
    "batch": 8,
    "rows": 50_000,
}


def is_wanted(name):
    """Whether a contestant takes part."""
    return not FLAGS.only or any(word in name for word in FLAGS.only)


def chosen_tasks():
    """Iterator of the tasks; mistakes in flags are found before the first."""
    network = {"backbone": FLAGS.backbone, "weights": FLAGS.backbone_weights}
    tasks = {"peak": _peak, "extraction": _extraction, "training": _training, "search": _search}
    unknown = set(FLAGS.tasks) - set(tasks)
    if unknown or not FLAGS.tasks:
        raise UserError(f"--tasks={','.join(FLAGS.tasks)}: choose from {', '.join(tasks)}")
    return itertools.chain.from_iterable([tasks[name](network) for name in FLAGS.tasks])


def _peak(_):
    return peak_tasks(("float32",) if FLAGS.quick else PRECISIONS)


def _extraction(network):
    if FLAGS.data_dir is None and not FLAGS.quick:
        raise UserError("the task extraction needs images: give --data_dir, or other --tasks")
    return _extraction_tasks(network, list(map(int, FLAGS.sizes)))


def _extraction_tasks(network, sizes):
    with tempfile.TemporaryDirectory() as folder:
        if FLAGS.data_dir is None:
            paths = draw_photographs(folder, FLAGS.images)
        else:
            paths = photographs(FLAGS.dataset, FLAGS.data_dir, FLAGS.images)
        how = paths, sizes, FLAGS.images, FLAGS.batch_pixels
        yield from extraction_tasks(network, *how, is_wanted)


def _training(network):
    if FLAGS.batch % 4:
        raise UserError(f"--batch={FLAGS.batch}: four images are of a class, give a multiple of 4")
    return training_tasks(network, FLAGS.batch, FLAGS.image_size, is_wanted)


def _search(_):
    return search_tasks(FLAGS.rows, FLAGS.dim, FLAGS.queries, FLAGS.top_k, is_wanted)


def main():
    # Or the first process to touch a GPU takes all of its memory.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    for name, value in _QUICK.items() if FLAGS.quick else ():
        if not FLAGS[name].present:
            FLAGS[name].value = value
    if FLAGS.against:
        worse_rows([], FLAGS.against)  # A file that can't be read is said before anything runs.
    settings = {flag.name: flag.value for flag in FLAGS.get_flags_for_module(sys.argv[0])}
    with atomic_path(FLAGS.out) if FLAGS.out else contextlib.nullcontext() as folder:
        about = about_machine()
        results = [compete(task, FLAGS.repeats) for task in chosen_tasks()]
        print(page(results, about, settings))
        if folder is not None:
            write_report(folder, results, about, settings)
    if FLAGS.against and (lines := worse_rows(results, FLAGS.against)):
        raise UserError(
            listing([f"worse than in {FLAGS.against} by more than its spread:", *lines])
        )


if __name__ == "__main__":
    cli.run(main)
