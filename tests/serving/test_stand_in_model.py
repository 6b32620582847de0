"""A served model: C++ `LoadSavedModel` through TensorFlow's C interface; inputs; versions."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from tests.serving.stand_in.model import LocalModel, load_versions

OK, INVALID_ARGUMENT, NOT_FOUND = 0, 3, 5


@pytest.fixture(scope="module")
def library():
    """TensorFlow's C interface, with the types of what is called."""
    found = ctypes.CDLL(str(next(Path(tf.__file__).parent.glob("libtensorflow_cc.so.*"))))
    pointer = ctypes.c_void_p
    for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_NewBuffer"):
        getattr(found, name).restype = pointer
    found.TF_GetCode.argtypes = found.TF_Message.argtypes = [pointer]
    found.TF_Message.restype = ctypes.c_char_p
    strings = ctypes.POINTER(ctypes.c_char_p)
    load = found.TF_LoadSessionFromSavedModel
    load.restype = pointer
    load.argtypes = [pointer, pointer, ctypes.c_char_p, strings, ctypes.c_int]
    load.argtypes += [pointer, pointer, pointer]
    find = found.TF_GraphOperationByName
    find.restype, find.argtypes = pointer, [pointer, ctypes.c_char_p]
    for name in ("TF_CloseSession", "TF_DeleteSession"):
        getattr(found, name).argtypes = [pointer, pointer]
    return found


def load_in_c(library, folder, tag=b"serve"):
    """`(code, message, names)` of loading: which operations of the robust signature are there."""
    status, graph = library.TF_NewStatus(), library.TF_NewGraph()
    options, meta = library.TF_NewSessionOptions(), library.TF_NewBuffer()
    tags = (ctypes.c_char_p * 1)(tag)
    session = library.TF_LoadSessionFromSavedModel(
        options, None, str(folder).encode(), tags, 1, graph, meta, status
    )
    result = library.TF_GetCode(status), library.TF_Message(status).decode()
    has_input = bool(library.TF_GraphOperationByName(graph, b"robust_image_bytes"))
    if session:
        library.TF_CloseSession(session, status)
        library.TF_DeleteSession(session, status)
    return *result, has_input


def test_the_loader_of_servers(library, small_model, tmp_path):
    assert load_in_c(library, small_model / "2") == (OK, "", True)
    code, message, _ = load_in_c(library, small_model / "2", b"train")
    assert code == NOT_FOUND and "tags" in message
    assert load_in_c(library, tmp_path)[0] == NOT_FOUND


def test_inputs_that_do_not_fit_are_the_callers_fault(small_model):
    model = LocalModel(small_model / "2", threads=1)
    wrong = [
        ("robust", {"pixels": np.zeros(1)}),
        ("robust", {"image_bytes": np.zeros(3, np.float32)}),
        ("robust", {"image_bytes": np.array(b"x", object)}),
        ("pixels", {"pixels": np.zeros((1, 8, 8, 4), np.uint8)}),
        ("none", {}),
    ]
    for signature, inputs in wrong:
        with pytest.raises(tf.errors.InvalidArgumentError):
            model.run(signature, inputs)
    pixels = np.full((2, 8, 9, 3), 7, np.uint8)
    assert model.run("pixels", {"pixels": pixels})["descriptor"].shape == (2, 48)
    model.close()


def test_versions(small_model, tmp_path):
    for only_newest, numbers in ((True, [2]), (False, [1, 2])):
        versions = load_versions(small_model, only_newest, threads=1)
        assert sorted(versions) == numbers
        for model in versions.values():
            model.close()
    (tmp_path / "a" / "latest").mkdir(parents=True)
    (tmp_path / "b" / "1").mkdir(parents=True)
    for base, message in ((tmp_path / "a", "has no version"), (tmp_path / "none", "no version")):
        with pytest.raises(UserError, match=message):
            load_versions(base)
    with pytest.raises(UserError, match="no SavedModel"):
        load_versions(tmp_path / "b")
