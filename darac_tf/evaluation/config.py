"""Everything an evaluation depends on, in one record that reports keep."""

from dataclasses import dataclass

from darac_tf.choices import (
    ANTIALIAS,
    BENCHMARKS,
    COMBINATIONS,
    DATASET_KINDS,
    DEFAULT_BATCH_PIXELS,
    DEFAULT_MAX_PIXELS,
    ENGINE_PRECISIONS,
    ENGINES,
    EXACT,
    EXPANSIONS,
    KERNELS,
    RERANKINGS,
    SHAPES,
    TABLES,
    WHITENINGS,
)
from darac_tf.settings import check_settings, setting
from darac_tf.systems import system_names

_ALL_KINDS = (*DATASET_KINDS, *BENCHMARKS)


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation: each is a flag of eval.py, with the help and the bounds here.

    What doesn't fit together is refused where it is read, in `evaluation.options`.
    """

    # What is measured.
    descriptors: list[str] = setting(
        [],
        "Run directories or .keras files, as trained; or BACKBONE+POOLING, with a "
        "keras.applications name, EfficientNetLite0 to 2, hub:PRESET, a saved backbone or a run "
        "directory as BACKBONE; hf://USER/NAME; or vectors: .npz of darac_tf.serving.describe, "
        ".npy, .parquet, or a folder as of clip-retrieval.",
    )
    system: str | None = setting(
        None,
        "Preset: settings of a paper's system; of a converted run, its authors' own.",
        choices=system_names(),
    )
    matching: str = setting(
        "global", "Compare descriptors, or local features (DELF).", choices=["global", "local"]
    )
    backbone_weights: str | None = setting(None, "Of a network by name: imagenet, none, a file.")
    seed: int = setting(0, "Of random weights and of whitening pairs.")
    dataset: str = setting("folder", "Kind of data set.", choices=_ALL_KINDS)
    data_dir: str | None = setting(
        None, "Folder of class folders, CSV, folder of a benchmark or TFDS."
    )
    split: str | None = setting(None, "Use this split of the data set only.")
    query_split: str | None = setting(None, "This split's images are queries, the rest database.")
    crop_queries: bool = setting(True, "Look at the boxes of the benchmark's queries only.")
    orientation: str | None = setting(
        None,
        "Turn images upright by their Exif orientation, leave them as stored, or Holidays' by a "
        "list. Default: benchmarks stored, but Holidays in --table; all else upright.",
        choices=["upright", "stored", "list"],
    )
    rotation_list: str | None = setting(None, "For --orientation=list: name quarter_turns lines.")
    distractors_dir: str | None = setting(None, "Folder or CSV: add its images to the database.")
    max_pixels: int = setting(DEFAULT_MAX_PIXELS, "Refuse images of more pixels.", low=1)
    skip_bad_images: bool = setting(False, "Rank unreadable images last, and list them.")
    check_data: bool = setting(False, "Only say which files of --dataset are there.")
    list_images: str | None = setting(
        None, "Only write a CSV file of the images, for vectors that are made elsewhere."
    )

    # Descriptors.
    resolutions: list[str] = setting(
        ["299"],
        "Sizes that are combined: long sides (299,540), factors (x0.5), a range of factors "
        "(0.25..2). Repeat for more rows.",
        is_repeated=True,
    )
    resize: str = setting(
        ANTIALIAS,
        "How images are resized; all but the first only compare with others' figures.",
        choices=KERNELS,
    )
    shapes: str = setting(
        EXACT,
        "Keep aspects, or take the nearest of some (5 % off at most), so that images of many "
        "shapes fill batches: faster, and other vectors.",
        choices=SHAPES,
    )
    combination: str = setting("sum", "How resolutions are combined.", choices=COMBINATIONS)
    exponent: float | None = setting(None, "Of the generalised mean.", low=1)
    batch_pixels: int = setting(DEFAULT_BATCH_PIXELS, "Pixels a batch.", low=1)
    scaled_decoding: bool = setting(
        False,
        "Decode JPEGs of more than twice the sizes at 1/2 to 1/8: faster, pixels differ a little.",
    )
    cache_dir: str | None = setting(None, "Keep descriptors here, and describe nothing twice.")
    engine: str = setting(
        "tensorflow", "What runs the backbone; openvino is a package of its own.", choices=ENGINES
    )
    precision: str = setting(
        "float32",
        "Of the backbone; bfloat16 is up to 1.9 times as fast on CPUs with AVX512_BF16 or AMX, "
        "int8 of --engine=openvino two to four times, with other vectors.",
        choices=ENGINE_PRECISIONS,
    )
    calibration: str | None = setting(
        None, "For --precision=int8: folder or CSV of photographs, such as those of the training."
    )
    calibration_images: int = setting(300, "How many of them at most.", low=1)

    # Whitening.
    whitening: str | None = setting(
        None, "A whitening (.npz) of an earlier evaluation, or a converted run with its own."
    )
    whiten_dataset: str = setting("folder", "Kind of the whitening set.", choices=_ALL_KINDS)
    whiten_data_dir: str | None = setting(None, "Fit a whitening on these images.")
    whiten_split: str | None = setting(None, "Fit it on this split only.")
    whiten_images: int | None = setting(
        None, "Fit it on so many, of all classes; default: all, and 20,000 for --table.", low=2
    )
    whiten_kind: str = setting("pca", "PCA, or learned from pairs (Lw).", choices=WHITENINGS)
    whiten_dim: int | None = setting(None, "Dimension after it; default: all.", low=1)
    whiten_shrinkage: str = setting("0", "Of the covariance: 0 to 1, or auto.")
    whiten_power: float = setting(0.5, "PCA: 0.5 whitens, 0 only rotates.", low=0.0, high=1.0)
    allow_whiten_on_test: bool = setting(False, "Go on where its images are test images.")

    # Rankings.
    top_k: int | None = setting(None, "Ranks to keep; default: all.", low=1)
    expansion: str = setting("none", "Query expansion.", choices=EXPANSIONS)
    expansion_n: int = setting(10, "Neighbours that expand a query.", low=1)
    expansion_alpha: float = setting(3.0, "Exponent of alpha-QE.", low=0)
    augmentation_n: int = setting(0, "Database augmentation: neighbours.", low=0)
    rerank: str = setting("none", "Re-ranking.", choices=[*RERANKINGS, "local"])
    local_model: str | None = setting(None, "For --rerank=local: a run of --system=delf.")
    local_resolutions: str = setting("0.25..2", "Factors of the size for --rerank=local.")
    rerank_depth: int = setting(100, "Ranks that --rerank=local orders.", low=1)
    faiss_index: str | None = setting(None, "Search approximately, as HNSW32 or IVF1024,Flat.")

    # The paper's tables.
    table: str | None = setting(None, "Measure the rows of a table of the paper.", choices=TABLES)
    table_sets: list[str] = setting(
        ["oxford5k", "paris6k", "holidays"],
        "For --table: data sets, KIND (at DATA_DIR/KIND) or KIND:PATH.",
    )
    runs_dir: str | None = setting(None, "For --table: folder of the trained rows' runs.")
    allow_other_runs: bool = setting(
        False, "For --table: go on where runs are not trained as the rows say, and list how."
    )
    backbone: str = setting("ResNet50V2", "For --table: backbone of untrained rows.")

    # Reports.
    out: str | None = setting(None, "Folder of the report; default: print the table only.")
    pictured_queries: int = setting(6, "Queries in a .png; 0 for none.", low=0)
    page_queries: int = setting(50, "Queries in an .html; 0 for none.", low=0)
    compare: list[str] = setting([], "Only compare two report.json (A.json#3 for its third row).")

    def __post_init__(self):
        """Raises `UserError` naming the first flag that can't be."""
        check_settings(self)
