"""Measures descriptors on labelled images, and prints one Markdown table.

    python eval.py --descriptors=runs/photos,ResNet50V2+gem --dataset=folder --data_dir=photos \
        --resolutions=299 --resolutions=299,540,1020 --whiten_dataset=csv \
        --whiten_data_dir=runs/photos/train.csv --out=runs/photos/eval

--out gets report.md, report.json (every setting, per-query AP), a picture of queries with their
first ranks for each row, and each row's whitening as .npz, for export_savedmodel.py.
"""

import re
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.data import DATASETS, load_dataset
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Protocol, evaluate, ranking_rows
from darac_tf.evaluation.extraction import DEFAULT_BATCH_PIXELS
from darac_tf.evaluation.pictures import draw_rankings, pick_queries
from darac_tf.evaluation.report import markdown_table, write_report
from darac_tf.evaluation.sources import load_sources

FLAGS = flags.FLAGS

flags.DEFINE_list(
    "descriptors",
    None,
    "Run directories or .keras files, as trained; or BACKBONE+POOLING, with a keras.applications "
    "name, a saved backbone or a run directory as BACKBONE.",
    required=True,
)
flags.DEFINE_string("backbone_weights", None, "For keras.applications: imagenet, none or a file.")
flags.DEFINE_enum("dataset", "folder", list(DATASETS), "Kind of data set.")
flags.DEFINE_string("data_dir", None, "Folder of class folders, or CSV (path,label[,split]).")
flags.DEFINE_string("split", None, "Use this split of the CSV only.")
flags.DEFINE_string("query_split", None, "This split's images are the queries, the rest database.")
flags.DEFINE_multi_string(
    "resolutions",
    ["299"],
    "Long sides that are summed, as 299,540,1020. Repeat for more rows.",
)
flags.DEFINE_enum("whiten_dataset", "folder", list(DATASETS), "Kind of the whitening set.")
flags.DEFINE_string("whiten_data_dir", None, "Fit a PCA whitening on these images.")
flags.DEFINE_string("whiten_split", None, "Fit it on this split of the CSV only.")
flags.DEFINE_integer("whiten_dim", None, "Dimension after whitening; default: all.", lower_bound=1)
flags.DEFINE_integer("batch_pixels", DEFAULT_BATCH_PIXELS, "Pixels a batch.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of random weights.")
flags.DEFINE_integer("pictured_queries", 6, "Queries in each picture; 0 for none.", lower_bound=0)
flags.DEFINE_string("out", None, "Folder of the report; default: print the table only.")


def main():
    protocol = _protocol()
    sources = load_sources(FLAGS.descriptors, FLAGS.backbone_weights, FLAGS.seed)
    rows = []
    for measured in evaluate(sources, protocol):
        rows.append(measured.result)
        if FLAGS.out:
            _write_files(measured, protocol, f"{len(rows):02d}-{_slug(measured.result)}")
    if FLAGS.out:
        write_report(FLAGS.out, rows, FLAGS.flag_values_dict())
    print(markdown_table(rows))


def _protocol():
    images = load_dataset(FLAGS.dataset, FLAGS.data_dir, FLAGS.split)
    if FLAGS.query_split:
        images.split(FLAGS.query_split)  # complains when there is none
    fit_on = None
    if FLAGS.whiten_data_dir:
        fit_on = load_dataset(FLAGS.whiten_dataset, FLAGS.whiten_data_dir, FLAGS.whiten_split)
    elif FLAGS.whiten_dim or FLAGS.whiten_split:
        raise UserError("--whiten_dim and --whiten_split need --whiten_data_dir")
    return Protocol(
        images,
        FLAGS.query_split,
        cli.parse_resolutions(FLAGS.resolutions),
        fit_on,
        FLAGS.whiten_dim,
        FLAGS.batch_pixels,
    )


def _write_files(measured, protocol, name):
    folder = Path(FLAGS.out)
    if measured.whitening is not None:
        measured.whitening.save(folder / f"{name}.npz")
    if FLAGS.pictured_queries:
        queries = pick_queries(measured.retrieval.scores["ap"], FLAGS.pictured_queries)
        rows = ranking_rows(measured, protocol.images, queries)
        score = 100 * measured.result.scores["mAP (plain)"]
        title = f"{measured.result.descriptor}, mAP (plain) {score:.2f}"
        draw_rankings(folder / f"{name}.png", rows, title)


def _slug(result):
    parts = [Path(result.descriptor).name, *map(str, result.resolutions)]
    parts += ["whitened"] if result.whitening else []
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(parts))


if __name__ == "__main__":
    cli.run(main)
