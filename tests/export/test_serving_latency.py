"""The benchmark of serving runs, and its table has a row for each setting and batch."""

import pytest

from tests.helpers import write_backbone


@pytest.mark.slow
def test_the_table(run_command, tmp_path):
    backbone = write_backbone(tmp_path / "small.keras")
    status, output, last = run_command(
        "benchmarks.serving_latency", f"--backbone={backbone}", "--pooling=spoc",
        "--resolutions=32", "--resolutions=32,48", "--batches=1,3", "--height=48", "--width=64",
        "--repeats=2",
    )  # fmt: skip
    assert status == 0, last
    rows = [line.split("|")[1:-1] for line in output.splitlines() if line.startswith("| 32")]
    assert [(row[0].strip(), int(row[1])) for row in rows] == [
        ("32", 1), ("32", 3), ("32,48", 1), ("32,48", 3),
    ]  # fmt: skip
    for row in rows:
        bare, from_bytes, ratio = (float(cell) for cell in row[2:5])
        assert bare > 0 and abs(from_bytes / bare - ratio) < 0.2 * ratio
