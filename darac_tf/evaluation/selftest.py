"""A task made of photographs without labels: altered copies of some, to be found among all."""

import contextlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from darac_tf.data.alteration import alter, draw_alteration
from darac_tf.data.content_keys import keys_of_alike
from darac_tf.data.images import decode_file
from darac_tf.data.labelled import LabelledImages, image_files
from darac_tf.data.views import read_views
from darac_tf.describing.sizes import parse_sizes
from darac_tf.describing.sources import load_sources
from darac_tf.errors import UserError, printable
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.selftest_config import FEWEST
from darac_tf.evaluation.task import labelled_task
from darac_tf.files import remove
from darac_tf.reports.report_files import remove_report, write_all, write_misses
from darac_tf.threads import in_order

# Precision would say the same: of one image that is right, as a share of k.
METRICS = ("R@1", "R@5", "mAP (plain)")
_QUERY = "query"
# Keeps the choice of photographs apart from other random numbers under the same seed.
_STREAM = 31


def selftest(folder, config):
    """Measures each descriptor and size by a `SelftestConfig`, and writes the report it names.

    Returns:
        Tuple of a list of `evaluator.Measured`, whose scores are `METRICS`, and a list of the page
        of each with what was not found at first, None where there is none or no report.

    Raises:
        UserError: As of `selftest_task`, or if a descriptor can't be loaded or a file not written.
    """
    sources = load_sources(config.descriptors, config.backbone_weights, config.seed)
    sizes, out = tuple(map(parse_sizes, config.resolutions)), config.out
    rows, pages = [], []
    with tempfile.TemporaryDirectory() as scratch:
        copies = Path(scratch if out is None else out, "copies")
        task = selftest_task(folder, copies, config.copies, config.among, config.seed)
        for measured in evaluate(sources, task, Settings(sizes, skip_bad=True)):
            if out and not rows:
                remove_report(out)
            scores = {name: measured.result.scores[name] for name in METRICS}
            rows.append(replace(measured, result=replace(measured.result, scores=scores)))
            pages.append(out and write_misses(out, len(rows), rows[-1]))
    if out:
        write_all(out, rows, asdict(config))
    return rows, pages


def selftest_task(folder, copies, count=100, among=None, seed=0):
    """The `Task` of finding photographs by altered copies of them.

    Of files of one content one is taken, and of those that can't be read none: both are said.

    Args:
        folder: With photographs in it and below, or a CSV file of `data.labelled.read_csv`.
        copies: The folder of the copies, made anew.
        count: Photographs that are copied, at most all.
        among: Photographs that are searched, with those that are copied; None for all.
        seed: Of the choice and of what is done to the copies.

    Returns:
        `Task`; queries are the copies, each with the photograph it was made of as its one positive.

    Raises:
        UserError: If there is no such folder, or fewer than `FEWEST` photographs that can be read.
    """
    random, copies = np.random.default_rng([seed, _STREAM]), Path(copies)
    paths = np.array(image_files("FOLDER", folder))
    _, failures = read_views(paths, skip_bad=True)
    faults, notes = list(failures.values()), []
    paths = _distinct(np.delete(paths, list(failures)), notes)
    order = random.permutation(len(paths))[:among]

    def copy(place):
        """Bytes of a copy, or the reason why there is none."""
        try:
            image = decode_file(paths[place], is_upright=True).numpy()
        except UserError as error:
            return str(error)
        own = np.random.default_rng([seed, _STREAM, place])
        return alter(image, draw_alteration(own, *image.shape[:2]))

    rows, asked = {place: (paths[place], f"{place:06d}", "") for place in np.sort(order)}, []
    with contextlib.closing(in_order(copy, order)) as results:
        for place, result in zip(order, results, strict=False):
            if isinstance(result, str):
                faults.append(result)
                del rows[place]
                continue
            asked.append((f"{place:06d}", result))
            if len(asked) == count:
                break
    if faults:
        notes.append(f"{len(faults)} images can't be read and are left out: {faults[0]}")
    if len(asked) < FEWEST:
        raise UserError(
            f"FOLDER={folder}: {FEWEST} photographs or more are needed, and {len(asked)} can be "
            f"taken{'; '.join(['', *notes])}"
        )
    remove(copies)
    copies.mkdir(parents=True)
    every = list(rows.values())
    for label, data in asked:
        (copies / f"{label}.jpg").write_bytes(data)
        every.append((str(copies / f"{label}.jpg"), label, _QUERY))
    name = printable(Path(folder).resolve().name)
    task = labelled_task(LabelledImages.from_rows(name, every), _QUERY)
    protocol = f"{len(asked)} altered copies, each to be found among {len(rows)} photographs"
    return replace(task, protocol=protocol, notes=(*task.notes, *notes))


def _distinct(paths, notes):
    """The first of the files of each content; what is left out is told in the list of notes."""
    keys = keys_of_alike(paths)
    _, first = np.unique(keys, axis=0, return_index=True)
    is_first = ~keys.any(axis=1)
    is_first[first] = True
    if repeated := int((~is_first).sum()):
        notes.append(f"{repeated} files have the content of another and are left out")
    return paths[is_first]
