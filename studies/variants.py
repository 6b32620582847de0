"""What is compared, as data: settings of `TrainConfig` that differ from its defaults."""

from studies.sweep import Variant

_POWER = {"transfer": "power", "transfer_power": 4.0}
_EXPONENTIAL = {"transfer": "exponential", "transfer_power": 10.0}

BASE = Variant("base", {}, "gaussian, logistic 2, gradient through batch statistics")

RANKS = [
    Variant("power", _POWER, "transfer power 4"),
    Variant("exponential", _EXPONENTIAL, "transfer exponential 10"),
    Variant("no-gradient", {"statistics_gradient": False}, "no gradient through statistics"),
    Variant("anchor", {"statistics": "anchor"}, "statistics of each anchor"),
    Variant("soft", {"rank": "soft"}, "soft rank"),
    Variant("soft-power", {"rank": "soft", **_POWER}, "soft rank, transfer power 4"),
    Variant("logistic-4", {"transfer_power": 4.0}, "transfer logistic 4"),
    Variant(
        "power-no-gradient",
        {"statistics_gradient": False, **_POWER},
        "power 4, no gradient through statistics",
    ),
]

WEIGHTS = [
    Variant("equal-weights", {"pooling": "ramac"}, "weights are not learned (RAMAC)"),
    Variant("non-negative", {"non_negative": True}, "weights at 0 or above"),
    Variant("per-channel", {"per_channel": True}, "a weight for each vector and channel"),
    Variant("pyramid", {"grid": "pyramid"}, "regions 1 + 4 + 16"),
    Variant("not-normalised", {"normalize_regions": False}, "no L2 before the weights"),
]

LOSSES = [
    Variant("softmax", {"loss": "softmax"}, "softmax cross-entropy on classes"),
    Variant("triplet", {"loss": "triplet"}, "triplet, hardest of the batch"),
    Variant("semi-hard", {"loss": "triplet_semi_hard"}, "triplet, semi-hard"),
    Variant("contrastive", {"loss": "contrastive"}, "contrastive, all pairs of the batch"),
    Variant("multi-similarity", {"loss": "multi_similarity"}, "multi-similarity"),
    Variant("smooth-ap", {"loss": "smooth_ap"}, "smooth-AP"),
    Variant("arcface", {"loss": "arcface"}, "ArcFace"),
    Variant("cosface", {"loss": "cosface"}, "CosFace"),
]

POOLINGS = [
    Variant("spoc", {"pooling": "spoc"}, "global average"),
    Variant("gem", {"pooling": "gem"}, "GeM"),
    Variant("mac", {"pooling": "mac"}, "global maximum"),
    Variant("rmac", {"pooling": "rmac"}, "R-MAC"),
]

GROUPS = {
    "base": [BASE],
    "ranks": RANKS,
    "weights": WEIGHTS,
    "reconstruction": RANKS + WEIGHTS,
    "losses": LOSSES,
    "poolings": POOLINGS,
}
