r"""Measures on your own photographs, without labels, which descriptor finds them again.

    darac selftest PHOTOS --out=runs/selftest
    darac selftest PHOTOS --descriptors=runs/photos,EfficientNetLite2+gem \
        --resolutions=299 --resolutions=299,540

Some photographs are copied: a quarter to four fifths of the area, turned by up to 15 degrees,
smaller, in other light, as JPEG of low to high quality. Each copy is searched among all
photographs: R@1 and R@5 are how often the original comes first, or among the first five. Use it to
choose a pooling and sizes: it says nothing about other views of the same thing, which need labels
(darac eval).

--out gets report.md and .json, the copies, and for each row a page of those not found at first.
"""

import contextlib
import tempfile
from dataclasses import asdict
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.errors import UserError
from darac_tf.evaluation.selftest_config import SelftestConfig


def main(arguments):
    values = flags.FlagValues()
    cli.define_flags(SelftestConfig, values)
    folders = cli.parse_command(arguments, values, __doc__, "folder of photographs")
    if len(folders) > 1:
        raise UserError(f"unexpected argument {folders[1]!r}: name one folder")
    config = cli.settings_of_flags(SelftestConfig, values)
    cli.start_tensorflow()
    print(run_selftest(folders[0], config))


def run_selftest(folder, config):
    """Measures, writes the report where one is wanted, and returns text to print."""
    from darac_tf.evaluation.selftest import measure
    from darac_tf.files import remove
    from darac_tf.reports.report import markdown_table
    from darac_tf.reports.report_files import remove_report, write_all, write_misses

    rows, missed = [], []
    with contextlib.ExitStack() as stack:
        if config.out:
            copies = Path(config.out) / "copies"
            remove(copies)
        else:
            copies = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for measured in measure(folder, copies, config):
            if config.out and not rows:
                remove_report(config.out)
            rows.append(measured)
            if config.out:
                missed.append(write_misses(config.out, len(rows), measured))
        if config.out:
            write_all(config.out, rows, asdict(config))
    n_queries = len(rows[0].ap)
    notes = dict.fromkeys(note for row in rows for note in row.result.notes)
    lines = [
        f"{rows[0].task.protocol}; scores in %, one photograph is {100 / n_queries:.1f}.",
        *notes,
        *(f"not found at first: {page}" for page in missed if page),
    ]
    table = markdown_table([row.result for row in rows])
    return "\n".join([table, *(f"- {line}" for line in lines)])
