"""Reads pickles from strangers: nothing in the file can make Python run anything.

A pickle is a program for a small stack machine, and `pickle.loads` lets it import and call any
function. Here the standard library's machine carries it out without the instructions that make or
change objects, and with few functions to call, none of them Python's own. The machine is the one
written in Python, the only one whose instructions can be replaced; it is also the only parser, so
that no file can show one face to a checker and another to a loader.
"""

import io
import pickle
import pickletools
import warnings

MAX_STEPS = 2_000_000  # the published files take 24,000 at most
MAX_PROTOCOL = 5

_CONTAINERS = (list, tuple, set, frozenset)
_SCALARS = (str, bytes, int, float, bool, type(None))
_OBJECTS = ("OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER")
# Where on the stack, above the last mark, keys and members lie that an instruction will hash.
_HASHED = {
    "SETITEM": slice(-2, -1),
    "SETITEMS": slice(None, None, 2),
    "DICT": slice(None, None, 2),
    "ADDITEMS": slice(None),
    "FROZENSET": slice(None),
}


def one_line(text):
    """Text from an untrusted file, made printable: escaped, and cut at 100 characters."""
    escaped = str(text).encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= 100 else escaped[:97] + "..."


class Refused(Exception):  # noqa: N818 - says what happened to the file
    """The pickle asks for more than plain data, or for too much of it; the text says for what."""


class WholeLines(io.BytesIO):
    """A file whose last line ends as all others do, so that no name is taken for a shorter one."""

    def readline(self):
        line = super().readline()
        if not line.endswith(b"\n"):
            raise EOFError("it ends early")
        return line


class PlainUnpickler(pickle._Unpickler):
    """Reads one pickle of plain containers, strings and numbers from a `WholeLines`.

    All protocols (0 to 5) and Python 2's pickles are read; Python 2's strings are taken as
    Latin-1. Keys of dicts and members of sets must be strings, bytes, numbers, bools or None;
    integers have at most 64 bits. `load` raises `Refused` if the pickle asks for anything else,
    and errors of many kinds if it is damaged.

    Attributes:
        functions: What a pickle may name: "module.name" to what stands for it here.
        leaves: Types of what these functions may leave in the result, besides plain data.
    """

    leaves = ()

    def __init__(self, file):
        super().__init__(file, encoding="latin1")
        self.steps = 0

    def load(self):
        """The object, plain all through."""
        # Unknown escapes in a protocol-0 string warn; they are kept as they stand.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = super().load()
        _check_plain(value, self.leaves)
        return value

    def spend(self, steps):
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise Refused(f"more than {MAX_STEPS:,} steps")

    def find_class(self, module, name):
        if f"{module}.{name}" not in self.functions:
            raise Refused(f"{module}.{name}")
        return self.functions[f"{module}.{name}"]

    def persistent_load(self, pid):
        raise Refused("a persistent id" + (f" ({pid})" if type(pid) is str else ""))

    # The one of `pickle` looks into a cache of classes before it asks `find_class`.
    def get_extension(self, code):
        raise Refused(f"extension code {code}")

    def instance(self):
        raise Refused(".".join(self.readline()[:-1].decode("ascii") for _ in range(2)))

    def call(self):
        arguments = self.stack.pop()
        if type(arguments) is not tuple:
            raise ValueError("a call without a tuple of arguments")
        for argument in arguments:
            # A stored list or string can be turned into a set or bytes any number of times.
            self.spend(len(argument) if type(argument) in (*_CONTAINERS, str, bytes) else 0)
        self.stack[-1] = self.stack[-1](*arguments)


def _instruction(name, load):
    """A function of the unpickler that counts, checks and carries out an instruction."""
    load = {"INST": PlainUnpickler.instance, "REDUCE": PlainUnpickler.call}.get(name, load)

    def carry_out(unpickler):
        unpickler.spend(1)
        if name in _OBJECTS:
            raise Refused(f"the instruction {name}")
        checked(unpickler.stack[_HASHED.get(name, slice(0))])
        load(unpickler)

    return carry_out


PlainUnpickler.dispatch = {
    ord(opcode.code): _instruction(opcode.name, pickle._Unpickler.dispatch[ord(opcode.code)])
    for opcode in pickletools.opcodes
    if opcode.proto <= MAX_PROTOCOL
}


def checked(scalars):
    """Gives back `scalars` if all of them may be keys.

    Nested tuples may not: one that shares its parts many levels deep takes exponential time to
    hash. Nor may long integers: those 2^61 apart have one hash, and can be made to collide.
    """
    for value in scalars:
        if type(value) not in _SCALARS:
            raise ValueError(f"a {type(value).__name__} in place of text or a number")
        if type(value) is int and not -(2**63) <= value < 2**64:
            raise ValueError("a number of more than 64 bits")
    return scalars


def _check_plain(value, leaves):
    """Checks what comes out, each object once, however many times it is shared."""
    seen, waiting = set(), [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if type(item) is dict:
            waiting += [*item, *item.values()]
        elif type(item) in _CONTAINERS:
            waiting += item
        elif type(item) not in leaves:
            checked([item])


# What protocols 0 to 3 call to make sets, and protocols 0 to 2 to make bytes.
def _maker(kind):
    def make(members=()):
        if type(members) not in _CONTAINERS:
            raise ValueError("a set of something that is no list")
        return kind(checked(list(members)))

    return make


def _encode(text, encoding):
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes in an unknown encoding")
    return text.encode("latin-1")


_MAKERS = {"set": _maker(set), "frozenset": _maker(frozenset), "bytes": lambda: b""}
PlainUnpickler.functions = {
    f"{module}.{name}": make
    for module in ("builtins", "__builtin__")
    for name, make in _MAKERS.items()
} | {"_codecs.encode": _encode}
