"""A measurement in a process of its own, so that memory is that of one thing alone."""

import json
import subprocess
import sys

from darac_tf.errors import UserError


def figures_of(module, *arguments):
    """Runs `python -m MODULE ARGUMENTS`; what it prints last, as JSON, are its figures.

    Raises:
        UserError: If it fails, with the last line that it said.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return json.loads(done.stdout.splitlines()[-1])
