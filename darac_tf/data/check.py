"""What of a benchmark or training set is in a folder, and what isn't."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.gpr1200 import gpr1200_names
from darac_tf.data.benchmarks.holidays import NAME_LISTS, group_names, holidays_names
from darac_tf.data.benchmarks.image_files import stem
from darac_tf.data.benchmarks.oxford import boxes_inside, image_files, read_ground_truth
from darac_tf.data.benchmarks.published import PARIS_CORRUPT, PUBLISHED
from darac_tf.data.benchmarks.text_lists import find_text_lists
from darac_tf.data.images import stored_size
from darac_tf.data.tfds_sets import open_builder
from darac_tf.data.training_sets.lists import LISTS
from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.errors import UserError

SHOWN = 10


def check_data(kind, data_dir):
    """Looks through the folder of a benchmark or training set: files and counts.

    Of a benchmark, image headers and boxes are read too; images are never decoded.

    Args:
        kind: A key of `benchmarks.BENCHMARKS` or of `training_sets.TRAINING_SETS`.
        data_dir: The folder.

    Returns:
        A plain text of several lines, and whether the folder holds the published set in full:
        lists and all images there, readable or at least not empty, and all counts as published.

    Raises:
        UserError: If the kind is unknown, or there is no `data_dir`.
    """
    facts = (PUBLISHED | TRAINING_SETS).get(kind)
    if facts is None:
        known = ", ".join([*PUBLISHED, *TRAINING_SETS])
        raise UserError(f"--check_data is for --dataset={known}, not {kind}")
    if not data_dir:
        raise UserError("--check_data needs --data_dir")
    if not Path(data_dir).is_dir():
        raise UserError(f"--data_dir: no such folder: {data_dir}")
    lines, problems = [f"{facts.title} in {data_dir}", ""], []
    if kind in PUBLISHED:
        look, what = _look_at_benchmark, "benchmark"
    else:
        look, what = _look_at_list if kind in LISTS else _look_at_tfds, "set"
    try:
        look(kind, data_dir, lines, problems)
    except UserError as error:
        problems.append(str(error))
    lines += ["", *(f"PROBLEM: {problem}" for problem in problems)]
    lines.append("complete, and as published" if not problems else f"not the published {what}")
    lines += ["", "where to get it:", *(f"  {line}" for line in facts.sources)]
    lines.append(f"  paper: {facts.paper}")
    return "\n".join(lines) + "\n", not problems


def _look_at_list(kind, data_dir, lines, problems):
    listing = LISTS[kind][0](data_dir)
    classes = len({row[1] for row in listing.rows})
    _count_listed(kind, len(listing.rows), classes, lines, problems)
    there = listing.present()
    missing = [listing.origins[index] for index in np.flatnonzero(~there)]
    lines.append(f"image files needed: {len(there)}, found: {np.sum(there)}")
    lines += _listing("images without a file, or with an empty one", missing)
    if missing:
        problems.append(f"images without a file: {len(missing)}")


def _look_at_tfds(kind, data_dir, lines, problems):
    info = open_builder(TRAINING_SETS[kind].tfds_name, data_dir, download=False).info
    lines.append(f"prepared by TensorFlow Datasets: {info.full_name}")
    images = info.splits.total_num_examples
    _count_listed(kind, images, info.features["label"].num_classes, lines, problems)


def _count_listed(kind, images, classes, lines, problems):
    published = TRAINING_SETS[kind]
    _count("images", "listed", images, published.images, lines, problems)
    _count("classes", "listed", classes, published.classes, lines, problems)


def _count(what, where, count, published, lines, problems):
    lines.append(f"{what} {where}: {count} (published: {published})")
    if count != published:
        problems.append(f"{count} {what} are {where}, and {published} are published")


@dataclass(frozen=True)
class _Truth:
    source: str
    names: list[str]
    query_names: list[str]
    positives: int | None = None
    boxes: object = None

    @property
    def wanted(self):
        """Names of all images without endings, each once."""
        return list(dict.fromkeys(map(stem, [*self.names, *self.query_names])))


def _look_at_benchmark(kind, data_dir, lines, problems):
    files = image_files(kind, data_dir)
    lines += _ground_truth_files(kind, files)
    try:
        truth = _truth(kind, files)
    except UserError:
        lines.append(f"images found: {len(files.paths)}")
        raise
    _count_truth(PUBLISHED[kind], truth, files, lines, problems)
    _look_at_images(truth, files, lines, problems)


def _ground_truth_files(kind, files):
    if kind == "gpr1200":
        return ["ground truth: the names of the images"]
    candidates = NAME_LISTS if kind == "holidays" else (f"gnd_{kind}.pkl", f"gnd_{kind}.mat")
    lines = []
    for name in candidates:
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
    if kind == "gpr1200":
        names, classes = gpr1200_names(files)
        sizes = np.unique(classes, return_counts=True)[1]
        return _Truth(str(files.data_dir), names, names, int(np.sum(sizes * (sizes - 1))))
    if kind == "holidays":
        names, source = holidays_names(files)
        rows, groups = group_names(names, source)
        return _Truth(source, names, [names[row] for row in rows], sum(map(len, groups)))
    truth = read_ground_truth(kind, files)
    return _Truth(truth.source, truth.names, truth.query_names, None, truth.boxes)


def _count_truth(published, truth, files, lines, problems):
    lines.append(f"ground truth used: {truth.source}")
    where = "in the ground truth"
    _count("database images", where, len(truth.names), published.images, lines, problems)
    _count("queries", where, len(truth.query_names), published.queries, lines, problems)
    if published.positives is not None:
        _count("positives", where, truth.positives, published.positives, lines, problems)
    found = len(truth.wanted) - len(files.missing(truth.wanted))
    lines.append(f"image files needed: {len(truth.wanted)}, found: {found}")


def _look_at_images(truth, files, lines, problems):
    missing, unreadable = files.missing(truth.wanted), []
    for name in truth.wanted:
        if name in files.paths:
            try:
                stored_size(files.paths[name])
            except UserError as error:
                unreadable.append(str(error))
    extra = sorted(set(files.paths) - set(truth.wanted))
    broken = [name for name in extra if name in PARIS_CORRUPT]
    extra = [str(files.paths[name]) for name in extra if name not in PARIS_CORRUPT]
    lines += _listing("images without a file", missing)
    lines += _listing("images that can't be read", unreadable)
    lines += _listing("image files that are not used", extra)
    lines += _listing("files of one name with another, not used", files.doubles)
    if broken:
        lines.append(f"files that are known to be broken in the archives, not used: {len(broken)}")
    if missing:
        problems.append(f"images without a file: {len(missing)}")
    if unreadable:
        problems.append(f"images that can't be read: {len(unreadable)}")
    if truth.boxes is not None and not missing and not unreadable:
        paths = files.find(truth.query_names, truth.source)
        boxes_inside(truth.boxes, paths, truth.source)
        lines.append(f"query boxes inside their images: {len(paths)}")


def _listing(what, items):
    lines = [f"{what}: {len(items)}", *(f"  {item}" for item in items[:SHOWN])]
    if len(items) > SHOWN:
        lines.append(f"  ... and {len(items) - SHOWN} more")
    return lines
