"""What of a benchmark is in a folder, and what isn't."""

from dataclasses import dataclass

import numpy as np

from darac_tf.data.benchmarks.boxes import boxes_inside
from darac_tf.data.benchmarks.gpr1200 import gpr1200_names
from darac_tf.data.benchmarks.holidays import NAME_LISTS, group_names, holidays_names
from darac_tf.data.benchmarks.image_files import stem
from darac_tf.data.benchmarks.oxford import image_files, read_ground_truth
from darac_tf.data.benchmarks.published import PARIS_CORRUPT, PUBLISHED
from darac_tf.data.benchmarks.revisited import read_revisited
from darac_tf.data.benchmarks.text_lists import find_text_lists
from darac_tf.data.images import stored_size
from darac_tf.errors import UserError

SHOWN = 10


@dataclass(frozen=True)
class _Truth:
    source: str
    names: list[str]
    query_names: list[str]
    positives: int | None = None
    boxes: object = None


def check_data(kind, data_dir):
    """Looks through the folder of a benchmark: files, counts, image headers and boxes.

    Args:
        kind: A key of `BENCHMARKS`.
        data_dir: The folder.

    Returns:
        A plain text of several lines, and whether the folder holds the published benchmark in
        full: ground truth and all images there and readable, and all counts as published.

    Raises:
        UserError: If the kind is unknown or there is no such folder.
    """
    if kind not in PUBLISHED:
        raise UserError(f"--dataset={kind}: choose from {', '.join(PUBLISHED)}")
    files = image_files(kind, data_dir)
    published = PUBLISHED[kind]
    lines = [f"{published.title} in {data_dir}", "", *_ground_truth_files(kind, files)]
    problems = []
    try:
        truth = _truth(kind, files)
    except UserError as error:
        problems.append(str(error))
        truth = None
        lines.append(f"images found: {len(files.paths)}")
    else:
        lines += _count_lines(published, truth, files, problems)
        lines += _image_lines(truth, files, problems)
    lines += ["", *(f"PROBLEM: {problem}" for problem in problems)]
    lines.append("complete, and as published" if not problems else "not the published benchmark")
    lines += ["", "where to get it:", *(f"  {line}" for line in published.sources)]
    lines.append(f"  paper: {published.paper}")
    return "\n".join(lines) + "\n", not problems


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
    reader = read_ground_truth if kind in ("oxford5k", "paris6k") else read_revisited
    truth = reader(kind, files)
    return _Truth(truth.source, truth.names, truth.query_names, None, truth.boxes)


def _count_lines(published, truth, files, problems):
    lines = [f"ground truth used: {truth.source}"]
    counts = [
        ("database images", len(truth.names), published.images),
        ("queries", len(truth.query_names), published.queries),
        ("positives", truth.positives, published.positives),
    ]
    for what, count, expected in counts:
        if expected is None:
            continue
        lines.append(f"{what} in the ground truth: {count} (published: {expected})")
        if count != expected:
            problems.append(f"{count} {what} in the ground truth, and {expected} are published")
    wanted = _wanted(truth)
    found = len(wanted) - len(files.missing(wanted))
    return [*lines, f"image files needed: {len(wanted)}, found: {found}"]


def _wanted(truth):
    return list(dict.fromkeys(map(stem, [*truth.names, *truth.query_names])))


def _image_lines(truth, files, problems):
    wanted = _wanted(truth)
    missing = files.missing(wanted)
    unreadable = []
    for name in wanted:
        if name in files.paths:
            try:
                stored_size(files.paths[name])
            except UserError as error:
                unreadable.append(str(error))
    extra = sorted(set(files.paths) - set(wanted))
    broken = [name for name in extra if name in PARIS_CORRUPT]
    extra = [str(files.paths[name]) for name in extra if name not in PARIS_CORRUPT]
    lines = [
        *_listing("images without a file", missing),
        *_listing("images that can't be read", unreadable),
        *_listing("image files that are not used", extra),
        *_listing("files of one name with another, not used", list(map(str, files.doubles))),
    ]
    if broken:
        lines.append(f"files that are known to be broken in the archives, not used: {len(broken)}")
    if missing:
        problems.append(f"images without a file: {len(missing)}")
    if unreadable:
        problems.append(f"images that can't be read: {len(unreadable)}")
    if truth.boxes is not None and not missing and not unreadable:
        paths = files.find(truth.query_names, truth.source)
        try:
            boxes_inside(truth.boxes, paths, truth.source)
            lines.append(f"query boxes inside their images: {len(paths)}")
        except UserError as error:
            problems.append(str(error))
    return lines


def _listing(what, items):
    lines = [f"{what}: {len(items)}"]
    lines += [f"  {item}" for item in items[:SHOWN]]
    if len(items) > SHOWN:
        lines.append(f"  ... and {len(items) - SHOWN} more")
    return lines
