"""Losses at equal effort of tuning: linear heads on stored vectors, chosen and scored on halves.

    python -m studies.loss_sweep --dataset=folder --data_dir=photos --held_out_classes=25 \
        --backbone=backbone.keras --cache_dir=cache --out=runs/loss_sweep

Each loss trains a head on the vectors of a frozen network, with six options (`loss_options`; all 18
of NRA are trained for the questions about NRA itself) at four learning rates, and is measured at
several numbers of steps. Half of the held-out classes chooses the configuration, the other half
scores it. --batches trains what was chosen with other batches. Every option is a file in --out, so
that the sweep can be interrupted and goes on where it stopped. Prints tables; --out gets
loss_sweep.md and loss_sweep.json.
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from darac_tf import cli
from darac_tf.choices import DATASETS
from darac_tf.data import load_dataset
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.reports import markdown
from darac_tf.reports.environment import environment
from studies.digit_training import batches
from studies.head_scores import average_precisions
from studies.heads import apply_head, train_heads
from studies.loss_options import OPTIONS, RATES, compared, maker, option_name
from studies.loss_table import (
    choose,
    compared_table,
    gradient_table,
    mean_of_subsets,
    ranks_table,
    seeds_interval,
)
from studies.stored_vectors import describe, principal_directions

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "folder", list(DATASETS), "Kind of the data set.")
flags.DEFINE_string("data_dir", None, "Folder of class folders, or CSV.")
flags.DEFINE_integer("held_out_classes", 25, "Classes not trained on.", lower_bound=4)
flags.DEFINE_integer("split_seed", 0, "Which classes those are, and their halves.")
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_string("pooling", "ramac", "Pooling of the stored vectors.")
flags.DEFINE_integer("image_size", 192, "Long side of the images.", lower_bound=1)
flags.DEFINE_string("cache_dir", None, "Keep the vectors here.")
flags.DEFINE_list("losses", list(OPTIONS), "Which, NRA always among them.")
flags.DEFINE_integer("input_dim", 256, "Principal directions a head sees.", lower_bound=1)
flags.DEFINE_integer("dim", 32, "Of the embeddings.", lower_bound=1)
flags.DEFINE_list("steps", ["100", "400", "1600"], "Measured after these, rising.")
flags.DEFINE_integer("seeds", 5, "Of batches and class weights.", lower_bound=2)
flags.DEFINE_string("batch", "12x4", "Classes x images of a batch.")
flags.DEFINE_list("batches", ["24x8", "24x32"], "Others, for the chosen configurations.")
flags.DEFINE_integer("batch_steps", 400, "Steps with these.", lower_bound=1)
flags.DEFINE_string("out", None, "Folder of scores and tables.", required=True)

# Numbers that a step may hold at once; semi-hard triplets hold batch^3 for each head.
_MOST_NUMBERS = 1 << 27


class Sweep:
    """Trains heads on the vectors of a data set, and keeps the APs of held-out classes in files."""

    def __init__(self, training, held_out, settings, out):
        size, cache = settings["image_size"], settings["cache_dir"]
        spec = f"{settings['backbone']}+{settings['pooling']}"
        vectors = [
            describe(spec, settings["backbone_weights"], images, size, cache)
            for images in (training, held_out)
        ]
        self._vectors, self._tested = principal_directions(
            vectors[0], settings["input_dim"], vectors[1]
        )
        self._labels, self._test_labels = training.labels, held_out.labels
        classes = np.random.default_rng(settings["split_seed"]).permutation(
            len(held_out.class_names)
        )
        self.choosing = np.isin(held_out.labels, classes[: len(classes) // 2])
        self._settings, self._out = settings, Path(out)
        self.points = [int(steps) for steps in settings["steps"]]

    def before(self):
        """APs of the held-out images before training, `(images,)`."""
        head = np.eye(self._settings["input_dim"], self._settings["dim"], dtype=np.float32)
        return self._aps(head)

    def run(self, loss, option, rates=RATES, batch=None, points=None):
        """APs `(rates, seeds, points, images)` of one option of a loss, from its file or trained.

        Raises:
            UserError: If the file is of other settings.
        """
        batch, points = batch or self._settings["batch"], points or self.points
        classes, images = map(int, batch.split("x"))
        own = {"loss": loss, "option": option, "rates": list(rates), "batch": batch}
        own |= {"points": points, "of": self._kept_settings()}
        name = f"{loss} {option_name(option)} {batch} {points[-1]} {len(rates)}"
        name = name.replace(",", "").replace(" ", "-")
        file = self._out / "scores" / f"{name}.npz"
        if file.exists():
            with np.load(file) as stored:
                if json.loads(str(stored["settings"])) == own:
                    return stored["aps"]
            raise UserError(f"{file} is of other settings: remove it, or name another --out")
        seeds, dim = range(self._settings["seeds"]), self._settings["dim"]
        steps = [batches(self._labels, classes, images, points[-1], seed) for seed in seeds]
        make, class_rate = maker(loss, option, self._labels.max() + 1, dim)
        trained = train_heads(
            *(make, self._vectors, self._labels, np.stack(steps), rates, dim, points),
            class_rate=class_rate,
        )
        aps = [[[self._aps(head) for head in of_rate] for of_rate in heads] for heads in trained]
        aps = np.moveaxis(np.array(aps, np.float32), 0, 2)
        with atomic_path(file) as path:
            np.savez(path, aps=aps, settings=json.dumps(own))
        return aps

    def _kept_settings(self):
        free = ("losses", "batches", "batch_steps", "steps", "batch", "out", "cache_dir")
        return {name: value for name, value in self._settings.items() if name not in free}

    def _aps(self, head):
        """Each half is ranked by itself."""
        embeddings, found = apply_head(self._tested, head), np.zeros(len(self._tested), np.float32)
        for half in (self.choosing, ~self.choosing):
            found[half] = average_precisions(embeddings[half], self._test_labels[half])
        return found


def check_flags():
    unknown = set(FLAGS.losses) - set(OPTIONS)
    if unknown or "nra" not in FLAGS.losses:
        raise UserError(f"--losses={','.join(FLAGS.losses)}: name nra and some of {list(OPTIONS)}")
    for text in (FLAGS.batch, *FLAGS.batches):
        parts = text.split("x")
        if len(parts) != 2 or not all(part.isdigit() and int(part) > 1 for part in parts):
            raise UserError(f"--batches={text}: must be CLASSESxIMAGES, such as 12x4")
    steps = FLAGS.steps
    if not all(step.isdigit() for step in steps) or sorted(set(map(int, steps))) != [
        int(step) for step in steps
    ]:
        raise UserError(f"--steps={','.join(steps)}: must be rising whole numbers")
    if FLAGS.dim > FLAGS.input_dim:
        raise UserError(f"--dim={FLAGS.dim}: must be at most --input_dim={FLAGS.input_dim}")


def with_other_batches(sweep, found, shapes):
    """Rows `[loss, mAP ± of each batch]` of the chosen configurations, after --batch_steps."""
    rows = []
    for loss, chosen in found.items():
        row = [loss]
        for batch in shapes:
            classes, images = map(int, batch.split("x"))
            numbers = FLAGS.seeds * (classes * images) ** 3
            if loss == "triplet_semi_hard" and numbers > _MOST_NUMBERS:
                row.append("too large")
                continue
            option, rate = compared(loss)[chosen.option], RATES[chosen.rate]
            aps = sweep.run(loss, option, [rate], batch, [FLAGS.batch_steps])
            scores = aps[0, :, 0][:, ~sweep.choosing].mean(axis=1)
            row.append(f"{markdown.percent(scores.mean())} ± {100 * seeds_interval(scores):.2f}")
        rows.append(row)
    return rows


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    check_flags()
    images = load_dataset(FLAGS.dataset, FLAGS.data_dir)
    sweep = Sweep(
        *images.hold_out_classes(FLAGS.held_out_classes, FLAGS.split_seed), options, FLAGS.out
    )
    runs = [(loss, option) for loss in FLAGS.losses for option in OPTIONS[loss]]
    aps = {loss: {} for loss in FLAGS.losses}
    bar = tqdm(runs, unit="option")
    for loss, option in bar:
        bar.set_postfix_str(f"{loss}: {option_name(option)}")
        aps[loss][option_name(option)] = sweep.run(loss, option)
    six = {
        loss: [aps[loss][option_name(option)] for option in compared(loss)] for loss in FLAGS.losses
    }
    reporting, untrained = ~sweep.choosing, sweep.before()
    before = float(untrained[reporting].mean())

    def rate_and_steps(chosen):
        return f"rate {RATES[chosen.rate]:g}, {sweep.points[chosen.point]} steps"

    def configuration(loss, chosen):
        return f"{option_name(compared(loss)[chosen.option])}, {rate_and_steps(chosen)}"

    found = {loss: choose(own, sweep.choosing) for loss, own in six.items()}
    parts = [
        f"# Losses on stored vectors\n\n{images.name}: mAP in %, {reporting.sum()} queries.",
        "## Steps chosen too\n\n" + compared_table(found, configuration, before),
    ]
    swapped = {loss: choose(own, reporting) for loss, own in six.items()}
    rows = compared_table(swapped, configuration, float(untrained[sweep.choosing].mean()))
    parts.append("## The halves swapped\n\n" + rows)
    for point, steps in enumerate(sweep.points):
        at = {loss: choose(own, sweep.choosing, point) for loss, own in six.items()}
        parts.append(f"## {steps} steps\n\n" + compared_table(at, configuration, before))
    all_nra = list(aps["nra"].values())
    parts += [
        "## All options of NRA\n\n" + ranks_table(all_nra, sweep.choosing, rate_and_steps),
        "Mean of what is chosen among six of them, over all subsets of six: "
        + markdown.percent(mean_of_subsets(all_nra, sweep.choosing, 6)),
        "## The gradient through the statistics\n\n" + gradient_table(all_nra, sweep.choosing),
    ]
    if FLAGS.batches:
        shapes = [FLAGS.batch, *FLAGS.batches]
        rows = with_other_batches(sweep, found, shapes)
        numeric = [False] + [True] * len(shapes)
        parts.append(
            f"## Batches, {FLAGS.batch_steps} steps\n\n"
            + markdown.table(["loss", *shapes], rows, numeric)
        )
    page = "\n\n".join(parts)
    facts = {
        "settings": options,
        "environment": environment(),
        "before": before,
        "means on the choosing half": {
            loss: {
                name: ap[..., sweep.choosing].mean(axis=(1, 3)).tolist() for name, ap in own.items()
            }
            for loss, own in aps.items()
        },
        "means on the reporting half, by seed": {
            loss: {name: ap[..., reporting].mean(axis=3).tolist() for name, ap in own.items()}
            for loss, own in aps.items()
        },
    }
    for ending, text in (("md", page), ("json", json.dumps(facts))):
        with atomic_path(Path(FLAGS.out) / f"loss_sweep.{ending}") as path:
            path.write_text(text + "\n", encoding="utf-8")
    print(page)


if __name__ == "__main__":
    cli.run(main)
