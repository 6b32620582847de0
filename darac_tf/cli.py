"""What the scripts share: running `main`, and showing a user's mistake as one line."""

import sys

from absl import app, flags

from darac_tf.errors import UserError


def run(main):
    """Runs a script's `main()` with absl flags parsed.

    A `UserError` is printed as `error: ...`, without a traceback, and the exit status is 1; Ctrl-C
    exits with 130.
    """

    def guarded(arguments):
        try:
            if len(arguments) > 1:
                raise UserError(f"unexpected argument {arguments[1]!r}; flags start with --")
            main()
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


def _parse(arguments):
    try:
        return flags.FLAGS(arguments, known_only=False)
    except flags.Error as error:
        sys.exit(f"error: {' '.join(str(error).split())} (see --help)")


def parse_resolutions(texts):
    """`["299", "299,540"]` to `((299,), (299, 540))`.

    Raises:
        UserError: If a text is no list of positive whole numbers.
    """
    settings = []
    for text in texts:
        sides = [part.strip() for part in text.split(",")]
        if not all(side.isdecimal() and int(side) > 0 for side in sides):
            raise UserError(f"--resolutions={text}: give pixels on the long side, as 299,540")
        settings.append(tuple(map(int, sides)))
    return tuple(settings)
