"""The DELF network in one Keras model: pixels to local features and their attention."""

from pathlib import Path

import keras

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.layers import L2Normalization
from darac_tf.models.backbones import load_keras_model

DELF_MODEL = "delf.keras"
PCA_FILE = "pca.npz"
_FEATURES, _ATTENTION = "local_features", "attention"


def build_delf(inner, preprocessing, scores):
    """Puts the parts together.

    Args:
        inner: Network up to an inner layer, of `inner.inner_model`.
        preprocessing: The `Preprocessing` of its backbone.
        scores: `AttentionScores`.

    Returns:
        Keras model of RGB pixels in [0, 255] `(batch, height, width, 3)` to float32 unit vectors
        `(batch, rows, columns, channels)` and float32 attention `(batch, rows, columns)`.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    maps = inner(preprocessing(pixels), training=False)
    features = L2Normalization(name=_FEATURES, dtype="float32")(maps)
    return keras.Model(pixels, [features, scores(maps)], name=f"delf_{inner.name}")


def save_delf(model, path):
    """Writes the model as a `.keras` file, the whole of it or nothing.

    Raises:
        UserError: If the file can't be written there, or its name does not end in `.keras`.
    """
    if Path(path).suffix != ".keras":
        raise UserError(f"{path}: name the file of the model with .keras at its end")
    with atomic_path(path) as temporary:
        model.save(temporary)


def load_delf(path):
    """Reads what `save_delf` wrote.

    Args:
        path: The file, or a folder with a `delf.keras` in it.

    Raises:
        UserError: If there is none, or it holds another kind of model.
    """
    path = Path(path)
    path = path / DELF_MODEL if path.is_dir() else path
    model = load_keras_model(path)
    names = {layer.name for layer in model.layers}
    if not {_FEATURES, _ATTENTION} <= names or len(model.outputs) != 2:
        raise UserError(f"{path}: is no model of local features; train one first")
    return model
