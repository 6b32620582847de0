"""Everything a training run depends on, in one record that travels with it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from darac_tf.choices import (
    DATASET_KINDS,
    DEFAULT_MAX_PIXELS,
    LOSSES,
    OPTIMIZERS,
    ORIENTATIONS,
    POOLINGS,
    RANKS,
    SHARINGS,
    STATISTICS,
    STRATEGIES,
    TRAINING_PRECISIONS,
    TRANSFERS,
)
from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.settings import CONFIG_FILE, check_settings, setting

# What a resumed run may change: the steps to come are those of the whole run, up to rounding.
_FREE_ON_RESUME = {
    *("checkpoint_every", "val_every", "log_every", "val_batch_pixels"),
    *("max_pixels", "chunk_size", "strategy", "replicas", "jit_compile"),
}
# Of runs that were written before None was the default.
_EARLIER_DEFAULTS = {"pooling_steps": 0, "classes_per_batch": 12}
# What training the attention of local features has no use for.
_NOT_FOR_LOCAL = {
    *("strategy", "precision", "jit_compile", "freeze_until", "patience", "mining"),
    *("chunk_size", "average_decay", "clip_norm"),
}

# Where they were trained to convergence, the best came before (docs/results.md).
DEFAULT_POOLING_STEPS = 1500
# P of P x K batches.
DEFAULT_CLASSES = 12


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run: each is a flag of train.py, with the help and the bounds it has here."""

    dataset: str = setting("demo", "Kind of data set.", choices=DATASET_KINDS)
    data_dir: str | None = setting(None, "Folder or CSV of the data set, or where TFDS has its.")
    split: str | None = setting(
        None, "Train on this split of the data set; default: all that is not --val_split."
    )
    val_split: str | None = setting(None, "Validate on this split of the data set.")
    val_classes: int = setting(0, "Classes held out for validation.")
    split_seed: int = setting(0, "Which classes are held out.")
    orientation: str = setting(
        "upright", "Turn images upright by their Exif orientation, or not.", choices=ORIENTATIONS
    )
    max_pixels: int = setting(DEFAULT_MAX_PIXELS, "Refuse images of more pixels.", low=1)
    backbone: str = setting(
        "ResNet50V2",
        "keras.applications name, EfficientNetLite0 to 2, hub:PRESET of KerasHub, .keras file, or "
        "a run for its network.",
    )
    backbone_weights: str | None = setting(
        None,
        "imagenet, none or a weight file. Default: imagenet for a network by name, its own for a "
        ".keras file.",
    )
    skip_bad_images: bool = setting(
        False, "Decode all images first, and leave out those that can't be read."
    )
    layer: str | None = setting(None, "Take the feature maps of this layer; default: the last.")
    pooling: str = setting("darac", "Pooling layer.", choices=POOLINGS)
    grid: str = setting("fixed", "Regions of RAMAC and DARAC.", choices=["fixed", "pyramid"])
    non_negative: bool = setting(False, "Keep DARAC's weights at 0 or above.")
    per_channel: bool = setting(False, "One DARAC weight a vector and channel.")
    weight_sharing: str = setting(
        "none",
        "Which DARAC vectors share a weight: none, those of a level and statistic, of a statistic.",
        choices=SHARINGS,
    )
    normalize_regions: bool = setting(True, "L2 of regional vectors before the weights.")
    image_size: int = setting(299, "Side of the training images.", low=1)
    crop_shapes: str | None = setting(
        None,
        "Shapes of training images as width:height, all of the area of a square, each for an equal "
        "share of the steps: 4:3,4:3,3:4,1:1 has half of them in 4:3. Default: squares.",
    )
    classes_per_batch: int | None = setting(
        None, "P of P x K batches. Default: 12, or all classes where there are fewer.", low=2
    )
    images_per_class: int = setting(4, "K of P x K batches.", low=2)
    class_power: float | None = setting(
        None,
        "Draw a class with its number of images to this power: 0 to 1. Default: classes in turn.",
        low=0,
        high=1,
    )
    min_crop_area: float = setting(0.4, "Smallest share a crop keeps.", above=0, high=1)
    min_scale: float = setting(
        1.0, "Local features: least random factor of a step's crops.", above=0, high=1
    )
    light: float = setting(0.3, "Strength of photometric augmentation, in [0, 1).", low=0, below=1)
    flip: bool = setting(True, "Mirror half of the images.")
    matching: str = setting(
        "global",
        "Train a global descriptor, or the attention and PCA of DELF's local features.",
        choices=["global", "local"],
    )
    local_dim: int = setting(40, "Dimension of local features.", low=1)
    loss: str = setting("nra", "Loss.", choices=LOSSES)
    margin: float | None = setting(None, "Of the loss; default by loss.")
    scale: float | None = setting(None, "Of the loss; default by loss.")
    squared: bool = setting(False, "Triplets: squared distances, as in DIR.")
    rank: str = setting("soft", "NRA: approximated rank.", choices=RANKS)
    statistics: str = setting("batch", "NRA: whose distances.", choices=STATISTICS)
    statistics_gradient: bool = setting(True, "NRA: gradient through statistics.")
    transfer: str = setting("logistic", "NRA: rank to similarity.", choices=TRANSFERS)
    transfer_power: float | None = setting(None, "NRA: steepness; default by transfer.")
    transfer_midpoint: float | None = setting(None, "NRA: rank of similarity 1/2; default by rank.")
    mining: str = setting(
        "none",
        "Train on P x K batches, or on tuples whose negatives are the nearest ones of other "
        "classes, found anew each epoch (GeM).",
        choices=["none", "hard_negatives"],
    )
    mining_queries: int = setting(2000, "Tuples an epoch.")
    mining_pool: int = setting(20000, "Images negatives are sought in.", low=1)
    tuples_per_batch: int = setting(5, "Tuples a step.", low=1)
    tuple_negatives: int = setting(5, "Negatives of a tuple.", low=1)
    optimizer: str = setting("adamw", "Optimiser.", choices=OPTIMIZERS)
    learning_rate: float = setting(3e-5, "Peak, of the backbone.", above=0)
    head_learning_rate: float = setting(1e-2, "Peak, of the pooling.", above=0)
    weight_decay: float = setting(1e-4, "Of the backbone's kernels.", low=0)
    warmup_steps: int = setting(20, "Steps of rising learning rate.")
    steps: int = setting(1000, "Training steps of the network; 0 trains the pooling alone.", low=0)
    pooling_steps: int | None = setting(
        None,
        "Steps that DARAC's weights or GeM's exponent are trained on cached vectors before the "
        "network is touched; 0 leaves it out. Default: 1500 on a pretrained backbone.",
        low=0,
    )
    pooling_learning_rate: float = setting(0.02, "Of these steps.", above=0)
    pooling_images: int = setting(2000, "Images whose vectors are cached for it.", low=4)
    pooling_views: int = setting(
        1,
        "Views of each: the whole image, then random crops of its shape, or --crop_shapes.",
        low=1,
    )
    clip_norm: float | None = setting(None, "Largest norm of the gradient; default: any.", above=0)
    chunk_size: int | None = setting(
        None, "Images at a time (gradient caching): less memory, the same gradient."
    )
    average_decay: float | None = setting(
        None, "Of a moving average of the weights (EMA).", above=0, below=1
    )
    batch_norm: str = setting(
        "frozen", "Freeze batch normalisation or not.", choices=["frozen", "train"]
    )
    batch_norm_momentum: float | None = setting(None, "Of moving statistics, with train.")
    freeze_until: str | None = setting(
        None, "Freeze the backbone's layers up to this one; default: none."
    )
    patience: int | None = setting(
        None, "Stop after so many validations without a better mAP; default: never.", low=1
    )
    strategy: str = setting(
        "one", "One device, all of this machine, or the machines in TF_CONFIG.", choices=STRATEGIES
    )
    replicas: int | None = setting(
        None, "With mirrored: GPUs, or parts of the CPU. Default: all GPUs, or 2 parts.", low=1
    )
    precision: str = setting(
        "float32", "What the backbone computes in.", choices=TRAINING_PRECISIONS
    )
    jit_compile: bool = setting(False, "Compile the network with XLA.")
    seed: int = setting(0, "Of weights, batches and augmentation.")
    val_every: int = setting(100, "Steps between validations.", low=1)
    val_batch_pixels: int = setting(1_000_000, "Pixels a batch.")
    checkpoint_every: int = setting(100, "Steps between checkpoints.", low=1)
    log_every: int = setting(10, "Steps between TensorBoard scalars.", low=1)

    def __post_init__(self):
        """Raises `UserError` naming the first flag that can't be."""
        check_settings(self, self._faults_together())

    def _faults_together(self):
        """Yields `(setting, fault)` of settings that don't fit together."""
        yield from self._faults_of_pooling()
        if self.steps and not 0 <= self.warmup_steps < self.steps:
            yield "warmup_steps", "must lie in [0, --steps)"
        if self.mining_queries < self.tuples_per_batch:
            yield "mining_queries", "must be at least --tuples_per_batch"
        if self.val_split and self.val_classes:
            fault = "and --val_classes both choose the validation images; give one of them"
            yield "val_split", fault
        if self.val_split and self.val_split == self.split:
            yield "val_split", "must be another than --split"
        if self.patience is not None and not self.validates:
            fault = "early stopping goes by validation: give --val_classes or --val_split"
            yield "patience", fault
        if self.replicas is not None and self.strategy != "mirrored":
            yield "replicas", "is for --strategy=mirrored"
        if self.chunk_size is not None:
            yield from self._faults_of_chunks()
        if self.matching == "local":
            yield from self._faults_of_local()
        elif self.min_scale != 1:
            yield "min_scale", "is for --matching=local"

    @property
    def steps_of_pooling(self):
        """`pooling_steps`, or its default: none where nothing is learned, or nothing known yet."""
        if self.pooling_steps is not None:
            return self.pooling_steps
        is_learned = self.pooling in ("darac", "gem") and self.matching == "global"
        is_one_machine = self.strategy != "multiworker"
        is_on = is_learned and is_one_machine and self.backbone_weights != "none"
        return DEFAULT_POOLING_STEPS if is_on else 0

    def _faults_of_pooling(self):
        if self.crop_shapes is not None:
            from darac_tf.data.augmentation import parse_shapes

            parse_shapes(self.crop_shapes)  # Or refused.
        if self.pooling_steps and self.pooling not in ("darac", "gem"):
            yield "pooling_steps", "is for --pooling=darac and gem"
        if self.pooling_steps and self.matching == "local":
            yield "pooling_steps", "is not for --matching=local"
        if self.pooling_steps and self.strategy == "multiworker":
            yield "pooling_steps", "is for one machine; --strategy=multiworker has several"
        if not self.steps and not self.steps_of_pooling:
            yield "steps", "must be above 0, or --pooling_steps"

    def _faults_of_chunks(self):
        if self.chunk_size < 1 or self.batch_size % self.chunk_size:
            yield "chunk_size", f"must divide the batch of {self.batch_size} images"
        if self.batch_norm != "frozen":
            yield "chunk_size", "needs --batch_norm=frozen"

    def _faults_of_local(self):
        if self.loss != "softmax":
            yield "loss", "the attention of --matching=local is trained with --loss=softmax"
        for field in dataclasses.fields(self):
            is_set = getattr(self, field.name) != field.default
            if is_set and field.name in _NOT_FOR_LOCAL:
                yield field.name, "is not for --matching=local"

    def pooling_options(self):
        """Arguments of the pooling layer that these settings name."""
        options = {}
        if self.pooling in ("ramac", "darac"):
            options["grid"] = self.grid
        if self.pooling == "darac":
            names = ("non_negative", "per_channel", "normalize_regions")
            options |= {name: getattr(self, name) for name in names}
            options["sharing"] = self.weight_sharing
        return options

    @property
    def validates(self):
        """Whether images are held out for validation."""
        return bool(self.val_classes or self.val_split)

    @property
    def tuple_size(self):
        """Images of a mined tuple: a query, its positive and its negatives; None without mining."""
        return 2 + self.tuple_negatives if self.mining != "none" else None

    @property
    def batch_size(self):
        """Images of a step."""
        if self.mining != "none":
            return self.tuples_per_batch * self.tuple_size
        return (self.classes_per_batch or DEFAULT_CLASSES) * self.images_per_class

    def for_classes(self, count):
        """These settings with the classes of a batch, for a training set of so many classes.

        By default they are 12, or all where there are fewer, which is logged. `UserError` if more
        are asked for than there are, and batches are not mined.
        """
        classes = self.classes_per_batch
        if classes is None:
            classes = min(DEFAULT_CLASSES, count)
            if classes < DEFAULT_CLASSES:
                logging.warning("batches are of all %d classes that there are", classes)
        elif classes > count and self.mining == "none":
            raise UserError(
                f"--classes_per_batch={classes} is more than the {count} classes there are for "
                f"training: --classes_per_batch={count} is the most that works"
            )
        return dataclasses.replace(self, classes_per_batch=classes)

    def make_loss(self, num_classes, dim):
        """The loss that these settings describe, for classes and descriptors `(batch, dim)`.

        `UserError` if it does not take a setting that is given.
        """
        from darac_tf.losses import make_loss

        names = ("margin", "scale", "seed", "rank", "statistics", "statistics_gradient", "transfer")
        return make_loss(
            self.loss,
            num_classes,
            dim,
            tuple_size=self.tuple_size if self.loss == "contrastive" else None,
            squared=self.squared or None,
            power=self.transfer_power,
            r0=self.transfer_midpoint,
            **{name: getattr(self, name) for name in names},
        )

    def write(self, run_dir):
        """Writes `config.json`."""
        with atomic_path(Path(run_dir) / CONFIG_FILE) as path:
            text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
            path.write_text(text, encoding="utf-8")

    def check_resumes(self, run_dir):
        """Raises `UserError` where `run_dir` holds no run, or names the first flag that differs."""
        try:
            stored = json.loads((Path(run_dir) / CONFIG_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"--resume: {run_dir} holds no run with a {CONFIG_FILE}") from error
        # Runs written before a setting existed have its default, but for one.
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        stored = defaults | {"orientation": "stored"} | stored
        for name, value in dataclasses.asdict(self).items():
            if value is None and stored[name] == _EARLIER_DEFAULTS.get(name, value):
                continue
            if name not in _FREE_ON_RESUME and stored[name] != value:
                raise UserError(
                    f"--resume: the run in {run_dir} has --{name}={stored[name]}, not {value}; "
                    "give the same flags, or another --run_dir"
                )
