"""What the scripts share: running `main`, and showing a user's mistake as one line."""

import sys

from absl import app, flags, logging

from darac_tf.errors import UserError


def run(main):
    """Runs a script's `main()` with absl flags parsed.

    A `UserError` is printed as `error: ...`, without a traceback, and the exit status is 1; Ctrl-C
    exits with 130.
    """

    def guarded(arguments):
        try:
            if not flags.FLAGS["verbosity"].present:
                logging.set_verbosity(logging.WARNING)  # TensorFlow has much to tell of an export.
            if len(arguments) > 1:
                raise UserError(f"unexpected argument {arguments[1]!r}; flags start with --")
            main()
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit(130)

    app.run(guarded, flags_parser=_parse)


def apply_preset(settings):
    """Gives flags that are not on the command line the values of a preset.

    Args:
        settings: Dictionary of flag name to value.
    """
    for name, value in settings.items():
        if flags.FLAGS[name].using_default_value:
            flags.FLAGS[name].value = value


class KindParser(flags.EnumParser):
    """Parser of a flag whose values are known, but for those that only begin in a known way.

    Args:
        kinds: The values. One with a colon, such as `tfds:NAME`, stands for all text that begins
            as it does up to the colon, which are passed on as they are.
    """

    def __init__(self, kinds):
        super().__init__(list(kinds))
        self.beginnings = tuple(k[: k.index(":") + 1] for k in kinds if ":" in k)
        self.syntactic_help = f"<{'|'.join(kinds)}>"

    def parse(self, argument):
        """Gives back the value, or raises `ValueError` with the values there are."""
        return argument if argument.startswith(self.beginnings) else super().parse(argument)


def _parse(arguments):
    try:
        return flags.FLAGS(arguments, known_only=False)
    except flags.Error as error:
        sys.exit(f"error: {' '.join(str(error).split())} (see --help)")
