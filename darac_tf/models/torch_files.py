"""Reads the tensors of PyTorch's files, without PyTorch and without running what is in them."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from darac_tf.errors import UserError
from darac_tf.unpickling import PlainUnpickler, Refused, WholeLines, checked, one_line

# Files of before PyTorch 1.6 are five pickles and the bytes of the storages: this is the first.
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
_ZIP = b"PK\x03\x04"
_DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}


def read_torch_file(path):
    """What `torch.save` wrote, with NumPy arrays for tensors.

    Both formats are read: zip archives, and that of before PyTorch 1.6. Only plain data, ordered
    dictionaries, dense tensors and NumPy's arrays of numbers are taken, each from the bytes that
    are there; parameters become arrays, a PCA of scikit-learn a dictionary of its attributes, and
    devices and gradients are left out.

    Args:
        path: The file, such as `NAME.pth`. It is held in memory as a whole.

    Returns:
        The object, mostly a dict of name to array: read-only, of the tensor's shape and type.

    Raises:
        UserError: If the file can't be read, is damaged or no such file, or asks for anything
            else, which the message names. Nothing of it has been run.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); check the file") from error
    try:
        if data.startswith(_ZIP):
            return _read_zip(data)
        if data.startswith(_MAGIC):
            return _read_legacy(data)
        raise ValueError("it begins as no file of torch.save does")
    except Refused as error:
        raise UserError(
            f"{path}: refused, because the pickle asks for {one_line(error)}; a file of weights "
            "holds tensors, dicts, lists, strings and numbers only"
        ) from error
    # Damaged pickles and archives raise errors of many kinds.
    except Exception as error:
        raise UserError(
            f"{path}: not a complete PyTorch file "
            f"({one_line(f'{type(error).__name__}: {error}')}); fetch it again"
        ) from error


def _read_zip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")

        def stored(name):
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed")  # As PyTorch does not do.
            return archive.read(name)

        if f"{folder}byteorder" in archive.namelist():
            _check_little_endian(stored(f"{folder}byteorder") == b"little")

        def storage(key, dtype, count):
            found = np.frombuffer(stored(f"{folder}data/{key}"), dtype)
            if len(found) != count:
                raise ValueError(f"a storage of {count} numbers has {len(found)}")
            return found

        return _TorchUnpickler(WholeLines(stored(pickled)), storage, len(data)).load()


def _read_legacy(data):
    file = WholeLines(data)
    file.seek(len(_MAGIC))
    if PlainUnpickler(file).load() != _LEGACY_PROTOCOL:
        raise ValueError("another version of the format")
    _check_little_endian(PlainUnpickler(file).load()["little_endian"] is True)
    # The pickle, which tells the types, stands before the bytes.
    unpickler = _TorchUnpickler(file, lambda key, dtype, count: np.empty(count, dtype), len(data))
    value = unpickler.load()
    keys = PlainUnpickler(file).load()
    if sorted(keys) != sorted(unpickler.storages):
        raise ValueError("other storages than its tensors have")
    for key in keys:
        storage = unpickler.storages[key]
        if int.from_bytes(file.read(8), "little") != len(storage):
            raise ValueError("a storage of another length than its tensors say")
        if file.readinto(storage) != storage.nbytes:
            raise ValueError("it ends early")
    return value


def _check_little_endian(is_little):
    if not is_little:
        raise ValueError("its bytes are in another order than little-endian")


class _Storage:
    """A type's or a tensor's numbers: what may be named, but is no part of a result."""

    def __init__(self, content):
        self.content = content


class _TorchUnpickler(PlainUnpickler):
    """The pickle of an object with tensors.

    Args:
        file: A `WholeLines`.
        storage: Function of key, dtype and count to an array `(count,)`, called once for each key.
        most_bytes: More are not taken for all storages together, which no key may share.
    """

    leaves = (np.ndarray,)

    def __init__(self, file, storage, most_bytes):
        super().__init__(file)
        self.storages = {}
        self._storage, self._left = storage, most_bytes

    def persistent_load(self, pid):
        match pid:  # Legacy files say at the end of which other storage it is a part.
            case ("storage", _Storage(content=np.dtype() as dtype), str(key), _, int(count), *of):
                if of not in ([], [None]):
                    raise Refused("a part of a storage")
            case _:
                return super().persistent_load(pid)
        if key not in self.storages:
            self._left -= count * dtype.itemsize
            if count < 0 or self._left < 0:
                raise ValueError(f"a storage of {count} numbers, which the file can't hold")
            self.storages[key] = self._storage(key, dtype, count)
        found = self.storages[key]
        if (found.dtype, len(found)) != (dtype, count):
            raise ValueError("a storage of two types or lengths")
        return _Storage(found)


def _tensor(storage, offset, size, stride, *_):
    """What follows is whether it has a gradient, hooks, and metadata."""
    numbers = storage.content
    whole = [offset, *size, *stride]
    if any(type(n) is not int or not 0 <= n < 2**63 for n in whole) or len(size) != len(stride):
        raise ValueError("a tensor of no shape")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    # A step of 0 could make any number of elements of few bytes.
    if count and not (last < len(numbers) and count <= len(numbers)):
        raise ValueError("a tensor beyond its storage")
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _ordered(pairs=()):
    """An ordered dictionary: empty, or from Python 2, which writes lists of pairs."""
    checked([key for key, _ in pairs])
    return dict(pairs)


class _Unfinished:
    """An array, a type or an object whose state follows, which `finish` makes it of."""

    def __init__(self, finish):
        self.finish = finish


class _Attributes:
    """What stands for a class whose objects become dictionaries."""


def _take_state(unpickler):
    """BUILD: of an ordered dictionary, the versions of its modules, which are left out."""
    unpickler.spend(1)
    state, target = unpickler.stack.pop(), unpickler.stack[-1]
    if type(target) is _Unfinished:
        finished = target.finish(state)
        unpickler.stack[-1] = finished
        for key in [key for key, value in unpickler.memo.items() if value is target]:
            unpickler.memo[key] = finished
    elif type(state) is not dict or type(target) is not dict:
        raise Refused("the instruction BUILD")


def _make_attributes(unpickler):
    """NEWOBJ: an object of a class that is known, without arguments."""
    unpickler.spend(1)
    arguments, kind = unpickler.stack.pop(), unpickler.stack.pop()
    if kind is not _Attributes or arguments != ():
        raise Refused("the instruction NEWOBJ")
    unpickler.append(_Unfinished(_attributes))


def _attributes(state):
    if type(state) is not dict:
        raise ValueError("an object without attributes")
    return state


def _numpy_dtype(name, *_):
    """Of numbers only, in little-endian order, as its state must say."""
    if type(name) is not str or name not in _NUMPY_TYPES:
        raise Refused(f"numpy.dtype({name!r})")

    def finish(state):
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|", "="):
            raise ValueError("numbers in another order than little-endian")
        return _Storage(np.dtype(name).newbyteorder("<"))

    return _Unfinished(finish)


def _numpy_array(kind, *_):
    if kind is not _Array:
        raise Refused("an array of another class")

    def finish(state):
        _, shape, dtype, is_fortran, content = state
        if type(dtype) is not _Storage or type(content) is not bytes:
            raise ValueError("an array without numbers")
        order = "F" if is_fortran else "C"
        return np.frombuffer(content, dtype.content).reshape(shape, order=order)

    return _Unfinished(finish)


def _numpy_scalar(dtype, content):
    if type(dtype) is not _Storage or type(content) is not bytes:
        raise ValueError("a number without its type")
    return np.frombuffer(content, dtype.content, 1)[0].item()


class _Array:
    """What stands for `numpy.ndarray`."""


_NUMPY_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
_NUMPY = {"_reconstruct": _numpy_array, "scalar": _numpy_scalar}
_TorchUnpickler.dispatch = PlainUnpickler.dispatch | {
    ord("b"): _take_state,
    ord("\x81"): _make_attributes,
}
_TorchUnpickler.functions = (
    PlainUnpickler.functions
    | {f"torch.{kind}Storage": _Storage(np.dtype(dtype)) for kind, dtype in _DTYPES.items()}
    | dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor)
    | {"torch._utils._rebuild_parameter": lambda tensor, *_: tensor}
    | {"collections.OrderedDict": _ordered, "numpy.dtype": _numpy_dtype, "numpy.ndarray": _Array}
    | {
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in _NUMPY.items()
    }
    | dict.fromkeys(
        ("sklearn.decomposition._pca.PCA", "sklearn.decomposition.pca.PCA"), _Attributes
    )
)
