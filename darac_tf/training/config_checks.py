"""What a run's settings must fulfil, as far as it shows without the data."""

from darac_tf.errors import UserError
from darac_tf.losses import LOSSES
from darac_tf.models import POOLINGS
from darac_tf.training.precision import PRECISIONS
from darac_tf.training.replicas import STRATEGIES

MATCHINGS = ("global", "local")
MININGS = ("none", "hard_negatives")
_AT_LEAST = {
    "image_size": 1,
    "steps": 1,
    "val_every": 1,
    "checkpoint_every": 1,
    "log_every": 1,
    "local_dim": 1,
    "mining_pool": 1,
    "tuples_per_batch": 1,
    "tuple_negatives": 1,
    "classes_per_batch": 2,
    "images_per_class": 2,
    "weight_decay": 0,
    "patience": 1,
    "replicas": 1,
}
_ABOVE_ZERO = ("learning_rate", "head_learning_rate", "clip_norm")
_CHOICES = {
    "pooling": tuple(POOLINGS),
    "loss": tuple(LOSSES),
    "matching": MATCHINGS,
    "mining": MININGS,
    "strategy": STRATEGIES,
    "precision": PRECISIONS,
}


def check_settings(config):
    """Checks a `TrainConfig`.

    Raises:
        UserError: Naming the first flag that cannot be.
    """
    _check_each(config)
    _check_together(config)
    if config.chunk_size is not None:
        _check_chunks(config)
    if config.matching == "local":
        _check_local(config)


def _check_each(config):
    for name, least in _AT_LEAST.items():
        value = getattr(config, name)
        _require(config, name, value is None or value >= least, f"must be at least {least}")
    for name in _ABOVE_ZERO:
        value = getattr(config, name)
        _require(config, name, value is None or value > 0, "must be above 0")
    for name, choices in _CHOICES.items():
        chosen = getattr(config, name) in choices
        _require(config, name, chosen, f"choose from {', '.join(choices)}")
    power, decay = config.class_power, config.average_decay
    _require(config, "min_crop_area", 0 < config.min_crop_area <= 1, "must lie in (0, 1]")
    _require(config, "class_power", power is None or 0 <= power <= 1, "must lie in [0, 1]")
    _require(config, "light", 0 <= config.light < 1, "must lie in [0, 1)")
    _require(config, "average_decay", decay is None or 0 < decay < 1, "must lie in (0, 1)")


def _check_together(config):
    warmup = 0 <= config.warmup_steps < config.steps
    _require(config, "warmup_steps", warmup, "must lie in [0, --steps)")
    enough = config.mining_queries >= config.tuples_per_batch
    _require(config, "mining_queries", enough, "must be at least --tuples_per_batch")
    _require(
        config,
        "val_split",
        not (config.val_split and config.val_classes),
        "and --val_classes both choose the validation images; give one of them",
    )
    _require(
        config,
        "patience",
        config.patience is None or config.validates,
        "early stopping goes by validation: give --val_classes or --val_split",
    )
    _require(
        config,
        "replicas",
        config.replicas is None or config.strategy == "mirrored",
        "is for --strategy=mirrored",
    )


def _check_chunks(config):
    size = config.batch_size
    divides = config.chunk_size >= 1 and size % config.chunk_size == 0
    _require(config, "chunk_size", divides, f"must divide the batch of {size} images")
    _require(config, "chunk_size", config.batch_norm == "frozen", "needs --batch_norm=frozen")


def _check_local(config):
    _require(
        config,
        "loss",
        config.loss == "softmax",
        "the attention of --matching=local is trained with --loss=softmax",
    )
    unused = {
        "strategy": "one",
        "precision": "float32",
        "jit_compile": False,
        "freeze_until": None,
        "patience": None,
        "mining": "none",
        "chunk_size": None,
        "average_decay": None,
        "clip_norm": None,
    }
    for name, default in unused.items():
        is_default = getattr(config, name) == default
        _require(config, name, is_default, "is not for --matching=local")


def _require(config, name, holds, advice):
    if not holds:
        raise UserError(f"--{name}={getattr(config, name)}: {advice}")
