"""Exported models as the search uses them."""

import os

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.search import ExportedModel
from tests.search.collection import write_file
from tests.search.small_model import DIMENSION


def test_the_model_is_what_its_files_are(model, other_model, tmp_path):
    assert model.dimension == DIMENSION
    assert other_model.fingerprint != model.fingerprint
    copy = tmp_path / "copy"
    for path in model.folder.rglob("*"):
        if path.is_file():
            write_file(copy / path.relative_to(model.folder), path.read_bytes())
    write_file(copy / "assets.extra" / "model_card.json", b"{}")
    copied = ExportedModel(copy)
    assert copied.fingerprint == model.fingerprint
    # Files that were read before are not read again; others are, though only their times differ.
    assert ExportedModel(copy, (copied.stamp, "known")).fingerprint == "known"
    os.utime(copy / "saved_model.pb", ns=(0, 0))
    assert ExportedModel(copy, (copied.stamp, "known")).fingerprint == model.fingerprint
    with pytest.raises(UserError, match=r"--model: no saved_model.pb in .*; give one of its ver"):
        ExportedModel(model.folder.parent)
    with pytest.raises(UserError, match=r"no saved_model.pb in .*/nothing$"):
        ExportedModel(tmp_path / "nothing")
    write_file(copy / "saved_model.pb", b"damaged")
    with pytest.raises(UserError, match="can't be loaded as a SavedModel"):
        ExportedModel(copy)


class _Odd(tf.Module):
    """A model that does not keep to the contract."""

    def __init__(self, length):
        super().__init__()
        self._length = length

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def robust(self, image_bytes):
        ok = tf.strings.length(image_bytes) > 0
        vectors = tf.cast(ok, tf.float32)[:, None] * tf.constant([self._length, 0.0])
        return {"descriptor": vectors, "valid": ok}


def test_models_that_do_not_keep_to_the_contract(tmp_path):
    for length in (0.5, 2.0):
        odd, folder = _Odd(length), tmp_path / str(length)
        tf.saved_model.save(odd, str(folder), signatures={"robust": odd.robust})
        with pytest.raises(UserError, match="descriptors of another length than 1"):
            ExportedModel(folder)([b"\xff\xd8\xff image"])
    # Not a number counts as an image that can't be described.
    nan = _Odd(np.nan)
    tf.saved_model.save(nan, str(tmp_path / "nan"), signatures={"robust": nan.robust})
    assert not ExportedModel(tmp_path / "nan")([b"\xff\xd8\xff image"])[1].any()
    tf.saved_model.save(odd, str(tmp_path / "other"), signatures={"serve": odd.robust})
    with pytest.raises(UserError, match="has no signature 'robust'"):
        ExportedModel(tmp_path / "other")
