"""What flags choose from and begin with, as names and numbers: `--help` needs no TensorFlow for it.

The tables that give a name its meaning stand with the code; `tests/test_choices.py` holds both
against each other.
"""

# Data sets that `data.load_dataset` reads: one with a colon stands for all that begins so.
_TRAINING_SETS = (
    *("gldv2_clean", "landmarks_clean", "sfm_30k", "sfm_120k", "products", "cub200", "cars196"),
)
DATASETS = ("folder", "csv", "demo", "prepared", *_TRAINING_SETS)
DATASET_KINDS = (*DATASETS, "tfds:NAME[/CONFIG][:SPLIT]")
# Benchmarks: `data.benchmarks.published.PUBLISHED`.
BENCHMARKS = ("oxford5k", "paris6k", "roxford5k", "rparis6k", "holidays", "gpr1200")

# Images: whether own photographs are turned upright by their Exif orientation; what a resize makes
# a pixel of: a triangle as wide as the image shrinks, the nearest four, or one.
ORIENTATIONS = ("upright", "stored")
ANTIALIAS = "antialias"
KERNELS = (ANTIALIAS, "bilinear", "nearest")
# Whether resized images keep their aspect, or take the nearest of some: `describing.sizes`.
EXACT = "exact"
SHAPES = (EXACT, "snapped")
# Most pixels: those of a file of a few kilobytes may need gigabytes. It is Pillow's own limit.
DEFAULT_MAX_PIXELS = 178_956_970

# Networks: `models.descriptor.POOLINGS`, `layers.regional.DARAC`.
POOLINGS = ("spoc", "mac", "gem", "rmac", "rmac_whitened", "ramac", "darac")
# Which vectors have one weight together: each its own, those of one level and statistic (maximum or
# average), or those of one statistic.
SHARINGS = ("none", "level_kind", "kind")

# Training: `losses.LOSSES`, `losses.nra`, `training.state.OPTIMIZERS`.
LOSSES = (
    *("nra", "softmax", "triplet", "triplet_semi_hard", "contrastive", "arcface", "cosface"),
    *("multi_similarity", "smooth_ap"),
)
RANKS = ("soft", "gaussian", "minmax")
STATISTICS = ("batch", "anchor")
TRANSFERS = ("logistic", "power", "exponential")
OPTIMIZERS = ("adamw", "sgd")
STRATEGIES = ("one", "mirrored", "multiworker")
TRAINING_PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

# Description: `engines`, `describing.combination`.
# The last of the precisions is openvino's.
ENGINES = ("tensorflow", "openvino")
ENGINE_PRECISIONS = ("float32", "bfloat16", "int8")
COMBINATIONS = ("sum", "mean", "gmean")
DEFAULT_BATCH_PIXELS = 1_000_000

# Evaluation: `evaluation.whitening_source.KINDS`, `ranking.rank`, `evaluation.paper_tables`.
WHITENINGS = ("pca", "learned")
EXPANSIONS = ("none", "average", "alpha")
RERANKINGS = ("none", "k_reciprocal")
TABLES = ("ablation", "comparison")

# Export and search: `export.publishing`, `search.faiss_index`; what makes a folder an exported
# model of each format, or an index.
MODEL_FILES = {
    "savedmodel": "saved_model.pb",
    "openvino": "model.xml",
    "onnx": "model.onnx",
}
INDEX_FILE, PARTS_INDEX_FILE = "index.json", "parts_index.json"
EXPORT_FORMATS = tuple(MODEL_FILES)
EXPORT_PRECISIONS = ("float32", "bfloat16", "float16", "int8")
EXPORT_COMPUTES = ("float32", "bfloat16")
KEPT_IN = ("float32", "float16")
# `ranking.index_plan` chooses the kind.
AUTOMATIC_FAISS = "auto"
AUTOMATIC_FAISS_IMAGES = 500_000
# Lists that are looked through, and images that are scored exactly, where an index has lists.
PROBES, PARTS_CANDIDATES = 64, 1000
