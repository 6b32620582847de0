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
from dataclasses import asdict

from absl import flags

from darac_tf import cli
from darac_tf.data import check_data
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.options import measure
from darac_tf.evaluation.paper_tables import measure_table
from darac_tf.reports.compare import compare
from darac_tf.reports.report import markdown_table
from darac_tf.reports.report_files import write_all, write_row
from darac_tf.systems import load_system

FLAGS = flags.FLAGS
cli.define_flags(EvalConfig)


def main():
    if FLAGS.system:
        cli.apply_preset(load_system(FLAGS.system).eval)
    config = cli.settings_of_flags(EvalConfig)
    if config.compare:
        print(compare(*config.compare))
        return
    if config.check_data:
        text, is_complete = check_data(config.dataset, config.data_dir)
        print(text)
        sys.exit(0 if is_complete else 1)
    if config.table:
        print(measure_table(config))
        return
    rows = []
    for measured in measure(config):
        rows.append(measured)
        if config.out:
            write_row(config.out, len(rows), measured, config.pictured_queries, config.page_queries)
    if config.out:
        write_all(config.out, rows, asdict(config))
    print(markdown_table([row.result for row in rows]))
    for note in dict.fromkeys(note for row in rows for note in row.result.notes):
        print(f"- {note}")


if __name__ == "__main__":
    cli.run(main)
