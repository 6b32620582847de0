"""Measures descriptors on labelled images or a benchmark, and prints one Markdown table.

    darac eval --descriptors=runs/photos,ResNet50V2+gem --dataset=folder --data_dir=photos \
        --resolutions=299 --resolutions=299,540,1020 --whiten_dataset=csv \
        --whiten_data_dir=runs/photos/train.csv --out=runs/photos/eval
    darac eval --system=darac --descriptors=runs/photos --dataset=csv --data_dir=photos.csv
    darac eval --table=ablation --data_dir=benchmarks --runs_dir=runs --out=runs/ablation
    darac eval --check_data --dataset=roxford5k --data_dir=roxford
    darac eval --compare=a/report.json,b/report.json

--out gets report.md, report.json (every setting, per-query AP) and for each row of the table a page
of queries with what was found (.html, .png), per-query AP and the whitening (.npz).
"""

from dataclasses import asdict

from absl import flags

from darac_tf import cli
from darac_tf.errors import listing
from darac_tf.evaluation.config import EvalConfig
from darac_tf.systems import load_system
from darac_tf.systems.published import as_published


def main(arguments):
    values = flags.FlagValues()
    cli.define_flags(EvalConfig, values)
    cli.parse_command(arguments, values, __doc__)
    if values.system:
        preset = load_system(values.system).eval | as_published(values.system, values.descriptors)
        if values.whiten_data_dir:
            preset.pop("whitening", None)
        cli.apply_preset(preset, values)
    config = cli.settings_of_flags(EvalConfig, values)
    cli.start_tensorflow()
    if config.compare:
        from darac_tf.reports.compare import compare

        print(compare(*config.compare))
        return 0
    if config.check_data:
        from darac_tf.data.check import check_data

        text, is_complete = check_data(config.dataset, config.data_dir)
        print(text)
        return 0 if is_complete else 1
    if config.list_images:
        from darac_tf.evaluation.options import list_images

        print(list_images(config))
        return 0
    if config.table:
        from darac_tf.evaluation.paper_tables import measure_table

        print(measure_table(config))
        return 0
    _measure(config)
    return 0


def _measure(config):
    from darac_tf.evaluation.options import measure
    from darac_tf.reports.report import markdown_table

    measured = measure(config)
    rows = _written(measured, config) if config.out else list(measured)
    print(markdown_table([row.result for row in rows]))
    for note in dict.fromkeys(note for row in rows for note in row.result.notes):
        print(f"- {note}")
    skipped = [image for row in rows for image in row.result.skipped]
    if reasons := list(dict.fromkeys(image["reason"] for image in skipped)):
        print(f"- {len(reasons)} images could not be read and are ranked last:\n{listing(reasons)}")


def _written(measured, config):
    """List of the rows; what is kept of each is written as soon as it is measured."""
    # Here, since what draws takes half a second to import.
    from darac_tf.reports.report_files import remove_report, write_all, write_row

    rows = []
    for row in measured:
        if not rows:
            remove_report(config.out, config.whitening)
        rows.append(row)
        write_row(config.out, len(rows), row, config.pictured_queries, config.page_queries)
    write_all(config.out, rows, asdict(config))
    return rows
