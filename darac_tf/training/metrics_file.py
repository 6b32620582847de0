"""The figures of a run in a CSV file, the same whether the run was interrupted or not."""

import csv
import json
from pathlib import Path

from darac_tf.files import atomic_path

METRICS_FILE = "metrics.csv"
_HEADER = ["step", "name", "value"]


class MetricsFile:
    """Appends `step,name,value` lines; what lies beyond the step of a resumed run is dropped.

    Args:
        run_dir: Run directory.
        step: The step the run goes on from; 0 for a new one.
    """

    def __init__(self, run_dir, step):
        path = Path(run_dir) / METRICS_FILE
        kept = [row for row in _read(path) if int(row[0]) <= step] if step else []
        with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([_HEADER, *kept])
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file)

    def write(self, step, values):
        """Writes a dictionary of name to number, with all digits of each."""
        self._writer.writerows([step, name, json.dumps(value)] for name, value in values.items())

    def flush(self):
        """Hands all lines to the system: a killed process loses none."""
        self._file.flush()

    def close(self):
        self._file.close()


def _read(path):
    if not path.exists():
        return []
    with path.open(newline="") as file:
        # A killed process may leave half a line.
        return [row for row in list(csv.reader(file))[1:] if len(row) == 3]
