"""Descriptors: a backbone, a pooling and an L2 normalisation in one Keras model."""

from pathlib import Path

import keras
import tensorflow as tf

from darac_tf import layers
from darac_tf.errors import UserError
from darac_tf.files import exists
from darac_tf.hugging_face import local_copy
from darac_tf.models.backbones import BEST_MODEL, build_backbone, load_keras_model
from darac_tf.models.backbones import backbone_of as backbone_of  # For those who use descriptors.

# To add a pooling: write its layer in `darac_tf.layers`, and name it here and in
# `choices.POOLINGS`.
POOLINGS = {
    "spoc": layers.SPoC,
    "mac": layers.MAC,
    "gem": layers.GeM,
    "rmac": layers.RMAC,
    "rmac_whitened": layers.WhitenedRMAC,
    "ramac": layers.RAMAC,
    "darac": layers.DARAC,
}
POOLING_LAYER = "pooling"
LAST_MODEL = "last.keras"


def make_pooling(name, **options):
    """The pooling layer called `name`; UserError if that is no key of `POOLINGS`."""
    if name not in POOLINGS:
        raise UserError(f"pooling {name!r} is unknown; choose from {', '.join(POOLINGS)}")
    return POOLINGS[name](name=POOLING_LAYER, **options)


def build_descriptor(
    backbone="ResNet50V2", weights=None, pooling="darac", layer=None, **pooling_options
):
    """A descriptor: `(batch, height, width, 3)` pixels to `(batch, channels)` unit vectors.

    Keras model of RGB pixels in [0, 255], any dtype, height and width, to float32 vectors, of a key
    of `POOLINGS` with arguments of its layer; the others are those of `build_backbone`. `UserError`
    as of that and `make_pooling`.

    Source: DARAC (arXiv 1909.09420), whose system is ResNet50V2 with DARAC pooling.
    """
    pooling = make_pooling(pooling, **pooling_options)  # First: it takes no time to be refused.
    network, preprocessing = build_backbone(backbone, weights, layer)
    return compose(network, preprocessing, pooling)


def compose(network, preprocessing, pooling):
    """Puts the parts of a descriptor together; `backbone_of` takes them apart again."""
    pixels = keras.Input((None, None, 3), name="pixels")
    feature_maps = network(preprocessing(pixels))
    vectors = layers.L2Normalization(name="descriptor", dtype="float32")(pooling(feature_maps))
    return keras.Model(pixels, vectors, name=f"{network.name}_{type(pooling).__name__.lower()}")


def load_descriptor(path):
    """Reads a descriptor: a `.keras` file, or a run directory, whose best model it takes.

    `BACKBONE+POOLING` is the pooling on a backbone of `build_backbone`, nothing of it trained for
    retrieval; `hf://USER/NAME` is a run on the Hugging Face hub, see `hugging_face`. `UserError` if
    there is none, or the file holds another kind of model.
    """
    backbone, plus, pooling = str(path).rpartition("+")
    if plus and not exists(path):
        return build_descriptor(backbone, pooling=pooling)
    path = Path(local_copy(path))
    if path.is_dir():
        if not (path / BEST_MODEL).is_file():
            raise UserError(f"{path}: no {BEST_MODEL} in it; give a run directory of train.py")
        path = path / BEST_MODEL
    model = load_keras_model(path)
    if POOLING_LAYER not in {layer.name for layer in model.layers}:
        raise UserError(f"{path}: is no descriptor; as a backbone, write {path}+POOLING")
    return model


def share_backbone(network, preprocessing, poolings):
    """One pass of a backbone, several descriptors of it.

    With `poolings` a dictionary of name to pooling layer, this is a function of pixels `(batch,
    height, width, 3)` to a dictionary of name to unit vectors `(batch, channels)`.
    """

    def describe(pixels):
        feature_maps = network(preprocessing(pixels), training=False)
        # An image may be too small for a network, and poolings would make anything of no cell.
        tf.debugging.assert_positive(tf.shape(feature_maps), "the feature map is empty")
        return {name: layers.l2_normalize(pool(feature_maps)) for name, pool in poolings.items()}

    return describe
