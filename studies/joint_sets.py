"""What is trained on together, and what is tested on: landmarks, drawn landmarks and objects."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from darac_tf.data import load_dataset
from darac_tf.data.demo.landmarks import generate_landmarks
from darac_tf.data.labelled import LabelledImages
from darac_tf.evaluation.task import labelled_task

# Name of a test set: (split that is tested, split of the queries); None for all, leave-one-out.
TESTS = {
    "sf_landmarks": ("test", None),
    "buildings": (None, None),
    "multiview": (None, None),
    "museum": (None, "query"),
}
# Photographs of places that whitening is fitted on, beside the other test sets of places.
LANDMARKS = "sf_landmarks"
_PAINTINGS = "museum"
_DRAWN_CLASSES, _DRAWN_VIEWS, _DRAWN_SIDE = 60, 5, 299
_OBJECTS_TRAINED, _OBJECTS_CHOOSING = 8, 10
_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class Kind:
    """Images of one kind, split by class."""

    training: LabelledImages
    choosing: object  # `Task` of the held-out classes.


def read_kinds(data_dir, folder):
    """The kinds that are trained on together, a dictionary of name to `Kind`.

    A fifth of the classes of each is held out, and chooses the learning rate. Images that are alone
    in their class are distractors of these. Of an object's class, 8 images train and 10 choose.

    Args:
        data_dir: Folder with `sf_landmarks/labels.csv` and `objects`.
        folder: Where the drawn landmarks are, or are put.
    """
    photographs = read_photographs(data_dir, LANDMARKS, "train")
    has_partner = np.bincount(photographs.labels)[photographs.labels] > 1
    drawn = generate_landmarks(folder, _DRAWN_CLASSES, _DRAWN_VIEWS, _DRAWN_SIDE)
    objects = load_dataset("folder", Path(data_dir) / "objects")
    kinds = {}
    for name, images, distractors in (
        ("landmarks", photographs.select(has_partner), photographs.paths[~has_partner]),
        ("drawn", load_dataset("folder", drawn), ()),
        ("objects", objects, ()),
    ):
        held_out = round(_HELD_OUT_SHARE * len(images.class_names))
        training, choosing = images.hold_out_classes(held_out, 0)
        if name == "objects":
            training, choosing = (
                some_of_each(training, _OBJECTS_TRAINED),
                some_of_each(choosing, _OBJECTS_CHOOSING),
            )
        kinds[name] = Kind(training, labelled_task(choosing, distractors=distractors))
    return kinds


def joined(kinds):
    """All training images of the kinds as one `LabelledImages`."""
    rows = [
        (path, f"{name}/{label}", split)
        for name, kind in kinds.items()
        for path, label, split in kind.training.rows()
    ]
    return LabelledImages.from_rows("joint", rows)


def read_photographs(data_dir, name, split=None):
    """`LabelledImages` of a set, as stored: `sf_landmarks` was turned and kept its tags."""
    return replace(load_dataset("csv", Path(data_dir) / name, split), upright=False)


def read_tests(data_dir, names=tuple(TESTS)):
    """Dictionary of name to `Task`, of all `TESTS` or some."""
    tests = {}
    for name in names:
        split, query_split = TESTS[name]
        tests[name] = labelled_task(read_photographs(data_dir, name, split), query_split)
    return tests


def whitened_by(name):
    """Names of the sets that a test set's whitening is fitted on: never itself.

    Places by the photographs of the other places and of the training landmarks; paintings by all of
    these, since there are no others.
    """
    return [LANDMARKS + ":train", *(n for n in TESTS if n not in (name, _PAINTINGS))]


def some_of_each(images, count):
    """The first `count` images of each class, in a random order."""
    order = np.random.default_rng(0).permutation(len(images))
    seen, chosen = np.zeros(len(images.class_names), int), np.zeros(len(images), bool)
    for row in order:
        label = images.labels[row]
        chosen[row] = seen[label] < count
        seen[label] += 1
    return images.select(chosen)
