"""Indexes a user's own images with an exported model, and searches in them.

    python -m darac_tf.search index PHOTOS [FOLDER ...] --model=EXPORT/1 --index=FOLDER
    python -m darac_tf.search query IMAGE [IMAGE ...] --index=FOLDER --out=results.html
    python -m darac_tf.search duplicates --index=FOLDER --threshold=0.95
    python -m darac_tf.search forget FOLDER [FOLDER ...] --index=FOLDER

`COMMAND --help` explains the flags of a command.
"""

import sys

from absl import flags

from darac_tf.errors import UserError
from darac_tf.search import commands


def main(arguments):
    """Runs one command; returns the exit status.

    Args:
        arguments: Those of the command line, without the program.
    """
    try:
        _run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(arguments):
    name = arguments[0] if arguments else None
    if name in ("--help", "-h", "help"):
        print(__doc__.strip())
        return
    if name not in commands.COMMANDS:
        known = ", ".join(commands.COMMANDS)
        given = "no command" if name is None else f"unknown command {name!r}"
        raise UserError(f"{given}: choose from {known} (see --help)")
    define, run = commands.COMMANDS[name]
    values = flags.FlagValues()
    # Flags may stand before, between and after the folders or images.
    values.set_gnu_getopt(True)
    define(values)
    if {"--help", "-h"} & set(arguments):
        print(f"{run.__doc__.splitlines()[0]}\n{values.get_help()}")
        return
    try:
        _, *positional = values(arguments)
    except flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())} (see {name} --help)") from error
    run(values, positional)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
