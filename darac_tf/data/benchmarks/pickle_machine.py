"""The stack machine that builds plain data from a pickle, and nothing else.

One parser reads the instructions and carries them out, so that no file can show one face to a
checker and another to a loader.
"""

import codecs
import io
import pickletools

from darac_tf.data.benchmarks.pickle_constructors import CONSTRUCTORS, Constructor, checked_keys

MAX_STEPS = 2_000_000  # the published files take 24,000 at most

_MARK = object()


class Refused(Exception):  # noqa: N818 - says what happened to the file
    """The pickle asks for more than plain data, or for too much of it; the text says for what."""


class Machine:
    """Carries out one pickle."""

    def __init__(self):
        self.stack = []
        self.memo = {}
        self.steps = 0

    def run(self, data):
        """Gives the object that the bytes `data` describe.

        Raises:
            Refused: If they ask for anything but plain data, or for too many steps.
            ValueError: If they are damaged.
        """
        stream = io.BytesIO(data)
        while True:
            name, argument = _instruction(stream)
            self.spend(1)
            if name == "STOP":
                return self.pop()
            if name in _PUSHED:
                self.stack.append(_checked(argument))
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name not in ("PROTO", "FRAME"):
                raise Refused(_asked_for(name, argument))

    def spend(self, steps):
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise Refused(f"more than {MAX_STEPS:,} steps")

    def pop(self):
        """Takes a finished value off the stack."""
        if not self.stack:
            raise ValueError("the stack is empty")
        return _value(self.stack.pop())

    def pop_to_mark(self):
        """Takes the values above the topmost mark off the stack, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = [_value(item) for item in self.stack[place + 1 :]]
                del self.stack[place:]
                return values
        raise ValueError("no mark on the stack")

    def top(self, kind=object):
        """The topmost thing on the stack, which must be a `kind`."""
        if not self.stack or self.stack[-1] is _MARK or not isinstance(self.stack[-1], kind):
            raise ValueError(f"no {kind.__name__} on the stack")
        return self.stack[-1]

    def drop(self, _):
        self.top()
        self.stack.pop()

    def push_tuple(self, count):
        values = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def fill(self, target, flat):
        if len(flat) % 2:
            raise ValueError("a key without a value")
        target.update(zip(checked_keys(flat[::2]), flat[1::2], strict=True))

    def set_item(self, _):
        value, key = self.pop(), self.pop()
        self.fill(self.top(dict), [key, value])

    def set_items(self, _):
        flat = self.pop_to_mark()
        self.fill(self.top(dict), flat)

    def push_dict(self, _):
        flat, target = self.pop_to_mark(), {}
        self.fill(target, flat)
        self.stack.append(target)

    def append(self, _):
        value = self.pop()
        self.top(list).append(value)

    def extend(self, _):
        values = self.pop_to_mark()
        self.top(list).extend(values)

    def add(self, _):
        values = self.pop_to_mark()
        self.top(set).update(checked_keys(values))

    def put(self, key):
        self.memo[key] = self.top()

    def get(self, key):
        if key not in self.memo:
            raise ValueError(f"nothing is stored under {key}")
        self.stack.append(self.memo[key])

    def push_global(self, name):
        if name not in CONSTRUCTORS:
            raise Refused(name)
        self.stack.append(CONSTRUCTORS[name])

    def stack_global(self, _):
        name, module = self.pop(), self.pop()
        self.push_global(f"{module}.{name}" if type(module) is type(name) is str else "no name")

    def reduce(self, _):
        arguments = self.pop()
        constructor = self.top(Constructor)
        if type(arguments) is not tuple:
            raise ValueError("a call without a tuple of arguments")
        for argument in arguments:
            # A stored list or string can be turned into a set or bytes any number of times.
            self.spend(len(argument) if hasattr(argument, "__len__") else 0)
        self.stack[-1] = constructor.build(arguments)


def _instruction(stream):
    """Reads the next instruction: its name and its argument, or None."""
    code = stream.read(1)
    if not code:
        raise ValueError("it ends early")
    opcode = pickletools.code2op.get(code.decode("latin-1"))
    if opcode is None:
        raise ValueError(f"unknown instruction {code!r}")
    if opcode.name == "STRING":
        # pickletools takes ASCII only here; Python 2 wrote any byte.
        text = pickletools.read_stringnl(stream, decode=False)
        return opcode.name, codecs.escape_decode(text)[0].decode("latin-1")
    argument = None if opcode.arg is None else opcode.arg.reader(stream)
    if opcode.name == "PROTO" and argument > 5:
        raise ValueError(f"protocol {argument} is not known")
    return opcode.name, argument


def _asked_for(name, argument):
    if name == "INST":
        return argument.replace(" ", ".", 1)
    if name.startswith("EXT"):
        return f"extension code {argument}"
    if name in ("PERSID", "BINPERSID"):
        return "a persistent id" + (f" ({argument})" if argument else "")
    return f"the instruction {name}"


def _checked(number):
    # Also keeps out keys made to collide: those of equal hash lie 2^61 apart.
    if isinstance(number, int) and not -(2**63) <= number < 2**64:
        raise ValueError("a number of more than 64 bits")
    return number


def _value(item):
    if item is _MARK or type(item) is Constructor:
        raise ValueError("a part of it is unfinished")
    return item


# Instructions whose argument is the value.
_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_ACTIONS = {
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_SET": lambda machine, _: machine.stack.append(set()),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "LIST": lambda machine, _: machine.stack.append(machine.pop_to_mark()),
    "FROZENSET": lambda machine, _: machine.stack.append(
        frozenset(checked_keys(machine.pop_to_mark()))
    ),
    "DICT": Machine.push_dict,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "APPEND": Machine.append,
    "APPENDS": Machine.extend,
    "ADDITEMS": Machine.add,
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": Machine.drop,
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.top()),
    "PUT": Machine.put,
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "GET": Machine.get,
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "GLOBAL": lambda machine, name: machine.push_global(name.replace(" ", ".", 1)),
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
}
