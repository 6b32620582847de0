"""Measures descriptors on labelled images or a benchmark, and prints one Markdown table.

    python eval.py --descriptors=runs/photos,ResNet50V2+gem --dataset=folder --data_dir=photos \
        --resolutions=299 --resolutions=299,540,1020 --whiten_dataset=csv \
        --whiten_data_dir=runs/photos/train.csv --out=runs/photos/eval
    python eval.py --system=darac --descriptors=runs/photos --dataset=csv --data_dir=photos.csv
    python eval.py --table=ablation --data_dir=benchmarks --runs_dir=runs --out=runs/ablation
    python eval.py --check_data --dataset=roxford5k --data_dir=roxford
    python eval.py --compare=a/report.json,b/report.json

--out gets report.md, report.json (every setting, per-query AP) and for each row of the table a page
of queries with what was found (.html, .png), per-query AP and the whitening (.npz).
"""

import sys

from absl import flags

from darac_tf import cli
from darac_tf.data import BENCHMARKS, DATASET_KINDS, check_data
from darac_tf.describing.combination import COMBINATIONS
from darac_tf.describing.extraction import DEFAULT_BATCH_PIXELS
from darac_tf.engines import ENGINES, PRECISIONS
from darac_tf.evaluation import paper_tables
from darac_tf.evaluation.options import RERANKINGS, compare, measure
from darac_tf.evaluation.whitening_source import KINDS
from darac_tf.ranking import rank as ranking
from darac_tf.reports.report import markdown_table
from darac_tf.reports.report_files import write_all, write_row
from darac_tf.systems import load_system, system_names

FLAGS = flags.FLAGS
ALL_KINDS = cli.KindParser([*DATASET_KINDS, *BENCHMARKS])

# What is measured.
flags.DEFINE_list(
    "descriptors",
    [],
    "Run directories or .keras files, as trained; or BACKBONE+POOLING, with a "
    "keras.applications name, a saved backbone or a run directory as BACKBONE; or feature "
    "files (.npz) of darac_tf.serving.describe.",
)
flags.DEFINE_enum("system", None, system_names(), "Preset: settings of a paper's system.")
flags.DEFINE_enum(
    "matching", "global", ["global", "local"], "Compare descriptors, or local features (DELF)."
)
flags.DEFINE_string("backbone_weights", None, "Of keras.applications: imagenet, none, a file.")
flags.DEFINE_integer("seed", 0, "Of random weights and of whitening pairs.")
flags.DEFINE(ALL_KINDS, "dataset", "folder", "Kind of data set.")
flags.DEFINE_string(
    "data_dir", None, "Folder of class folders, CSV, folder of a benchmark or TFDS."
)
flags.DEFINE_string("split", None, "Use this split of the data set only.")
flags.DEFINE_string("query_split", None, "This split's images are queries, the rest database.")
flags.DEFINE_bool("crop_queries", True, "Look at the boxes of the benchmark's queries only.")
flags.DEFINE_enum(
    "orientation", "stored", ["stored", "exif", "list"], "Holidays: how images are turned."
)
flags.DEFINE_string("rotation_list", None, "For --orientation=list: name quarter_turns lines.")
flags.DEFINE_string("distractors_dir", None, "Add all images below it to the database.")
flags.DEFINE_bool("skip_bad_images", False, "Rank unreadable images last, and list them.")
flags.DEFINE_bool("check_data", False, "Only say which files of --dataset are there.")

# Descriptors.
flags.DEFINE_multi_string(
    "resolutions",
    ["299"],
    "Sizes that are combined: long sides (299,540), factors (x0.5), a range of factors "
    "(0.25..2). Repeat for more rows.",
)
flags.DEFINE_enum("combination", "sum", list(COMBINATIONS), "How resolutions are combined.")
flags.DEFINE_float("exponent", None, "Of the generalised mean.", lower_bound=1)
flags.DEFINE_integer("batch_pixels", DEFAULT_BATCH_PIXELS, "Pixels a batch.", lower_bound=1)
flags.DEFINE_bool(
    "scaled_decoding",
    False,
    "Decode JPEGs of more than twice the sizes at 1/2 to 1/8: faster, pixels differ a little.",
)
flags.DEFINE_string("cache_dir", None, "Keep descriptors here, and describe nothing twice.")
flags.DEFINE_enum(
    "engine", "tensorflow", ENGINES, "What runs the backbone; openvino is a package of its own."
)
flags.DEFINE_enum(
    "precision",
    "float32",
    PRECISIONS,
    "Of the backbone; bfloat16 is 1.7 times as fast on CPUs with AVX512_BF16 or AMX.",
)

# Whitening.
flags.DEFINE_string("whitening", None, "A whitening (.npz) of an earlier evaluation.")
flags.DEFINE(ALL_KINDS, "whiten_dataset", "folder", "Kind of the whitening set.")
flags.DEFINE_string("whiten_data_dir", None, "Fit a whitening on these images.")
flags.DEFINE_string("whiten_split", None, "Fit it on this split only.")
flags.DEFINE_enum("whiten_kind", "pca", list(KINDS), "PCA, or learned from pairs (Lw).")
flags.DEFINE_integer("whiten_dim", None, "Dimension after it; default: all.", lower_bound=1)
flags.DEFINE_string("whiten_shrinkage", "0", "Of the covariance: 0 to 1, or auto.")
flags.DEFINE_float("whiten_power", 0.5, "PCA: 0.5 whitens, 0 only rotates.", 0.0, 1.0)
flags.DEFINE_bool("allow_whiten_on_test", False, "Go on where its images are test images.")

# Rankings.
flags.DEFINE_integer("top_k", None, "Ranks to keep; default: all.", lower_bound=1)
flags.DEFINE_enum("expansion", "none", list(ranking.EXPANSIONS), "Query expansion.")
flags.DEFINE_integer("expansion_n", 10, "Neighbours that expand a query.", lower_bound=1)
flags.DEFINE_float("expansion_alpha", 3.0, "Exponent of alpha-QE.", lower_bound=0)
flags.DEFINE_integer("augmentation_n", 0, "Database augmentation: neighbours.", lower_bound=0)
flags.DEFINE_enum("rerank", "none", list(RERANKINGS), "Re-ranking.")
flags.DEFINE_string("local_model", None, "For --rerank=local: a run of --system=delf.")
flags.DEFINE_integer("rerank_depth", 100, "Ranks that --rerank=local orders.", lower_bound=1)
flags.DEFINE_string("faiss_index", None, "Search approximately, as HNSW32 or IVF1024,Flat.")

# The paper's tables.
flags.DEFINE_enum("table", None, paper_tables.NAMES, "Measure the rows of a table of the paper.")
flags.DEFINE_list(
    "table_sets",
    ["oxford5k", "paris6k", "holidays"],
    "For --table: data sets, KIND (at DATA_DIR/KIND) or KIND:PATH.",
)
flags.DEFINE_string("runs_dir", None, "For --table: folder of the trained rows' runs.")
flags.DEFINE_string("backbone", "ResNet50V2", "For --table: backbone of untrained rows.")

# Reports.
flags.DEFINE_string("out", None, "Folder of the report; default: print the table only.")
flags.DEFINE_integer("pictured_queries", 6, "Queries in a .png; 0 for none.", lower_bound=0)
flags.DEFINE_integer("page_queries", 50, "Queries in an .html; 0 for none.", lower_bound=0)
flags.DEFINE_list("compare", [], "Only compare two report.json (A.json#3 for its third row).")


def main():
    if FLAGS.system:
        cli.apply_preset(load_system(FLAGS.system).eval)
    options = {flag.name: flag.value for flag in FLAGS.get_key_flags_for_module(sys.argv[0])}
    if FLAGS.compare:
        print(compare(FLAGS.compare))
        return
    if FLAGS.check_data:
        text, is_complete = check_data(FLAGS.dataset, FLAGS.data_dir)
        print(text)
        sys.exit(0 if is_complete else 1)
    if FLAGS.table:
        print(paper_tables.measure_table(FLAGS.table, options))
        return
    rows = []
    for measured in measure(options):
        rows.append(measured)
        if FLAGS.out:
            write_row(FLAGS.out, len(rows), measured, FLAGS.pictured_queries, FLAGS.page_queries)
    if FLAGS.out:
        write_all(FLAGS.out, rows, options)
    print(markdown_table([row.result for row in rows]))
    for note in dict.fromkeys(note for row in rows for note in row.result.notes):
        print(f"- {note}")


if __name__ == "__main__":
    cli.run(main)
