"""Images a second of `darac describe --manifest`: in one process, and by workers of Ray.

    python -m benchmarks.parts --data_dir=photos --model=export/photos/1 --images=960

Prints a Markdown table: one process and one worker on one core, one process and as many workers on
several. Counted from the end of the first part to the end of the last, so without what starts once.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.data.images import images_below
from darac_tf.errors import UserError
from darac_tf.parts.manifest import write_manifest
from darac_tf.reports import markdown

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder with images, searched to any depth.", required=True)
flags.DEFINE_string("model", None, "EXPORT/VERSION or BACKBONE+POOLING.", required=True)
flags.DEFINE_integer("images", 960, "How many; files are taken again where there are few.", 64)
flags.DEFINE_integer("cores", 2, "Of several.", 2)

_PART_ROWS = 32


def images_per_second(folder, words, cores):
    """Of one run of the command on some cores of this machine."""
    out = Path(folder, "-".join([str(cores), *words]).replace("=", ""))
    command = [sys.executable, "-m", "darac_tf.commands", "describe", f"--out={out}"]
    command += [f"--manifest={folder}/M.csv", f"--model={FLAGS.model}", f"--part_rows={_PART_ROWS}"]

    def pin():
        os.sched_setaffinity(0, range(cores))

    subprocess.run([*command, *words], check=True, preexec_fn=pin)
    ends = sorted(path.stat().st_mtime for path in out.glob("part-*"))
    # Workers begin at different moments: what the first ends of each have taken is not known.
    first = cores
    return _PART_ROWS * (len(ends) - first) / (ends[-1] - ends[first - 1])


def main():
    files = images_below(FLAGS.data_dir)
    if not files:
        raise UserError(f"--data_dir={FLAGS.data_dir}: no image below it")
    count = FLAGS.images // _PART_ROWS * _PART_ROWS
    with tempfile.TemporaryDirectory() as folder:
        rows = [(str(row), os.path.abspath(files[row % len(files)])) for row in range(count)]  # noqa: PTH100
        write_manifest(Path(folder, "M.csv"), rows)
        table = []
        for cores in (1, FLAGS.cores):
            ray = ["--engine=ray", f"--workers={cores}"]
            here, there = (images_per_second(folder, words, cores) for words in ([], ray))
            table.append([str(cores), f"{here:.1f}", f"{there:.1f}", f"{there / here:.2f}"])
    header = ["cores", "one process", "workers of one core", "ratio"]
    print(markdown.table(header, table, [True] * 4))


if __name__ == "__main__":
    cli.run(main)
