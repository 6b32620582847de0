"""What of a benchmark or training set is in a folder, and what isn't."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from darac_tf.data.benchmarks.gpr1200 import gpr1200_names
from darac_tf.data.benchmarks.holidays import NAME_LISTS, group_names, holidays_names
from darac_tf.data.benchmarks.image_files import stem
from darac_tf.data.benchmarks.oxford import boxes_inside, image_files, read_ground_truth
from darac_tf.data.benchmarks.published import PARIS_CORRUPT, PUBLISHED
from darac_tf.data.benchmarks.text_lists import find_text_lists
from darac_tf.data.images import stored_size
from darac_tf.data.tfds_sets import open_builder
from darac_tf.data.training_sets.lists import read_listing
from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.errors import UserError

SHOWN = 10


def check_data(kind, data_dir):
    """Looks through the folder of a benchmark or training set: files and counts.

    Of a benchmark, image headers and boxes are read too; images are never decoded.

    A plain text of several lines, and whether the folder holds the published set in full: lists and
    all images there, readable or at least not empty, and all counts as published. `UserError` if
    `kind` is neither of `benchmarks.BENCHMARKS` nor `training_sets.TRAINING_SETS`, or there is no
    `data_dir`.
    """
    facts = (PUBLISHED | TRAINING_SETS).get(kind)
    if facts is None:
        known = ", ".join([*PUBLISHED, *TRAINING_SETS])
        raise UserError(f"--check_data is for --dataset={known}, not {kind}")
    if not data_dir:
        raise UserError("--check_data needs --data_dir")
    if not Path(data_dir).is_dir():
        raise UserError(f"--data_dir: no such folder: {data_dir}")
    report = _Report([f"{facts.title} in {data_dir}", ""], [])
    if kind in PUBLISHED:
        look, what = _look_at_benchmark, "benchmark"
    else:
        look, what = _look_at_training_set, "set"
    try:
        look(kind, data_dir, report)
    except UserError as error:
        report.problems.append(str(error))
    lines = [*report.lines, "", *(f"PROBLEM: {problem}" for problem in report.problems)]
    lines.append(f"not the published {what}" if report.problems else "complete, and as published")
    lines += ["", "where to get it:", *(f"  {line}" for line in facts.sources)]
    lines.append(f"  paper: {facts.paper}")
    return "\n".join(lines) + "\n", not report.problems


class _Report(NamedTuple):
    lines: list[str]
    problems: list[str]

    def count(self, what, where, count, published):
        self.lines.append(f"{what} {where}: {count} (published: {published})")
        if count != published:
            self.problems.append(f"{count} {what} are {where}, and {published} are published")

    def listing(self, what, items, is_problem=False):
        self.lines.extend([f"{what}: {len(items)}", *(f"  {item}" for item in items[:SHOWN])])
        if len(items) > SHOWN:
            self.lines.append(f"  ... and {len(items) - SHOWN} more")
        if items and is_problem:
            self.problems.append(f"{what}: {len(items)}")


def _look_at_training_set(kind, data_dir, report):
    listing = read_listing(kind, data_dir)
    if listing is None:
        _look_at_tfds(kind, data_dir, report)
        return
    _count_listed(kind, len(listing.rows), len({row[1] for row in listing.rows}), report)
    there = listing.present()
    missing = [listing.origins[index] for index in np.flatnonzero(~there)]
    report.lines.append(f"image files needed: {len(there)}, found: {np.sum(there)}")
    report.listing("images without a file, or with an empty one", missing, is_problem=True)


def _look_at_tfds(kind, data_dir, report):
    info = open_builder(TRAINING_SETS[kind].tfds_name, data_dir, download=False).info
    report.lines.append(f"prepared by TensorFlow Datasets: {info.full_name}")
    _count_listed(kind, info.splits.total_num_examples, info.features["label"].num_classes, report)


def _count_listed(kind, images, classes, report):
    report.count("images", "listed", images, TRAINING_SETS[kind].images)
    report.count("classes", "listed", classes, TRAINING_SETS[kind].classes)


def _look_at_benchmark(kind, data_dir, report):
    files, facts, where = image_files(kind, data_dir), PUBLISHED[kind], "in the ground truth"
    report.lines.extend(_ground_truth_files(kind, files))
    try:
        source, names, query_names, positives, boxes = _truth(kind, files)
    except UserError:
        report.lines.append(f"images found: {len(files.paths)}")
        raise
    report.lines.append(f"ground truth used: {source}")
    report.count("database images", where, len(names), facts.images)
    report.count("queries", where, len(query_names), facts.queries)
    if facts.positives is not None:
        report.count("positives", where, positives, facts.positives)
    wanted = list(dict.fromkeys(map(stem, [*names, *query_names])))
    if _look_at_images(files, wanted, report) and boxes is not None:
        boxes_inside(boxes, files.find(query_names, source), source)
        report.lines.append(f"query boxes inside their images: {len(boxes)}")


def _ground_truth_files(kind, files):
    if kind == "gpr1200":
        return ["ground truth: the names of the images"]
    lines = []
    for name in NAME_LISTS if kind == "holidays" else (f"gnd_{kind}.pkl", f"gnd_{kind}.mat"):
        path = files.data_dir / name
        there = f"found, {path.stat().st_size:,} bytes" if path.is_file() else "not there"
        lines.append(f"ground truth: {name}: {there}")
    if kind in ("oxford5k", "paris6k"):
        folder = find_text_lists(files.data_dir)
        count = len(list(folder.glob("*.txt"))) if folder else 0
        where = f"{count} files in {folder}" if folder else "not there"
        lines.append(f"ground truth: *_good/ok/junk/query.txt: {where}")
    return lines


def _truth(kind, files):
    """Source, database names, query names, number of positives or None, boxes or None."""
    if kind == "gpr1200":
        names, classes = gpr1200_names(files)
        sizes = np.unique(classes, return_counts=True)[1]
        return files.data_dir, names, names, int(np.sum(sizes * (sizes - 1))), None
    if kind == "holidays":
        names, source = holidays_names(files)
        rows, groups = group_names(names, source)
        return source, names, [names[row] for row in rows], sum(map(len, groups)), None
    truth = read_ground_truth(kind, files)
    return truth.source, truth.names, truth.query_names, None, truth.boxes


def _look_at_images(files, wanted, report):
    """Whether all images of the names `wanted` are there and can be read."""
    missing, unreadable = files.missing(wanted), []
    report.lines.append(f"image files needed: {len(wanted)}, found: {len(wanted) - len(missing)}")
    for name in wanted:
        if name in files.paths:
            try:
                stored_size(files.paths[name])
            except UserError as error:
                unreadable.append(str(error))
    unused = sorted(set(files.paths) - set(wanted))
    broken = PARIS_CORRUPT.intersection(unused)
    unused = [files.paths[name] for name in unused if name not in broken]
    report.listing("images without a file", missing, is_problem=True)
    report.listing("images that can't be read", unreadable, is_problem=True)
    report.listing("image files that are not used", unused)
    report.listing("files of one name with another, not used", files.doubles)
    if broken:
        known = "files that are known to be broken in the archives, not used"
        report.lines.append(f"{known}: {len(broken)}")
    return not missing and not unreadable
