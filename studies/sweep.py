"""Trains variants of a descriptor at equal budget, several seeds each, and compares them.

Every variant and seed is one run of `training.train` whose scores are kept in a file of its own,
so that a sweep can be interrupted, and goes on with the runs that are missing.
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from darac_tf.data import load_dataset
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models.descriptor import load_descriptor
from darac_tf.reports import markdown
from darac_tf.training.config import TrainConfig
from darac_tf.training.run import LAST_MODEL, train
from darac_tf.training.validation import Validator


@dataclass(frozen=True)
class Variant:
    """One row of a comparison.

    Attributes:
        name: For tables and file names.
        settings: Fields of `TrainConfig` that differ from the base.
        note: What differs, for readers.
    """

    name: str
    settings: dict
    note: str = ""


@dataclass(frozen=True)
class TestSet:
    """What every run is measured on, once it has ended.

    Attributes:
        name: Column of the table.
        images: `LabelledImages`; leave-one-out, plain mAP.
        long_side: Size they are described at, in pixels.
    """

    __test__ = False  # Not for pytest.

    name: str
    images: object
    long_side: int


def hold_out(config, count, folder):
    """Holds classes out of the training set of `config` for testing.

    Returns:
        `(config of the other classes, LabelledImages of the held-out ones)`; the other classes are
        listed in `folder`/train.csv.
    """
    images = load_dataset(config.dataset, config.data_dir, config.split)
    training, unseen = images.hold_out_classes(count, config.split_seed)
    training.write_csv(Path(folder) / "train.csv")
    listed = {"dataset": "csv", "data_dir": str(Path(folder) / "train.csv"), "split": None}
    return dataclasses.replace(config, **listed), unseen


def sweep(variants, seeds, config, tests, out):
    """Trains and measures what is not measured yet.

    Args:
        variants: List of `Variant`.
        seeds: List of integers, of weights, batches and augmentation.
        config: `TrainConfig` of the base.
        tests: List of `TestSet`.
        out: Folder; runs go to `out/runs`, scores to `out/scores`.

    Returns:
        Dictionary of variant name to float array `(seeds, tests)`, mAP in [0, 1].

    Raises:
        UserError: If `out` holds scores of other settings.
    """
    scores = {}
    for variant in variants:
        rows = []
        for seed in seeds:
            settings = dataclasses.replace(config, **variant.settings, seed=seed)
            rows.append(_one(f"{variant.name}-{seed}", settings, tests, Path(out)))
        scores[variant.name] = np.array([[row[test.name] for test in tests] for row in rows])
    return scores


def _one(name, config, tests, out):
    file = out / "scores" / f"{name}.json"
    settings = dataclasses.asdict(config)
    if file.exists():
        stored = json.loads(file.read_text())
        # Scores from before a setting existed are of its default.
        if dataclasses.asdict(TrainConfig()) | stored["settings"] == settings and set(
            stored["scores"]
        ) >= {t.name for t in tests}:
            return stored["scores"]
        raise UserError(
            f"{file} is of other settings or test sets: remove it, or name another --out"
        )
    run_dir = out / "runs" / name
    shutil.rmtree(run_dir, ignore_errors=True)  # cut off before it was measured
    keras.backend.clear_session()
    result = train(config, run_dir)
    scores = measure(load_descriptor(run_dir / LAST_MODEL), config, tests)
    shutil.rmtree(run_dir / "checkpoints")
    print(f"{name}: " + ", ".join(f"{k} {100 * v:.2f}" for k, v in scores.items()), flush=True)
    with atomic_path(file) as path:
        found = {"settings": settings, "scores": scores, "losses": result.losses.tolist()}
        path.write_text(json.dumps(found, indent=1) + "\n")
    return scores


def measure(model, config, tests):
    """Plain mAP of a descriptor on each test set, a dictionary of name to number in [0, 1]."""
    return {
        test.name: Validator(
            model, test.images, dataclasses.replace(config, image_size=test.long_side)
        ).scores()[Validator.METRIC]
        for test in tests
    }


def comparison_table(variants, scores, tests, untrained):
    """Markdown table: mean and deviation over seeds, and the paired difference to the first.

    Args:
        variants: List of `Variant`; the first is what the others are compared with.
        scores: Result of `sweep`.
        tests: List of `TestSet`.
        untrained: Result of `measure` before training.

    Returns:
        Text. Deviations are of the sample (divisor: seeds - 1).
    """
    header = ["variant", "what differs"]
    for test in tests:
        header += [f"{test.name}", "± (seeds)", f"against {variants[0].name}", "± (paired)"]
    blank = ["", "", ""]
    rows = [["before training", ""]]
    for test in tests:
        rows[0] += [markdown.percent(untrained[test.name]), *blank]
    base = scores[variants[0].name]
    for variant in variants:
        values = scores[variant.name]
        row = [variant.name, variant.note]
        for column in range(len(tests)):
            row += _cells(values[:, column], values[:, column] - base[:, column])
        rows.append(row)
    numeric = [False, False] + 4 * len(tests) * [True]
    return markdown.table(header, rows, numeric)


def _cells(values, differences):
    """Mean, deviation, mean difference, its deviation."""
    is_alone = len(values) < 2
    return [
        markdown.percent(values.mean()),
        "" if is_alone else markdown.percent(values.std(ddof=1)),
        markdown.percent(differences.mean(), sign=True) if differences.any() else "",
        "" if is_alone or not differences.any() else markdown.percent(differences.std(ddof=1)),
    ]


def base_config(**settings):
    """`TrainConfig` of a sweep: no validation and one checkpoint, at the end."""
    steps = settings["steps"]
    return TrainConfig(**{"pooling_steps": 0} | settings, val_every=steps, checkpoint_every=steps)
