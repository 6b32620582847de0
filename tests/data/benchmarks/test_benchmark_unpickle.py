"""Ground-truth pickles: plain data comes through, and no attack runs or gets through."""

import builtins
import collections
import copyreg
import functools
import os
import pickle
import pickletools
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf import unpickling
from darac_tf.data.benchmarks.unpickle import load_ground_truth_pickle
from darac_tf.errors import UserError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN = {
    "imlist": ["all_souls_000013", "été_1", ""],
    "gnd": [{"ok": [0, 1, 255, 65535, 2**31, -(2**63)], "bbx": [136.5, -0.0, float("inf"), 1]}],
    b"bytes": (b"", b"\x00\xff", ()),
    "sets": [{1, 2}, set(), frozenset({"a"})],
    "tuples": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "none": [None, True, False],
    3: {1.5: {}, None: [], True: "x"},
}


def _write(tmp_path, data):
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(data)
    return path


class Plain:
    """Pickles by class and state."""


class Calls:
    """Pickles to a call of `function` on `arguments`."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced

    def __call__(self):
        """Makes pickle take what this pickles to for a function."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_of_every_protocol(tmp_path, protocol):
    data = pickle.dumps(PLAIN, protocol)
    loaded = load_ground_truth_pickle(_write(tmp_path, data))
    assert loaded == PLAIN
    # 1 == True == 1.0, so types are compared apart.
    assert repr(sorted(map(repr, loaded))) == repr(sorted(map(repr, PLAIN)))
    assert [type(v) for v in loaded["none"]] == [type(None), bool, bool]
    assert load_ground_truth_pickle(_write(tmp_path, pickletools.optimize(data))) == PLAIN


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_shared_parts_stay_shared(tmp_path, protocol):
    shared = ["a"]
    loaded = load_ground_truth_pickle(_write(tmp_path, pickle.dumps([shared, shared], protocol)))
    assert loaded == [["a"], ["a"]] and loaded[0] is loaded[1]


def test_python_2_strings_are_latin_1(tmp_path):
    # As Python 2 writes {'name': 'caf\xe9', u'n': [1L]} in protocols 0 and 2.
    protocol_0 = b"(dp0\nS'name'\np1\nS'caf\\xe9'\np2\nsVn\np3\n(lp4\nL1L\nas."
    protocol_2 = b"\x80\x02}q\x00(U\x04nameq\x01U\x04caf\xe9q\x02X\x01\x00\x00\x00n]\x8a\x01\x01au."
    for data in (protocol_0, protocol_2):
        loaded = load_ground_truth_pickle(_write(tmp_path, data))
        assert loaded == pickle.loads(data, encoding="latin1") == {"name": "café", "n": [1]}


@pytest.mark.parametrize("name", ["oxford5k", "paris6k"])
def test_published_files_are_as_pickle_reads_them(shared_data, name):
    path = shared_data / "ground_truth" / f"gnd_{name}.pkl"
    assert load_ground_truth_pickle(path) == pickle.loads(path.read_bytes())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"imlist": [x]}, lambda x: [1, {2: x}]])
def test_system_is_refused_by_name_and_does_not_run(tmp_path, protocol, wrap):
    witness = tmp_path / "ran"
    data = pickle.dumps(wrap(Calls(os.system, f"touch {witness}")), protocol)
    pickle.loads(data)
    assert witness.exists(), "the payload must work where pickle.loads reads it"
    witness.unlink()
    with pytest.raises(UserError, match=r"gnd_x\.pkl: refused.* posix\.system") as caught:
        load_ground_truth_pickle(_write(tmp_path, data))
    assert not witness.exists()
    assert "\n" not in str(caught.value)


def _touch(witness):
    return f"open({str(witness)!r}, 'w').close()"


RUNNING = {
    "eval": (r"(__)?builtins?(__)?\.eval", lambda w: Calls(eval, _touch(w))),
    "exec": (r"(__)?builtins?(__)?\.exec", lambda w: Calls(exec, _touch(w))),
    "open": (r"(__)?builtins?(__)?\.open|io\.open", lambda w: Calls(open, str(w), "w")),
    "subprocess": (
        r"(subprocess|commands)\.check_call",
        lambda w: Calls(subprocess.check_call, ["touch", str(w)]),
    ),
    "nested getattr": (
        r"(__)?builtins?(__)?\.getattr",
        lambda w: Calls(Calls(getattr, Calls(__import__, "os"), "system"), f"touch {w}"),
    ),
    "getattr of data": (
        r"(__)?builtins?(__)?\.getattr",
        lambda w: Calls(Calls(getattr, Calls(open, str(w), "w"), "close")),
    ),
    "map": (
        r"(__)?builtins?(__)?\.(map|list)|itertools\.imap",
        lambda w: Calls(list, Calls(map, os.system, [f"touch {w}"])),
    ),
    "partial": (
        r"functools\.partial",
        lambda w: Calls(functools.partial(os.system, f"touch {w}")),
    ),
    "method": (r"pathlib\.|(__)?builtins?(__)?\.getattr", lambda w: Calls(Path(w).touch)),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", RUNNING)
def test_other_attacks_are_refused_by_name(tmp_path, protocol, case):
    name, payload = RUNNING[case]
    witness = tmp_path / "ran"
    data = pickle.dumps({"imlist": ["a"], "gnd": payload(witness)}, protocol)
    pickle.loads(data)
    assert witness.exists(), "the payload must work where pickle.loads reads it"
    witness.unlink()
    with pytest.raises(UserError, match=f"refused, because the pickle asks for ({name})"):
        load_ground_truth_pickle(_write(tmp_path, data))
    assert not witness.exists()


OTHERS = {
    "copyreg": (r"copy_?reg\.add_extension", Calls(copyreg.add_extension, "os", "system", 241)),
    "reconstructor": (r"copy_?reg\._reconstructor|test_benchmark_unpickle\.Plain", Plain()),
    "ordered": (r"collections\.OrderedDict", collections.OrderedDict(a=1)),
    "array": (r"numpy\.", np.arange(3)),
    "array of objects": (r"numpy\.", np.array([{}], object)),
    "scalar": (r"numpy\.", np.float64(1.5)),
    "load": (r"numpy\.", Calls(np.load, "x.npy", None, True)),
    "complex": (r"(__)?builtins?(__)?\.complex", 1j),
    "bytearray": (r"(__)?builtins?(__)?\.bytearray|the instruction BYTEARRAY8", bytearray(b"x")),
    "range": (r"(__)?builtins?(__)?\.x?range", range(3)),
    "class": (r"(__)?builtins?(__)?\.dict", dict),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("case", OTHERS)
def test_other_globals_are_refused_by_name(tmp_path, protocol, case):
    name, payload = OTHERS[case]
    data = pickle.dumps([payload], protocol)
    with pytest.raises(UserError, match=f"refused, because the pickle asks for ({name})"):
        load_ground_truth_pickle(_write(tmp_path, data))
    assert ("os", "system") not in copyreg._extension_registry


RAW = {
    # The text protocol, by hand.
    "global": (b"cos\nsystem\n(S'touch WITNESS'\ntR.", r"os\.system"),
    "inst": (b"(S'touch WITNESS'\nios\nsystem\n.", r"os\.system"),
    "obj": (b"(cos\nsystem\nS'touch WITNESS'\no.", r"os\.system"),
    "inst of a set": (b"((lp0\nlibuiltins\nset\n.", r"builtins\.set"),
    "obj of a set": (b"(cbuiltins\nset\n(lo.", "the instruction OBJ"),
    "newobj": (b"\x80\x02cbuiltins\neval\n)\x81.", r"builtins\.eval"),
    "stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"os\.system"),
    "dotted": (b"\x80\x04\x8c\x08builtins\x8c\x0cset.__init__\x93.", r"builtins\.set\.__init__"),
    "persistent id": (b"Pwhatever\n.", r"a persistent id \(whatever\)"),
    "binary persistent id": (b"\x80\x02K\x01Q.", "a persistent id"),
    "endless persistent id": (
        b"\x80\x02)" + b"".join(b"q\x000(" + b"h\x00" * 10 + b"t" for _ in range(60)) + b"Q.",
        "a persistent id;",
    ),
    "extension 1": (b"\x80\x02\x82\xf0.", "extension code 240"),
    "extension 2": (b"\x80\x02\x83\xf0\x01.", "extension code 496"),
    "extension 4": (b"\x80\x02\x84\xf0\x01\x00\x01.", "extension code"),
    "build": (b"\x80\x02}}b.", "the instruction BUILD"),
    "newobj of data": (b"\x80\x02])\x81.", "the instruction NEWOBJ"),
    "newobj_ex": (b"\x80\x04])}\x92.", "the instruction NEWOBJ_EX"),
    "buffer": (b"\x80\x05\x97.", "the instruction NEXT_BUFFER"),
    "bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 1) + b"x.", "the instruction BYTEARRAY8"),
    "newline in a name": (b"\x80\x04\x8c\x02os\x8c\x03a\nb\x93.", r"os\.a\\nb"),
}


@pytest.mark.parametrize("case", RAW)
def test_hand_written_attacks(tmp_path, case):
    data, name = RAW[case]
    witness = tmp_path / "ran"
    data = data.replace(b"WITNESS", bytes(witness))
    with pytest.raises(UserError, match=f"refused, because the pickle asks for {name}") as caught:
        load_ground_truth_pickle(_write(tmp_path, data))
    assert not witness.exists() and "\n" not in str(caught.value)


def test_registered_extensions_are_refused(tmp_path):
    witness = tmp_path / "ran"
    copyreg.add_extension("posix", "system", 240)
    try:
        data = pickle.dumps(Calls(os.system, f"touch {witness}"), 2)
        assert b"\x82\xf0" in data
        pickle.loads(data)  # also puts the function into copyreg's cache
        witness.unlink()
        with pytest.raises(UserError, match="extension code 240"):
            load_ground_truth_pickle(_write(tmp_path, data))
    finally:
        copyreg.remove_extension("posix", "system", 240)
        copyreg.clear_extension_cache()
    assert not witness.exists()


UNFINISHED = {
    "the constructor itself": b"cbuiltins\nset\n.",
    "the constructor in a list": b"(lcbuiltins\nset\na.",
    "the constructor as a key": b"(dcbuiltins\nset\nI1\ns.",
    "the constructor as its argument": b"cbuiltins\nset\n(cbuiltins\nset\ntR.",
    "a call of data": b"(l(tR.",
    "a call without a tuple": b"cbuiltins\nset\n(lR.",
    "bytes of a number": b"cbuiltins\nbytes\n(I9\ntR.",
    "another codec": b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
    "a list as a key": b"}(l]s.",
    "a tuple as a key": b"}(t]s.",
    "a key without a value": b"}(I1\nu.",
    "append to a dict": b"}I1\na.",
    "empty stack": b".",
    "a mark": b"(.",
    "no mark": b"]e.",
    "unknown memo": b"h\x07.",
    "unknown instruction": b"\xff.",
    "protocol 6": b"\x80\x06N.",
    "a number of 65 bits": b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.",
    "endless digits": b"I" + b"9" * 5000 + b"\n.",
    "negative length": b"T\xff\xff\xff\xffx.",
    "length beyond the end": b"\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "empty": b"",
    "not a pickle": b"\xff\xd8\xff\xe0JFIF",
}


@pytest.mark.parametrize("case", UNFINISHED)
def test_damaged_files(tmp_path, case):
    with pytest.raises(UserError, match=r"gnd_x\.pkl: not a complete pickle"):
        load_ground_truth_pickle(_write(tmp_path, UNFINISHED[case]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_anywhere(tmp_path, protocol):
    data = pickle.dumps(PLAIN, protocol)
    for end in range(0, len(data) - 1, 7):
        with pytest.raises(UserError, match="not a complete pickle"):
            load_ground_truth_pickle(_write(tmp_path, data[:end]))


def test_missing_and_large_files(tmp_path):
    with pytest.raises(UserError, match=r"absent\.pkl: can't be read"):
        load_ground_truth_pickle(tmp_path / "absent.pkl")
    large = tmp_path / "large.pkl"
    with large.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(UserError, match=r"large\.pkl: larger than 64 MiB"):
        load_ground_truth_pickle(large)


def test_billion_laughs_take_no_time(tmp_path):
    # Each of 200 levels is a list or tuple of ten times the level below it.
    for empty, close in ((b"]", b"(" + b"h\x00" * 10 + b"e"), (b")", b"0(" + b"h\x00" * 10 + b"t")):
        data = b"\x80\x02" + empty + b"q\x00"
        data += b"".join(
            (empty + close if empty == b"]" else b"N" + close) + b"q\x00" for _ in range(200)
        )
        begin = time.perf_counter()
        load_ground_truth_pickle(_write(tmp_path, data + b"."))
        assert time.perf_counter() - begin < 2


def test_such_a_tuple_is_not_hashed(tmp_path):
    levels = b")q\x00" + b"".join(b"0(" + b"h\x00" * 10 + b"tq\x00" for _ in range(60)) + b"0"
    for use in (b"}h\x00Ns.", b"\x8f(h\x00\x90.", b"(h\x00\x91.", b"cbuiltins\nset\n(h\x00ltR."):
        with pytest.raises(UserError, match="not a complete pickle"):
            load_ground_truth_pickle(_write(tmp_path, b"\x80\x04" + levels + use))


def test_deep_nesting_takes_no_stack(tmp_path):
    depth, found = 20_000, 1
    loaded = load_ground_truth_pickle(
        _write(tmp_path, b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    )
    while loaded:
        (loaded,), found = loaded, found + 1
    assert found == depth


def test_a_huge_memo_takes_no_memory(tmp_path):
    # pickle.loads makes room for 2**31 entries.
    assert load_ground_truth_pickle(_write(tmp_path, b"\x80\x02]r\xff\xff\xff\x7f.")) == []


def test_too_many_steps(tmp_path, monkeypatch):
    assert unpickling.MAX_STEPS == 2_000_000
    monkeypatch.setattr(unpickling, "MAX_STEPS", 20_000)
    enough = b"\x80\x02]" + b"Na" * 9_990 + b"."
    assert len(load_ground_truth_pickle(_write(tmp_path, enough))) == 9_990
    endless = b"\x80\x02]" + b"Na" * 10_000 + b"."
    with pytest.raises(UserError, match="more than 20,000 steps"):
        load_ground_truth_pickle(_write(tmp_path, endless))
    # A long list that is made a set again and again: few bytes, much work.
    long = b"](" + b"".join(b"M" + struct.pack("<H", i) for i in range(6000)) + b"eq\x00"
    again = b"cbuiltins\nset\nh\x00\x85R0" * 10
    with pytest.raises(UserError, match="more than 20,000 steps"):
        load_ground_truth_pickle(_write(tmp_path, b"\x80\x02" + long + again + b"N."))
    text = b"X" + struct.pack("<I", 6000) + b"x" * 6000 + b"q\x00"
    again = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R0" * 10
    with pytest.raises(UserError, match="more than 20,000 steps"):
        load_ground_truth_pickle(_write(tmp_path, b"\x80\x02" + text + again + b"N."))


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=60)
    | st.tuples(st.sampled_from(list(PROTOCOLS)), st.integers(0), st.integers(0, 255)).map(
        lambda t: _spoiled(*t)
    )
)
def test_noise_is_an_error_or_plain_data(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "noise.pkl"
    path.write_bytes(data)
    try:
        loaded = load_ground_truth_pickle(path)
    except UserError:
        return
    plain = (dict, list, tuple, set, frozenset, str, bytes, int, float, bool, type(None))
    assert type(loaded) in plain


def _spoiled(protocol, place, value):
    data = bytearray(pickle.dumps(PLAIN, protocol))
    data[place % len(data)] = value
    return bytes(data)


def test_builtins_are_untouched():
    assert builtins.set is set and builtins.frozenset is frozenset
