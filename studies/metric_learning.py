"""Recall@K on the data sets of metric learning, by loss and embedding size.

    python -m studies.metric_learning --dataset=cub200 --data_dir=CUB_200_2011 --out=runs/cub200
    python -m studies.metric_learning --dataset=products --data_dir=Stanford_Online_Products \
        --cutoffs=1,10,100,1000 --out=runs/products

The standard splits share no class: the first half of the classes trains and the other tests
(cub200: 100 and 100, cars196: 98 and 98), of products as its lists say. --dataset=folder takes the
first --train_classes of the class folders in the order of their names.

A linear head is trained on the vectors of a frozen network, or with --network_steps of one that
was fine-tuned with the same loss. Each loss has the same effort of tuning, six options at four
learning rates and several numbers of steps: a part of the training classes chooses by recall@1,
then all of them train what was chosen. Test classes choose nothing. What is measured is kept in
--out, which gets metric_learning.md and .json at the end; interrupted, the same command goes on.
"""

import json
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
from absl import flags
from tqdm import tqdm

from darac_tf import cli
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models import POOLINGS
from darac_tf.reports import markdown
from darac_tf.reports.environment import environment
from darac_tf.training.run import LAST_MODEL, train
from studies.class_splits import PUBLISHED, read_split
from studies.digit_scores import mean_and_deviation
from studies.digit_training import batches
from studies.head_scores import recalls
from studies.heads import apply_head, train_heads
from studies.loss_options import OPTIONS, RATES, compared, maker, option_name
from studies.stored_vectors import describe, principal_directions
from studies.sweep import base_config

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "folder", [*PUBLISHED, "folder"], "Kind of the data set.")
flags.DEFINE_string("data_dir", None, "Its folder, as its authors publish it.", required=True)
flags.DEFINE_integer("train_classes", None, "Of a folder; default: half of its classes.")
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_enum("pooling", "spoc", list(POOLINGS), "Pooling of the stored vectors.")
flags.DEFINE_integer("image_size", 224, "Long side of the images.", lower_bound=1)
flags.DEFINE_string("cache_dir", None, "Keep the vectors here.")
flags.DEFINE_list("losses", ["nra", "triplet", "softmax", "contrastive"], f"Of {list(OPTIONS)}.")
flags.DEFINE_list("dims", ["32", "64", "128"], "Sizes of the embeddings.")
flags.DEFINE_list("cutoffs", ["1", "2", "4", "8"], "K of recall@K.")
flags.DEFINE_integer("input_dim", 256, "Principal directions a head sees.", lower_bound=1)
flags.DEFINE_integer("classes_per_batch", 12, "P of P x K batches.", lower_bound=2)
flags.DEFINE_integer("images_per_class", 4, "K of P x K batches.", lower_bound=2)
flags.DEFINE_list("steps", ["100", "400"], "Of a head; what is chosen among.")
flags.DEFINE_integer("seeds", 3, "Of batches and class weights.", lower_bound=1)
flags.DEFINE_float("choosing_share", 0.25, "Of the training classes.", 0.01, 0.9)
flags.DEFINE_integer("network_steps", 0, "Fine-tune the network too; 0: frozen.", lower_bound=0)
flags.DEFINE_float("network_rate", 3e-5, "Learning rate of that.", lower_bound=0)
flags.DEFINE_string("out", None, "Folder of scores and tables.", required=True)

_FREE = ("losses", "dims", "cutoffs", "cache_dir", "out")


class Tuning:
    """Chooses what to train a head with on a part of the training classes, then trains on all."""

    def __init__(self, vectors, labels, tested, test_labels, cutoffs):
        self._vectors, self._labels = vectors, labels
        self._tested, self._test_labels, self._cutoffs = tested, test_labels, cutoffs
        count = max(2, round(FLAGS.choosing_share * (labels.max() + 1)))
        chosen = np.random.default_rng(0).permutation(labels.max() + 1)[:count]
        self._choosing = np.isin(labels, chosen)

    def before(self, dim):
        """recall@K of the first principal directions."""
        head = np.eye(self._vectors.shape[1], dim, dtype=np.float32)
        return recalls(apply_head(self._tested, head), self._test_labels, self._cutoffs)

    def run(self, loss, dim):
        """Dictionary of what was chosen, and of recall@K `(seeds, cutoffs)` on the test classes."""
        points = [int(steps) for steps in FLAGS.steps]
        vectors, labels = self._vectors[self._choosing], self._labels[self._choosing]
        found = {}
        for number, option in enumerate(compared(loss)):
            rest = np.unique(self._labels[~self._choosing], return_inverse=True)[1]
            heads = self._train(
                loss, option, self._vectors[~self._choosing], rest, RATES, dim, points
            )
            for point, of_point in zip(points, heads, strict=True):
                for rate, of_rate in zip(RATES, of_point, strict=True):
                    first = [recalls(apply_head(vectors, head), labels, [1])[0] for head in of_rate]
                    found[number, rate, point] = float(np.mean(first))
        number, rate, point = max(found, key=found.get)
        option = compared(loss)[number]
        (heads,) = self._train(loss, option, self._vectors, self._labels, [rate], dim, [point])
        scores = [
            recalls(apply_head(self._tested, head), self._test_labels, self._cutoffs)
            for head in heads[0]
        ]
        text = f"{option_name(option)}, rate {rate:g}, {point} steps"
        return {"chosen": text, "recall@1 chosen by": found[number, rate, point], "scores": scores}

    def _train(self, loss, option, vectors, labels, rates, dim, points):
        classes = min(FLAGS.classes_per_batch, labels.max() + 1)
        steps = [
            batches(labels, classes, FLAGS.images_per_class, points[-1], seed)
            for seed in range(FLAGS.seeds)
        ]
        make, class_rate = maker(loss, option, labels.max() + 1, dim)
        return train_heads(
            make, vectors, labels, np.stack(steps), rates, dim, points, class_rate=class_rate
        )


def fine_tuned(loss, training, folder):
    """Path of the network after --network_steps with a loss, trained once."""
    path = folder / LAST_MODEL
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)  # cut off before its end
        training.write_csv(folder.with_suffix(".csv"))
        keras.backend.clear_session()
        config = base_config(
            dataset="csv",
            data_dir=str(folder.with_suffix(".csv")),
            backbone=FLAGS.backbone,
            backbone_weights=FLAGS.backbone_weights,
            pooling=FLAGS.pooling,
            image_size=FLAGS.image_size,
            classes_per_batch=min(FLAGS.classes_per_batch, len(training.class_names)),
            images_per_class=FLAGS.images_per_class,
            learning_rate=FLAGS.network_rate,
            steps=FLAGS.network_steps,
            warmup_steps=min(20, FLAGS.network_steps - 1),
            loss=loss,
        )
        train(config, folder)
        shutil.rmtree(folder / "checkpoints")
    return str(path)


def prepare(spec, weights, training, testing, cutoffs):
    """`Tuning` on the vectors of a network."""
    vectors = [
        describe(spec, weights, images, FLAGS.image_size, FLAGS.cache_dir)
        for images in (training, testing)
    ]
    trained, tested = principal_directions(vectors[0], FLAGS.input_dim, vectors[1])
    return Tuning(trained, training.labels, tested, testing.labels, cutoffs)


def measure(tuning_of, settings, cutoffs, dims):
    """Dictionary of `(dim, loss)` to what `Tuning.run` gives, from files or measured."""
    found = {}
    for loss, dim in tqdm([(loss, dim) for loss in FLAGS.losses for dim in dims], unit="head"):
        file = Path(FLAGS.out) / "scores" / f"{loss}-{dim}.json"
        own = settings | {"cutoffs": cutoffs}
        if file.exists():
            stored = json.loads(file.read_text())
            if stored["settings"] != own:
                raise UserError(f"{file} is of other settings: remove it, or name another --out")
        else:
            stored = tuning_of(loss).run(loss, dim) | {"settings": own}
            with atomic_path(file) as path:
                path.write_text(json.dumps(stored) + "\n")
        found[dim, loss] = stored
    return found


def recall_table(found, before, cutoffs, dims):
    """Markdown: a row for each embedding size and loss, mean and deviation of the seeds."""
    rows = []
    for dim in dims:
        if before:
            rows.append([str(dim), "PCA", *map(markdown.percent, before[dim]), ""])
        for loss in FLAGS.losses:
            one = found[dim, loss]
            cells = [mean_and_deviation(list(of_k)) for of_k in zip(*one["scores"], strict=True)]
            rows.append([str(dim), loss, *cells, one["chosen"]])
    header = ["size", "loss", *(f"R@{k}" for k in cutoffs), "chosen"]
    return markdown.table(header, rows, [True, False, *[True] * len(cutoffs), False])


def check_flags():
    for name in ("dims", "cutoffs", "steps"):
        values = FLAGS[name].value
        numbers = [int(v) if v.isdigit() else 0 for v in values]
        if not numbers or min(numbers) < 1 or sorted(set(numbers)) != numbers:
            raise UserError(f"--{name}={','.join(values)}: must be rising whole numbers above 0")
    if max(map(int, FLAGS.dims)) > FLAGS.input_dim:
        raise UserError(f"--dims={','.join(FLAGS.dims)}: must be at most --input_dim")
    unknown = [loss for loss in FLAGS.losses if loss not in OPTIONS]
    if unknown or not FLAGS.losses:
        raise UserError(f"--losses={','.join(FLAGS.losses)}: choose from {', '.join(OPTIONS)}")
    if FLAGS.network_steps == 1:
        raise UserError("--network_steps=1: must be 0, or at least 2")


def main():
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    check_flags()
    cutoffs, dims = [int(k) for k in FLAGS.cutoffs], [int(dim) for dim in FLAGS.dims]
    training, testing = read_split(FLAGS.dataset, FLAGS.data_dir, FLAGS.train_classes)
    training.check_for_training()
    known = {}

    def tuning_of(loss):
        name = loss if FLAGS.network_steps else ""
        if name not in known:
            known.clear()  # one set of vectors at a time
            backbone, weights = FLAGS.backbone, FLAGS.backbone_weights
            if name:
                backbone = fine_tuned(loss, training, Path(FLAGS.out) / "runs" / loss)
            spec = backbone if name else f"{backbone}+{FLAGS.pooling}"
            known[name] = prepare(spec, weights, training, testing, cutoffs)
        return known[name]

    settings = {name: value for name, value in options.items() if name not in _FREE}
    found = measure(tuning_of, settings, cutoffs, dims)
    frozen = not FLAGS.network_steps
    before = {dim: tuning_of("").before(dim) for dim in dims} if frozen else None
    table = recall_table(found, before, cutoffs, dims)
    about = (
        f"{FLAGS.dataset}: {len(training)} images of {len(training.class_names)} classes train, "
        f"{len(testing)} of {len(testing.class_names)} test; {FLAGS.seeds} seeds"
    )
    content = {"settings": options, "environment": environment(), "before": before}
    content["scores"] = [
        {"dim": dim, "loss": loss, "cutoffs": cutoffs, **one} for (dim, loss), one in found.items()
    ]
    page = f"# Recall@K by loss and embedding size\n\n{about}.\n\n{table}"
    for ending, text in (("md", page), ("json", json.dumps(content, indent=1))):
        with atomic_path(Path(FLAGS.out) / f"metric_learning.{ending}") as path:
            path.write_text(text + "\n", encoding="utf-8")
    print(f"{about}.\n\n{table}")


if __name__ == "__main__":
    cli.run(main)
