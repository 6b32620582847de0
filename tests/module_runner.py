"""Runs a module as `python -m MODULE` does, in this process: TensorFlow is loaded already."""

import runpy
import sys

from absl import flags


def run_module(name, *arguments):
    """The exit status: 0, or what `sys.exit` got, such as `error: ...`."""
    known = set(flags.FLAGS)
    argv, sys.argv = sys.argv, [name, *map(str, arguments)]
    try:
        # Processes that it spawns would import another `__main__` anew: this one's stays.
        runpy.run_module(name, run_name="__main__")
    except SystemExit as error:
        return error.code or 0
    finally:
        sys.argv = argv
        # Modules share names of flags, which one process may define once.
        for flag in set(flags.FLAGS) - known:
            if flag in flags.FLAGS:
                delattr(flags.FLAGS, flag)
        flags.FLAGS.unparse_flags()
    return 0
