"""The figures of a run in a CSV file, the same whether the run was interrupted or not."""

import contextlib
import csv
import json
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.files import atomic_path

METRICS_FILE = "metrics.csv"
_HEADER = ["step", "name", "value"]


class MetricsFile:
    """Appends `step,name,value` lines; what lies beyond the step of a resumed run is dropped.

    Args:
        run_dir: Run directory.
        step: The step the run goes on from; 0 for a new one.

    Raises:
        UserError: From any method, if the file can't be written, as on a full disk.
    """

    def __init__(self, run_dir, step):
        self._path = path = Path(run_dir) / METRICS_FILE
        kept = [row for row in _read(path) if int(row[0]) <= step] if step else []
        with self._reporting():
            with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
                csv.writer(file).writerows([_HEADER, *kept])
            self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file)

    def write(self, step, values):
        """Writes a dictionary of name to number, with all digits of each."""
        rows = [[step, name, json.dumps(value)] for name, value in values.items()]
        with self._reporting():
            self._writer.writerows(rows)

    def flush(self):
        """Hands all lines to the system: a killed process loses none."""
        with self._reporting():
            self._file.flush()

    def close(self):
        with self._reporting():
            self._file.close()

    @contextlib.contextmanager
    def _reporting(self):
        try:
            yield
        except OSError as error:
            raise UserError(
                f"can't write {self._path}: {error.strerror}; free space or change its rights, and "
                "go on with --resume"
            ) from error


def _read(path):
    if not path.exists():
        return []
    with path.open(newline="") as file:
        # A killed process may leave half a line.
        return [row for row in list(csv.reader(file))[1:] if len(row) == 3]
