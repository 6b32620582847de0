"""Which reconstruction of what the papers leave open is best: each choice changed by itself.

    python -m studies.reconstruction --data_dir=photos --held_out_classes=25 \
        --backbone=backbone.keras --out=runs/reconstruction

Trains every variant with every seed at equal budget and measures retrieval among classes that were
never trained on. Prints a Markdown table, and writes it to --out with all scores. Interrupted, it
goes on where it stopped with the same command. --studies chooses the groups of variants.
"""

import json
from pathlib import Path

import keras
from absl import flags

from darac_tf import cli
from darac_tf.choices import DATASETS
from darac_tf.data import load_dataset
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.models import build_descriptor
from darac_tf.reports.environment import environment
from studies.sweep import TestSet, base_config, comparison_table, hold_out, measure, sweep
from studies.variants import GROUPS

FLAGS = flags.FLAGS
flags.DEFINE_enum("dataset", "folder", list(DATASETS), "Kind of the data set.")
flags.DEFINE_string("data_dir", None, "Folder of class folders, or CSV.")
flags.DEFINE_integer("held_out_classes", 25, "Classes to test on.", lower_bound=1)
flags.DEFINE_integer("split_seed", 0, "Which classes those are.")
flags.DEFINE_string("test_csv", None, "Test on these images too (path,label).")
flags.DEFINE_integer("test_size", 299, "Long side of these.", lower_bound=1)
flags.DEFINE_string("backbone", "ResNet50V2", "keras.applications name or .keras file.")
flags.DEFINE_string("backbone_weights", None, "imagenet, none or a weight file.")
flags.DEFINE_integer("image_size", 128, "Side of the training images.", lower_bound=1)
flags.DEFINE_integer("classes_per_batch", 12, "P of P x K batches.", lower_bound=2)
flags.DEFINE_integer("images_per_class", 4, "K of P x K batches.", lower_bound=2)
flags.DEFINE_integer("steps", 80, "Training steps of each run.", lower_bound=1)
flags.DEFINE_float("learning_rate", 3e-5, "Peak, of the backbone.")
flags.DEFINE_integer("seeds", 3, "Runs of each variant.", lower_bound=1)
flags.DEFINE_list("studies", ["reconstruction"], f"Of {', '.join(GROUPS)}, or single variants.")
flags.DEFINE_string("out", None, "Folder for runs, scores and the table.", required=True)

_COPIED = (
    "dataset",
    "data_dir",
    "split_seed",
    "backbone",
    "backbone_weights",
    "image_size",
    "classes_per_batch",
    "images_per_class",
    "steps",
    "learning_rate",
)


def variants():
    """The variants of --studies, groups or single ones, the base first."""
    known = GROUPS | {variant.name: [variant] for group in GROUPS.values() for variant in group}
    unknown = [name for name in FLAGS.studies if name not in known]
    if unknown:
        raise UserError(f"--studies: {unknown[0]!r} is unknown; choose from {', '.join(known)}")
    chosen = [variant for name in ("base", *FLAGS.studies) for variant in known[name]]
    return list({variant.name: variant for variant in chosen}.values())


def main():
    out, chosen = Path(FLAGS.out), variants()
    config, unseen = hold_out(
        base_config(**{name: FLAGS[name].value for name in _COPIED}), FLAGS.held_out_classes, out
    )
    tests = [TestSet("unseen classes", unseen, FLAGS.image_size)]
    if FLAGS.test_csv:
        tests.append(TestSet("test set", load_dataset("csv", FLAGS.test_csv), FLAGS.test_size))
    keras.utils.set_random_seed(0)
    model = build_descriptor(config.backbone, config.backbone_weights, config.pooling)
    untrained = measure(model, config, tests)
    scores = sweep(chosen, list(range(FLAGS.seeds)), config, tests, out)
    table = comparison_table(chosen, scores, tests, untrained)
    facts = {
        "environment": environment(),
        "untrained": untrained,
        "scores": {name: values.tolist() for name, values in scores.items()},
    }
    with atomic_path(out / "table.md") as path:
        path.write_text(table + "\n")
    with atomic_path(out / "table.json") as path:
        path.write_text(json.dumps(facts, indent=2) + "\n")
    print(table)


if __name__ == "__main__":
    cli.run(main)
