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
    _measure(folders[0], config)


def _measure(folder, config):
    from darac_tf.evaluation.selftest import selftest
    from darac_tf.reports.report import markdown_table

    rows, pages = selftest(folder, config)
    print(markdown_table([row.result for row in rows]))
    share = 100 / len(rows[0].ap)
    print(f"- {rows[0].task.protocol}; scores in %, one photograph is {share:.1f}.")
    for note in dict.fromkeys(note for row in rows for note in row.result.notes):
        print(f"- {note}")
    for page in filter(None, pages):
        print(f"- not found at first: {page}")
