"""What the scripts share: flags of settings, running `main`, a user's mistake as one line."""

import dataclasses
import sys

from absl import app, flags, logging

from darac_tf.errors import UserError
from darac_tf.settings import kind_of

flags.disclaim_key_flags()  # Flags that are defined here are those of the script that asks.


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


def define_flags(settings, values=flags.FLAGS):
    """Defines a flag for each field of a dataclass whose fields are `settings.setting`.

    Args:
        settings: The dataclass. Fields are bool, int, float, str or `list[str]`, or one of them or
            None.
        values: Where the flags are defined.
    """
    for field in dataclasses.fields(settings):
        _define_flag(field, values)


def _define_flag(field, values):
    about, kind = field.metadata["setting"], kind_of(field)
    if kind is list:
        define = flags.DEFINE_multi_string if about.is_repeated else flags.DEFINE_list
        define(field.name, field.default_factory(), about.help, flag_values=values)
    elif about.beginnings:
        parser = KindParser(about.choices)
        flags.DEFINE(parser, field.name, field.default, about.help, flag_values=values)
    elif about.choices:
        flags.DEFINE_enum(field.name, field.default, about.choices, about.help, flag_values=values)
    else:
        kinds = {bool: "bool", int: "integer", float: "float", str: "string"}
        define = getattr(flags, f"DEFINE_{kinds[kind]}")
        define(field.name, field.default, about.help, flag_values=values)


def settings_of_flags(settings, values=flags.FLAGS):
    """The record of a dataclass that `define_flags` took, with the values of its flags.

    Raises:
        UserError: If a value can't be.
    """
    return settings(**{f.name: values[f.name].value for f in dataclasses.fields(settings)})


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
