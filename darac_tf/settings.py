"""Settings as fields of a dataclass that say what each is: its help, choices and bounds.

A setting stands in one place. `cli.define_flags` makes a flag of each field, and `check_settings`
checks the values, wherever they come from: flags, files or a caller.
"""

import dataclasses
import itertools
import types
import typing
from operator import ge, gt, le, lt

from darac_tf.errors import UserError

CONFIG_FILE = "config.json"  # The settings of a run, in its directory.


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a field says about itself.

    A choice with a colon, such as `tfds:NAME`, stands for all text that begins as it does up to the
    colon.
    """

    help: str
    choices: tuple = ()  # All values it may have; empty for any.
    low: float | None = None  # Least value.
    above: float | None = None  # Value that it must exceed.
    high: float | None = None  # Largest value.
    below: float | None = None  # Value that it must stay under.
    is_repeated: bool = False  # Whether a list is given by repeating the flag, not by commas.
    is_optional: bool = False  # Whether it may be None.

    def fault(self, value):
        """What is wrong with a value, as in "must be above 0"; None if nothing is."""
        if value is None:
            return None if self.is_optional else "must be given"
        if self.choices:
            is_one = value in self.choices or value.startswith(beginnings(self.choices))
            return None if is_one else f"choose from {', '.join(self.choices)}"
        bounds = ((self.low, ge), (self.above, gt), (self.high, le), (self.below, lt))
        if all(bound is None or holds(value, bound) for bound, holds in bounds):
            return None
        if self.high is None and self.below is None:
            least = f"above {self.above}" if self.low is None else f"at least {self.low}"
            return f"must be {least}"
        first = f"({self.above}" if self.low is None else f"[{self.low}"
        last = f"{self.below})" if self.high is None else f"{self.high}]"
        return f"must lie in {first}, {last}"


def beginnings(choices):
    """Beginnings, up to the colon, of the choices that have one."""
    return tuple(each[: each.index(":") + 1] for each in choices if ":" in each)


def setting(default, help, **limits):
    """A dataclass field with a `Setting`.

    Args:
        default: Its value where none is given; a list is copied for each record, and None makes
            the setting optional.
        help: For `--help`.
        **limits: Other attributes of `Setting`.
    """
    limits["choices"] = tuple(limits.get("choices", ()))
    metadata = {"setting": Setting(help, is_optional=default is None, **limits)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def kind_of(field):
    """The type of a field's values, but for None: `int` of `int | None`, `list` of `list[str]`."""
    kinds = typing.get_args(field.type) if isinstance(field.type, types.UnionType) else [field.type]
    (kind,) = set(kinds) - {types.NoneType}
    return typing.get_origin(kind) or kind


def is_of_kind(value, field):
    """Whether a value that was read from a file has the type of a field."""
    if value is None:
        return types.NoneType in typing.get_args(field.type)
    kind = kind_of(field)
    if isinstance(value, bool):  # Which Python counts among the integers.
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def check_settings(settings, faults_together=()):
    """Checks each field of a record whose fields are settings, and then what they are together.

    Args:
        settings: The record.
        faults_together: Iterable of `(name, fault)`, read only where each field is right.

    Raises:
        UserError: Naming the first flag whose value can't be.
    """
    faults = (
        (field.name, field.metadata["setting"].fault(getattr(settings, field.name)))
        for field in dataclasses.fields(settings)
    )
    for name, fault in itertools.chain(faults, faults_together):
        if fault:
            raise UserError(f"--{name}={getattr(settings, name)}: {fault}")
