"""A small model, exported once for all tests of the export."""

import json

import pytest
import tensorflow as tf

from darac_tf.export import ExportSettings, publish
from darac_tf.models import build_descriptor
from tests.helpers import write_backbone

RESOLUTIONS = (32, 48)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return build_descriptor(write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras"))


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """Folder of a version."""
    out = tmp_path_factory.mktemp("export") / "small"
    return publish(model, out, ExportSettings(RESOLUTIONS)).folder


@pytest.fixture(scope="session")
def loaded(exported):
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="session")
def serve(loaded):
    """Function of a list of image bytes to the arrays of a signature."""

    def run(images, signature="serving_default"):
        found = loaded.signatures[signature](image_bytes=tf.constant(images, tf.string))
        return {name: value.numpy() for name, value in found.items()}

    return run


def card_of(folder):
    """The model card of a version."""
    return json.loads((folder / "assets.extra" / "model_card.json").read_text())
