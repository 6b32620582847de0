"""What commands share: flags of settings, reading a command line, a mistake as one line."""

import contextlib
import dataclasses
import functools
import gc
import io
import os
import re
import sys
import tempfile
from pathlib import Path

from absl import app, flags, logging

from darac_tf.choices import ORIENTATIONS
from darac_tf.errors import UserError, printable
from darac_tf.files import exists
from darac_tf.phases import phase
from darac_tf.settings import beginnings, kind_of

flags.disclaim_key_flags()  # Flags that are defined here are those of the script that asks.

_LIST = flags.CsvListSerializer(",")


def run(main):
    """Runs a script's `main()` with absl's global flags parsed, and exits: see `status_of`."""

    def guarded(rest):
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # TensorFlow has much to tell of an export.
        if len(rest) > 1:
            raise UserError(f"unexpected argument {rest[1]!r}; flags start with --")
        main()

    app.run(lambda rest: status_of(guarded, rest), flags_parser=_parse)


def status_of(run, *arguments):
    """The exit status of a call: what it returns, 0 for None.

    A `UserError`, or a flag that can't be, is printed as `error: ...`, without a traceback, and the
    status is 1; that of Ctrl-C is 130, and that of a reader who has gone, such as `head`, 141.
    """
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):  # Not a notebook's.
            sys.stdout.reconfigure(errors="backslashreplace")  # For names that are no UTF-8.
        status = run(*arguments) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end.
        return 141
    except UserError as error:
        message = str(error)
    except flags.Error as error:
        message = _one_line(error)
    except UnicodeEncodeError as error:
        message = f"{printable(error.object)[:300]}: is no UTF-8, as is needed here"
    except KeyboardInterrupt:
        return 130
    print(f"error: {message}", file=sys.stderr)
    return 1


def parse_command(arguments, values, about, wanted=None, instead=None):
    """Parses what follows the name of a command, and lets logs say what `--verbosity` asks for.

    Flags may stand before, between and after other words. `--help` prints `about` and the flags,
    and exits.

    Args:
        arguments: List of words.
        values: `flags.FlagValues` with the flags of the command.
        about: Docstring of the command.
        wanted: What words that are no flags name, as in "image", of which at least one must be
            there; None for a command that takes none.
        instead: Name of a flag that may be given instead of these words, if any.

    Returns:
        List of the words that are no flags.

    Raises:
        UserError, flags.Error: If the words are not such a command line.
    """
    text = "What is logged: -1 warnings, 0 what TensorFlow and this program do, 1 all."
    flags.DEFINE_integer("verbosity", -1, text, flag_values=values)
    values.set_gnu_getopt(True)
    if {"--help", "-h"} & set(arguments):
        print(f"{about.strip()}\n{values.get_help(include_special_flags=False)}", flush=True)
        sys.exit(0)
    _, *rest = parse(["darac", *arguments], values)
    if wanted and not rest and not (instead and values[instead].value):
        raise UserError(f"name at least one {wanted} (see --help)")
    if rest and not wanted:
        raise UserError(f"unexpected argument {rest[0]!r}; flags start with --")
    flags.FLAGS.mark_as_parsed()  # Else its first line is that nothing has been parsed.
    logging.use_absl_handler()
    logging.set_verbosity(values.verbosity)
    return rest


# What Keras imports where it is installed, for functions that no command calls: it takes a third of
# the time of `import tensorflow`.
_NOT_FOR_KERAS = "sklearn", "matplotlib"


@contextlib.contextmanager
def _hidden(*packages):
    """Lets packages that nothing has imported look as if they were not installed."""
    hidden = [package for package in packages if package not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for package in hidden:
            sys.modules.pop(package)


@contextlib.contextmanager
def _kept_for_good():
    """Keeps what is made meanwhile from the garbage collector, as it lives as long as the process.

    It would look through all of it again and again, which takes a fifth of the import of TensorFlow
    and nearly a second when the process ends.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def start_tensorflow():
    """Imports TensorFlow, and looks for GPUs, without what its libraries print meanwhile.

    All of it is printed after `--verbosity=0`, and where the import fails; errors where there is a
    driver of NVIDIA. Call it before the first import that needs TensorFlow.
    """
    if "tensorflow" in sys.modules:
        return
    if logging.get_verbosity() >= logging.INFO:
        with phase("import TensorFlow"), _kept_for_good(), _hidden(*_NOT_FOR_KERAS):
            import tensorflow  # noqa: F401
        return
    # Some of the libraries print before they read this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr, shown = os.dup(2), rb".*\n"
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with _kept_for_good(), _hidden(*_NOT_FOR_KERAS):
                import tensorflow as tf

            tf.config.list_physical_devices()
            shown = rb"E\d{4} .*\n" if Path("/dev/nvidiactl").exists() else None
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held if shown else ():
                if re.match(shown, line):
                    os.write(2, line)


def define_flags(settings, values):
    """Defines a flag for each field of a dataclass whose fields are `settings.setting`.

    Args:
        settings: The dataclass. Fields are bool, int, float, str or `list[str]`, or one of them or
            None.
        values: `flags.FlagValues`, where they are defined.
    """
    kinds = {bool: "bool", int: "integer", float: "float", str: "string"}
    for field in dataclasses.fields(settings):
        about, kind = field.metadata["setting"], kind_of(field)
        name, default = field.name, field.default
        if kind is list:
            default = field.default_factory()
            define = flags.DEFINE_multi_string
            if not about.is_repeated:
                define = functools.partial(flags.DEFINE, ListParser(), serializer=_LIST)
        elif beginnings(about.choices):
            define = functools.partial(flags.DEFINE, KindParser(about.choices))
        elif about.choices:
            define = functools.partial(flags.DEFINE_enum, enum_values=about.choices)
        else:
            define = getattr(flags, f"DEFINE_{kinds[kind]}")
            if kind in (int, float):
                define = functools.partial(define, lower_bound=about.low, upper_bound=about.high)
        define(name, default=default, help=about.help, flag_values=values)


def define_orientation(values):
    """Defines `--orientation`, of own photographs."""
    about = "Turn images upright by their Exif orientation, or not."
    flags.DEFINE_enum("orientation", "upright", ORIENTATIONS, about, values)


def settings_of_flags(settings, values):
    """The record of a dataclass of `define_flags`; `UserError` if a flag's value can't be."""
    return settings(**{f.name: values[f.name].value for f in dataclasses.fields(settings)})


def expand_home(value):
    """A flag's value, or the texts of a list, with the home folder for a `~` that begins a path.

    The shell puts it there only at the beginning of a word. `KIND:` or `@` may stand before it.
    """
    if isinstance(value, list):
        return [expand_home(text) for text in value]
    found = isinstance(value, str) and re.fullmatch(r"((?:\w+:|@)?)(~(?:/.*)?)", value, re.DOTALL)
    return found[1] + os.path.expanduser(found[2]) if found else value  # noqa: PTH111 - as it is


def parse(arguments, values=flags.FLAGS):
    """Parses a command line into `values`, as absl does; returns what is no flag."""
    rest = values(arguments)
    for name in values:
        values[name].value = expand_home(values[name].value)
    return rest


def apply_preset(settings, values):
    """Gives flags that are not on the command line the values of a dictionary of their names.

    Returns the names of these flags.
    """
    free = [name for name in settings if values[name].using_default_value]
    for name in free:
        values[name].value = expand_home(settings[name])
    return free


class ListParser(flags.ListParser):
    """Parser of a list between commas, of which a path that is there is one item.

    `KIND:` may stand before a path, and `+POOLING` or `#ROW` after it.
    """

    def parse(self, argument):
        """The list; as it is where it is one already."""
        if not isinstance(argument, str) or _names_a_path(argument):
            return [argument] if argument and isinstance(argument, str) else argument
        parts = super().parse(argument) if '"' in argument else argument.split(",")
        found = []
        while parts and argument:
            for end in range(len(parts), 0, -1):
                text = ",".join(parts[:end]).strip()
                if end == 1 or _names_a_path(text):
                    break
            found.append(text)
            del parts[:end]
        return found


def _names_a_path(text):
    path = re.fullmatch(r"(?:\w+:)?(.*?)(?:\+\w+|#\d+)?", text, re.DOTALL)[1]
    return any(exists(os.path.expanduser(each)) for each in (text, path))  # noqa: PTH111


class KindParser(flags.EnumParser):
    """Parser of a flag whose values are known, but for those that only begin in a known way.

    Args:
        kinds: The values. One with a colon, such as `tfds:NAME`, stands for all text that begins
            as it does up to the colon, which are passed on as they are.
    """

    def __init__(self, kinds):
        super().__init__(list(kinds))
        self.beginnings = beginnings(kinds)
        self.syntactic_help = f"<{'|'.join(kinds)}>"

    def parse(self, argument):
        """Gives back the value, or raises `ValueError` with the values there are."""
        return argument if argument.startswith(self.beginnings) else super().parse(argument)


def _parse(arguments):
    try:
        return parse(arguments)
    except flags.Error as error:
        sys.exit(f"error: {_one_line(error)}")


def _one_line(error):
    return f"{' '.join(str(error).split())} (see --help)"
