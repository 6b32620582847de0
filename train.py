"""Trains a descriptor on labelled images.

    python train.py --dataset=folder --data_dir=photos --val_classes=10 --run_dir=runs/photos

--config=NAME takes the settings of a whole run (darac_tf/training/configs), --system=NAME those of
a paper's system (darac_tf/systems); flags that are given win. --dry_run only says what it takes.
A run directory holds the settings, checkpoints, TensorBoard events, and the best and last model.
An interrupted run goes on with --resume and the same flags.
"""

import dataclasses

from absl import flags

from darac_tf import cli
from darac_tf.data import DATASET_KINDS
from darac_tf.layers.regional import SHARINGS
from darac_tf.losses import LOSSES
from darac_tf.losses.nra import RANKS, STATISTICS, TRANSFERS
from darac_tf.models import POOLINGS
from darac_tf.systems import load_system, system_names
from darac_tf.training import TrainConfig, train
from darac_tf.training.config_checks import MATCHINGS, MININGS
from darac_tf.training.configs import load_config
from darac_tf.training.dry_run import dry_run
from darac_tf.training.local_features import train_local_features
from darac_tf.training.precision import PRECISIONS
from darac_tf.training.replicas import STRATEGIES
from darac_tf.training.state import OPTIMIZERS

DEFAULT = TrainConfig()
FLAGS = flags.FLAGS

flags.DEFINE_string("run_dir", None, "Where the run is written.", required=True)
flags.DEFINE_enum("system", None, system_names(), "Preset: settings of a paper's system.")
flags.DEFINE_string("config", None, "paper, small, demo, a .toml file, or a run's config.json.")
flags.DEFINE_bool(
    "dry_run", False, "Make a few steps, print sizes, memory and time; write nothing."
)
flags.DEFINE_bool("resume", False, "Go on from the last checkpoint in --run_dir.")


def _define_data_flags():
    flags.DEFINE(cli.KindParser(DATASET_KINDS), "dataset", DEFAULT.dataset, "Kind of data set.")
    flags.DEFINE_string("data_dir", None, "Folder or CSV of the data set, or where TFDS has its.")
    flags.DEFINE_string("split", None, "Train on this split of the data set.")
    flags.DEFINE_string("val_split", None, "Validate on this split of the data set.")
    flags.DEFINE_integer("val_classes", DEFAULT.val_classes, "Classes held out for validation.")
    flags.DEFINE_integer("split_seed", DEFAULT.split_seed, "Which classes are held out.")
    flags.DEFINE_integer("image_size", DEFAULT.image_size, "Side of the training images.")
    flags.DEFINE_integer("classes_per_batch", DEFAULT.classes_per_batch, "P of P x K batches.")
    flags.DEFINE_integer("images_per_class", DEFAULT.images_per_class, "K of P x K batches.")
    flags.DEFINE_float(
        "class_power",
        None,
        "Draw a class with its number of images to this power: 0 to 1. Default: classes in turn.",
    )
    flags.DEFINE_float("min_crop_area", DEFAULT.min_crop_area, "Smallest share a crop keeps.")
    flags.DEFINE_float("light", DEFAULT.light, "Strength of photometric augmentation, in [0, 1).")
    flags.DEFINE_bool("flip", DEFAULT.flip, "Mirror half of the images.")


def _define_model_flags():
    flags.DEFINE_string("backbone", DEFAULT.backbone, "keras.applications name or .keras file.")
    flags.DEFINE_string(
        "backbone_weights",
        None,
        "imagenet, none or a weight file. Default: imagenet for a keras.applications name, its own "
        "for a .keras file.",
    )
    flags.DEFINE_string("layer", None, "Take the feature maps of this layer; default: the last.")
    flags.DEFINE_enum("pooling", DEFAULT.pooling, list(POOLINGS), "Pooling layer.")
    flags.DEFINE_enum("grid", DEFAULT.grid, ["fixed", "pyramid"], "Regions of RAMAC and DARAC.")
    flags.DEFINE_bool("non_negative", DEFAULT.non_negative, "Keep DARAC's weights at 0 or above.")
    flags.DEFINE_bool("per_channel", DEFAULT.per_channel, "One DARAC weight a vector and channel.")
    flags.DEFINE_enum(
        "weight_sharing",
        DEFAULT.weight_sharing,
        list(SHARINGS),
        "Which DARAC vectors share a weight: none, those of a level and statistic, of a statistic.",
    )
    flags.DEFINE_bool(
        "normalize_regions", DEFAULT.normalize_regions, "L2 of regional vectors before the weights."
    )
    flags.DEFINE_enum(
        "batch_norm", DEFAULT.batch_norm, ["frozen", "train"], "Freeze batch normalisation or not."
    )
    flags.DEFINE_float("batch_norm_momentum", None, "Of moving statistics, with train.")


def _define_loss_flags():
    flags.DEFINE_enum(
        "matching",
        DEFAULT.matching,
        list(MATCHINGS),
        "Train a global descriptor, or the attention and PCA of DELF's local features.",
    )
    flags.DEFINE_integer("local_dim", DEFAULT.local_dim, "Dimension of local features.")
    flags.DEFINE_enum("loss", DEFAULT.loss, list(LOSSES), "Loss.")
    flags.DEFINE_float("margin", None, "Of the loss; default by loss.")
    flags.DEFINE_float("scale", None, "Of the loss; default by loss.")
    flags.DEFINE_bool("squared", DEFAULT.squared, "Triplets: squared distances, as in DIR.")
    flags.DEFINE_enum("rank", DEFAULT.rank, list(RANKS), "NRA: approximated rank.")
    flags.DEFINE_enum("statistics", DEFAULT.statistics, list(STATISTICS), "NRA: whose distances.")
    flags.DEFINE_bool(
        "statistics_gradient", DEFAULT.statistics_gradient, "NRA: gradient through statistics."
    )
    flags.DEFINE_enum("transfer", DEFAULT.transfer, list(TRANSFERS), "NRA: rank to similarity.")
    flags.DEFINE_float("transfer_power", None, "NRA: steepness; default by transfer.")
    flags.DEFINE_float("transfer_midpoint", None, "NRA: rank of similarity 1/2; default by rank.")


def _define_mining_flags():
    flags.DEFINE_enum(
        "mining",
        DEFAULT.mining,
        list(MININGS),
        "Train on P x K batches, or on tuples whose negatives are the nearest ones of other "
        "classes, found anew each epoch (GeM).",
    )
    flags.DEFINE_integer("mining_queries", DEFAULT.mining_queries, "Tuples an epoch.")
    flags.DEFINE_integer("mining_pool", DEFAULT.mining_pool, "Images negatives are sought in.")
    flags.DEFINE_integer("tuples_per_batch", DEFAULT.tuples_per_batch, "Tuples a step.")
    flags.DEFINE_integer("tuple_negatives", DEFAULT.tuple_negatives, "Negatives of a tuple.")


def _define_device_flags():
    flags.DEFINE_enum(
        "strategy",
        DEFAULT.strategy,
        list(STRATEGIES),
        "One device, all of this machine, or the machines in TF_CONFIG.",
    )
    flags.DEFINE_integer(
        "replicas", None, "With mirrored: GPUs, or parts of the CPU. Default: all GPUs, or 2 parts."
    )
    flags.DEFINE_enum(
        "precision", DEFAULT.precision, list(PRECISIONS), "What the backbone computes in."
    )
    flags.DEFINE_bool("jit_compile", DEFAULT.jit_compile, "Compile the network with XLA.")


def _define_optimizer_flags():
    flags.DEFINE_enum("optimizer", DEFAULT.optimizer, list(OPTIMIZERS), "Optimiser.")
    flags.DEFINE_float("learning_rate", DEFAULT.learning_rate, "Peak, of the backbone.")
    flags.DEFINE_float("head_learning_rate", DEFAULT.head_learning_rate, "Peak, of the pooling.")
    flags.DEFINE_float("weight_decay", DEFAULT.weight_decay, "Of the backbone's kernels.")
    flags.DEFINE_float("clip_norm", None, "Largest norm of the gradient; default: any.")
    flags.DEFINE_integer(
        "chunk_size", None, "Images at a time (gradient caching): less memory, the same gradient."
    )
    flags.DEFINE_float("average_decay", None, "Of a moving average of the weights (EMA).")
    flags.DEFINE_integer("warmup_steps", DEFAULT.warmup_steps, "Steps of rising learning rate.")
    flags.DEFINE_integer("steps", DEFAULT.steps, "Training steps in all.")
    flags.DEFINE_string(
        "freeze_until", None, "Freeze the backbone's layers up to this one; default: none."
    )
    flags.DEFINE_integer(
        "patience", None, "Stop after so many validations without a better mAP; default: never."
    )
    flags.DEFINE_integer("seed", DEFAULT.seed, "Of weights, batches and augmentation.")
    flags.DEFINE_integer("val_every", DEFAULT.val_every, "Steps between validations.")
    flags.DEFINE_integer("val_batch_pixels", DEFAULT.val_batch_pixels, "Pixels a batch.")
    flags.DEFINE_integer("checkpoint_every", DEFAULT.checkpoint_every, "Steps between checkpoints.")
    flags.DEFINE_integer("log_every", DEFAULT.log_every, "Steps between TensorBoard scalars.")


_define_data_flags()
_define_model_flags()
_define_loss_flags()
_define_mining_flags()
_define_device_flags()
_define_optimizer_flags()


def main():
    if FLAGS.system:
        cli.apply_preset(load_system(FLAGS.system).train)
    if FLAGS.config:
        cli.apply_preset(load_config(FLAGS.config))
    settings = {f.name: FLAGS[f.name].value for f in dataclasses.fields(TrainConfig)}
    config = TrainConfig(**settings)
    if FLAGS.dry_run:
        print(dry_run(config, FLAGS.run_dir))
        return
    run = train_local_features if config.matching == "local" else train
    result = run(config, FLAGS.run_dir, FLAGS.resume)
    best = "" if result.best is None else f", best validation mAP (plain) {100 * result.best:.2f}"
    print(f"{FLAGS.run_dir}: {result.steps} steps{best}")


if __name__ == "__main__":
    cli.run(main)
