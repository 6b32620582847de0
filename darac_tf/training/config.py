"""Everything a training run depends on, in one record that travels with it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.losses import make_loss
from darac_tf.models.descriptor import CONFIG_FILE
from darac_tf.training.config_checks import check_settings

# What a resumed run may change: the steps to come are those of the whole run, up to rounding.
_FREE_ON_RESUME = {
    "checkpoint_every",
    "val_every",
    "log_every",
    "val_batch_pixels",
    "chunk_size",
    "strategy",
    "replicas",
    "jit_compile",
}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run, named as the flags of train.py, which say what each is."""

    dataset: str = "demo"
    data_dir: str | None = None
    split: str | None = None
    val_split: str | None = None
    val_classes: int = 0
    split_seed: int = 0
    backbone: str = "ResNet50V2"
    backbone_weights: str | None = None
    layer: str | None = None
    pooling: str = "darac"
    grid: str = "fixed"
    non_negative: bool = False
    per_channel: bool = False
    weight_sharing: str = "none"
    normalize_regions: bool = True
    image_size: int = 299
    classes_per_batch: int = 12
    images_per_class: int = 4
    class_power: float | None = None
    min_crop_area: float = 0.4
    light: float = 0.3
    flip: bool = True
    matching: str = "global"
    local_dim: int = 40
    loss: str = "nra"
    margin: float | None = None
    scale: float | None = None
    squared: bool = False
    rank: str = "soft"
    statistics: str = "batch"
    statistics_gradient: bool = True
    transfer: str = "logistic"
    transfer_power: float | None = None
    transfer_midpoint: float | None = None
    mining: str = "none"
    mining_queries: int = 2000
    mining_pool: int = 20000
    tuples_per_batch: int = 5
    tuple_negatives: int = 5
    optimizer: str = "adamw"
    learning_rate: float = 3e-5
    head_learning_rate: float = 1e-2
    weight_decay: float = 1e-4
    warmup_steps: int = 20
    steps: int = 1000
    clip_norm: float | None = None
    chunk_size: int | None = None
    average_decay: float | None = None
    batch_norm: str = "frozen"
    batch_norm_momentum: float | None = None
    freeze_until: str | None = None
    patience: int | None = None
    strategy: str = "one"
    replicas: int | None = None
    precision: str = "float32"
    jit_compile: bool = False
    seed: int = 0
    val_every: int = 100
    val_batch_pixels: int = 1_000_000
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self):
        check_settings(self)

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
        return self.classes_per_batch * self.images_per_class

    def make_loss(self, num_classes, dim):
        """The loss that these settings describe.

        Args:
            num_classes: Classes of the training set.
            dim: Dimension of the descriptor.

        Raises:
            UserError: If it does not take a setting that is given.
        """
        return make_loss(
            self.loss,
            num_classes,
            dim,
            margin=self.margin,
            scale=self.scale,
            tuple_size=self.tuple_size if self.loss == "contrastive" else None,
            squared=self.squared or None,
            seed=self.seed,
            rank=self.rank,
            statistics=self.statistics,
            statistics_gradient=self.statistics_gradient,
            transfer=self.transfer,
            power=self.transfer_power,
            r0=self.transfer_midpoint,
        )

    def write(self, run_dir):
        """Writes `config.json`."""
        with atomic_path(Path(run_dir) / CONFIG_FILE) as path:
            path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    def check_resumes(self, run_dir):
        """Checks that `run_dir` holds a run of these settings.

        Raises:
            UserError: If it holds none, or names the first flag that differs.
        """
        try:
            stored = json.loads((Path(run_dir) / CONFIG_FILE).read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(f"--resume: {run_dir} holds no run with a {CONFIG_FILE}") from error
        # Runs written before a setting existed have its default.
        stored = {field.name: field.default for field in dataclasses.fields(self)} | stored
        for name, value in dataclasses.asdict(self).items():
            if name not in _FREE_ON_RESUME and stored[name] != value:
                raise UserError(
                    f"--resume: the run in {run_dir} has --{name}={stored[name]}, not {value}; "
                    "give the same flags, or another --run_dir"
                )
