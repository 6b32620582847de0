"""The few globals that pickles of plain data need, as functions of our own.

Protocols 0 to 3 have no instruction for sets, protocols 0 to 2 none for bytes.
"""

# What may be a key or a member of a set. Nested tuples are left out: a tuple that shares its parts
# many levels deep takes exponential time to hash.
_KEYS = (str, bytes, int, float, bool, type(None))


class Constructor:
    """Stands for the few globals that older protocols need for sets and bytes; only callable here.

    It never leaves the machine, and it isn't the Python function of that name.
    """

    def __init__(self, build):
        self.build = build


def checked_keys(values):
    """Gives back `values`, all of which may be keys.

    Raises:
        ValueError: If one may not.
    """
    for value in values:
        if type(value) not in _KEYS:
            raise ValueError(f"a {type(value).__name__} as a key")
    return values


def _build_set(kind):
    def build(arguments):
        if len(arguments) > 1 or any(type(a) not in (list, tuple, set) for a in arguments):
            raise ValueError("a set of something that is no list")
        return kind(checked_keys(list(*arguments)))

    return Constructor(build)


def _encode(arguments):
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
        raise ValueError("bytes in an unknown encoding")
    return arguments[0].encode("latin-1")


def _no_bytes(arguments):
    if arguments:
        raise ValueError("bytes of something")
    return b""


CONSTRUCTORS = {
    f"{module}.{kind.__name__}": _build_set(kind)
    for module in ("builtins", "__builtin__")
    for kind in (set, frozenset)
}
CONSTRUCTORS["_codecs.encode"] = Constructor(_encode)
CONSTRUCTORS["builtins.bytes"] = CONSTRUCTORS["__builtin__.bytes"] = Constructor(_no_bytes)
