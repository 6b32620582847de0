"""What is compared, as data: settings of `TrainConfig` that differ from its defaults."""

from studies.sweep import Variant

# What the first table of docs/reconstruction.md compares with: the defaults before it was made.
_GAUSSIAN = {"rank": "gaussian"}
_POWER = {"transfer": "power", "transfer_power": 4.0}
_EXPONENTIAL = {"transfer": "exponential", "transfer_power": 10.0}

BASE = Variant("base", _GAUSSIAN, "gaussian, logistic 2, gradient through batch statistics")

RANKS = [
    Variant("power", _GAUSSIAN | _POWER, "transfer power 4"),
    Variant("exponential", _GAUSSIAN | _EXPONENTIAL, "transfer exponential 10"),
    Variant(
        "no-gradient", {**_GAUSSIAN, "statistics_gradient": False}, "no gradient through statistics"
    ),
    Variant("anchor", {**_GAUSSIAN, "statistics": "anchor"}, "statistics of each anchor"),
    Variant("soft", {"rank": "soft"}, "soft rank"),
    Variant("soft-power", {"rank": "soft", **_POWER}, "soft rank, transfer power 4"),
    Variant("logistic-4", {**_GAUSSIAN, "transfer_power": 4.0}, "transfer logistic 4"),
    Variant(
        "power-no-gradient",
        {**_GAUSSIAN, "statistics_gradient": False, **_POWER},
        "power 4, no gradient through statistics",
    ),
]

WEIGHTS = [
    Variant("equal-weights", {**_GAUSSIAN, "pooling": "ramac"}, "weights are not learned (RAMAC)"),
    Variant("non-negative", {**_GAUSSIAN, "non_negative": True}, "weights at 0 or above"),
    Variant(
        "per-channel", {**_GAUSSIAN, "per_channel": True}, "a weight for each vector and channel"
    ),
    Variant("pyramid", {**_GAUSSIAN, "grid": "pyramid"}, "regions 1 + 4 + 16"),
    Variant(
        "not-normalised", {**_GAUSSIAN, "normalize_regions": False}, "no L2 before the weights"
    ),
]

LOSSES = [
    Variant("softmax", {**_GAUSSIAN, "loss": "softmax"}, "softmax cross-entropy on classes"),
    Variant("triplet", {**_GAUSSIAN, "loss": "triplet"}, "triplet, hardest of the batch"),
    Variant("semi-hard", {**_GAUSSIAN, "loss": "triplet_semi_hard"}, "triplet, semi-hard"),
    Variant(
        "contrastive", {**_GAUSSIAN, "loss": "contrastive"}, "contrastive, all pairs of the batch"
    ),
    Variant("multi-similarity", {**_GAUSSIAN, "loss": "multi_similarity"}, "multi-similarity"),
    Variant("smooth-ap", {**_GAUSSIAN, "loss": "smooth_ap"}, "smooth-AP"),
    Variant("arcface", {**_GAUSSIAN, "loss": "arcface"}, "ArcFace"),
    Variant("cosface", {**_GAUSSIAN, "loss": "cosface"}, "CosFace"),
]

POOLINGS = [
    Variant("spoc", {**_GAUSSIAN, "pooling": "spoc"}, "global average"),
    Variant("gem", {**_GAUSSIAN, "pooling": "gem"}, "GeM"),
    Variant("mac", {**_GAUSSIAN, "pooling": "mac"}, "global maximum"),
    Variant("rmac", {**_GAUSSIAN, "pooling": "rmac"}, "R-MAC"),
]

GROUPS = {
    "base": [BASE],
    "ranks": RANKS,
    "weights": WEIGHTS,
    "reconstruction": RANKS + WEIGHTS,
    "losses": LOSSES,
    "poolings": POOLINGS,
}
