"""A small exported model with the signature that the search relies on, and a stand-in for one."""

import hashlib
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

DIMENSION = 48


class _SmallModel(tf.Module):
    """Colours of a 4 x 4 reduction, scaled to unit length."""

    def __init__(self, shift):
        super().__init__()
        self._shift = tf.Variable(shift, dtype=tf.float32)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False
    )
    def robust(self, image_bytes):
        spec = (tf.TensorSpec([DIMENSION], tf.float32), tf.TensorSpec([], tf.bool))
        vectors, valid = tf.map_fn(self._describe, image_bytes, fn_output_signature=spec)
        return {"descriptor": vectors, "valid": valid}

    def _describe(self, data):
        # Enough to tell the tests' good files from their bad ones.
        valid = tf.cond(
            tf.strings.length(data) > 16,
            lambda: (
                (tf.strings.substr(data, 1, 3) == "PNG")
                & (tf.strings.substr(data, -8, 4) == "IEND")
            ),
            lambda: tf.constant(False),
        )
        return tf.cond(valid, lambda: self._vector(data), lambda: tf.zeros(DIMENSION)), valid

    def _vector(self, data):
        image = tf.cast(tf.io.decode_png(data, channels=3), tf.float32)
        small = tf.image.resize(image, [4, 4], antialias=True) / 255 + self._shift
        return tf.math.l2_normalize(tf.reshape(small, [-1]))


def write_model(folder, shift=-0.5):
    """Writes the SavedModel to a folder; models of different shifts differ."""
    model = _SmallModel(shift)
    tf.saved_model.save(model, str(folder), signatures={"robust": model.robust})
    return Path(folder)


class StandIn:
    """In place of `ExportedModel`, without TensorFlow: vectors from a hash of the content.

    Args:
        seconds: What each call takes.

    Attributes:
        described: The contents that were described, in order.
    """

    fingerprint, stamp = "0" * 32, "0" * 32
    folder = Path("/nowhere/1")
    dimension = DIMENSION
    is_upright, max_pixels, no_image = True, 10**8, "cannot be decoded"

    def __init__(self, seconds=0.0):
        self.described = []
        self._seconds = seconds

    @staticmethod
    def prepared(data):
        return data

    def __call__(self, data):
        time.sleep(self._seconds)
        self.described += data
        valid = np.array([not content.startswith(b"bad") for content in data])
        vectors = np.stack([vector_of(content) for content in data])
        return vectors * valid[:, None], valid


def vector_of(content):
    """The unit vector that `StandIn` gives for a content, float32 `(48,)`."""
    seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
