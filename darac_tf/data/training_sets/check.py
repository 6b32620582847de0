"""What of a training set is in a folder, and what isn't."""

import numpy as np

from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.data.training_sets.readers import LISTS
from darac_tf.data.training_sets.tfds_sets import tfds_builder
from darac_tf.errors import UserError

SHOWN = 10


def check_training_set(kind, data_dir):
    """Looks through the folder of a training set: lists, counts and files.

    Args:
        kind: A key of `TRAINING_SETS`.
        data_dir: The folder.

    Returns:
        A plain text of several lines, and whether the folder holds the published set in full:
        every listed image has a file that is not empty, and counts are as published. Images are
        not decoded; `prepare` does that.

    Raises:
        UserError: If the kind is unknown.
    """
    if kind not in TRAINING_SETS:
        raise UserError(f"--dataset={kind}: choose from {', '.join(TRAINING_SETS)}")
    published = TRAINING_SETS[kind]
    lines, problems = [f"{published.title} in {data_dir}", ""], []
    try:
        look = _check_list if kind in LISTS else _check_tfds
        lines += look(kind, data_dir, problems)
    except UserError as error:
        problems.append(str(error))
    lines += ["", *(f"PROBLEM: {problem}" for problem in problems)]
    lines.append("complete, and as published" if not problems else "not the published set")
    lines += ["", "where to get it:", *(f"  {line}" for line in published.sources)]
    lines.append(f"  paper: {published.paper}")
    return "\n".join(lines) + "\n", not problems


def _check_list(kind, data_dir, problems):
    listing = LISTS[kind][0](data_dir)
    classes = len({row[1] for row in listing.rows})
    lines = _count_lines(kind, len(listing.rows), classes, problems)
    there = listing.present()
    missing = [listing.origins[index] for index in np.flatnonzero(~there)]
    lines.append(f"image files needed: {len(there)}, found: {np.sum(there)}")
    lines.append(f"images without a file, or with an empty one: {len(missing)}")
    lines += [f"  {origin}" for origin in missing[:SHOWN]]
    if len(missing) > SHOWN:
        lines.append(f"  ... and {len(missing) - SHOWN} more")
    if missing:
        problems.append(f"images without a file: {len(missing)}")
    return lines


def _check_tfds(kind, data_dir, problems):
    builder = tfds_builder(kind, data_dir)
    images = sum(builder.info.splits[split].num_examples for split in ("train", "test"))
    classes = builder.info.features["label"].num_classes
    return [
        f"prepared by TensorFlow Datasets: {builder.info.full_name}",
        *_count_lines(kind, images, classes, problems),
    ]


def _count_lines(kind, images, classes, problems):
    published = TRAINING_SETS[kind]
    lines = []
    for what, count, expected in (
        ("images", images, published.images),
        ("classes", classes, published.classes),
    ):
        lines.append(f"{what} listed: {count} (published: {expected})")
        if count != expected:
            problems.append(f"{count} {what} are listed, and {expected} are published")
    return lines
