"""The benchmark of serving runs, and its table has a row for each setting and batch."""

import subprocess
import sys

from tests.conftest import REPOSITORY
from tests.helpers import write_backbone


def test_the_table(tmp_path):
    backbone = write_backbone(tmp_path / "small.keras")
    command = [
        sys.executable, "-m", "benchmarks.serving_latency", f"--backbone={backbone}",
        "--resolutions=32", "--resolutions=32,48", "--batches=1,3", "--height=48", "--width=64",
        "--repeats=2",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| 32")]
    assert [(row[0].strip(), int(row[1])) for row in rows] == [
        ("32", 1), ("32", 3), ("32,48", 1), ("32,48", 3),
    ]  # fmt: skip
    for row in rows:
        bare, from_bytes, ratio = (float(cell) for cell in row[2:5])
        assert bare > 0 and abs(from_bytes / bare - ratio) < 0.2 * ratio
