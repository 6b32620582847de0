"""A small model and its exports, each made once for all tests."""

import json

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.exif import orientation_of, turn_upright
from darac_tf.data.headers import image_header
from darac_tf.data.images import decode_in_graph
from darac_tf.data.labelled import spread_files
from darac_tf.describing.combination import combine_resolutions
from darac_tf.describing.sizes import Factor, LongSide
from darac_tf.export import ExportSettings, export_saved_model, publish, publishing
from darac_tf.export.model_card import CardFacts
from darac_tf.models import build_descriptor
from darac_tf.models.folding import Folding
from darac_tf.whitening import fit_pca_whitening
from tests.helpers import write_backbone, write_collection

RESOLUTIONS = (32, 48)
MOST_PIXELS = 4 * 40 * 56


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return build_descriptor(write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras"))


@pytest.fixture(scope="session")
def simple(tmp_path_factory):
    """The same with the pooling of fewest operations, where another makes no difference."""
    backbone = write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras")
    return build_descriptor(backbone, pooling="spoc")


@pytest.fixture(scope="session")
def described(model):
    """Function of the bytes of one image to its vector, the plain way."""
    network = tf.function(model, [tf.TensorSpec([1, None, None, 3])], autograph=False)

    def describe(data):
        image = decode_as_exported(data)
        sized = [LongSide(r).resize(image)[tf.newaxis] for r in RESOLUTIONS]
        return combine_resolutions([network(pixels) for pixels in sized])[0]

    return describe


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Folder of sixteen images."""
    return write_collection(tmp_path_factory.mktemp("photos") / "set")


@pytest.fixture(scope="session")
def published(model, photos, tmp_path_factory):
    """A version that was verified on ten photos."""
    out, paths = tmp_path_factory.mktemp("export") / "small", spread_files("--verify", photos, 10)
    return publish(model, out, ExportSettings(RESOLUTIONS), verify_paths=paths)


@pytest.fixture(scope="session")
def exported(published):
    """Folder of that version."""
    return published.folder


@pytest.fixture(scope="session")
def loaded(exported):
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="session")
def whitening():
    """From 16 dimensions to 4."""
    descriptors = np.random.default_rng(0).normal(size=(40, 16))
    return fit_pca_whitening(descriptors, 4, {"resolutions": ["32", "48"], "images": "some|photos"})


@pytest.fixture(scope="session")
def known(whitening, tmp_path_factory):
    """`CardFacts` with all that a card may say."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text('{"loss": "nra", "steps": 3}')
    whitening.save(folder / "w.npz")
    row = {
        "descriptor": "elsewhere/run", "dimension": 4, "resolutions": [32, "48"],
        "dataset": "photos", "protocol": "plain", "scores": {"mAP (plain)": 0.5},
    }  # fmt: skip
    others = [row | {"dimension": 16}, row | {"descriptor": "b"}, row | {"resolutions": [32]}]
    (folder / "report.json").write_text(json.dumps({"results": [*others, row]}))
    paths = [str(folder / name) for name in ("run", "w.npz", "report.json")]
    return CardFacts("fine", *paths, "python x")


@pytest.fixture(scope="session")
def whitened(simple, whitening, known, tmp_path_factory):
    """Folder of a version with whitening and a full card."""
    out = tmp_path_factory.mktemp("export") / "white"
    return publish(simple, out, ExportSettings(RESOLUTIONS, whitening), known).folder


@pytest.fixture(scope="session")
def limited(simple, tmp_path_factory):
    """A SavedModel that doubles images and takes none of more than `MOST_PIXELS` then."""
    folder = tmp_path_factory.mktemp("limited") / "m"
    export_saved_model(simple, folder, (Factor(2),), max_pixels=MOST_PIXELS)
    return folder


@pytest.fixture
def no_model(monkeypatch):
    """Lets `publish` write an empty folder where the SavedModel does not matter."""

    def write(model, folder, settings):
        folder.mkdir()
        return 16 if settings.whitening is None else 4, Folding(0, 0)

    monkeypatch.setattr(publishing, "_write_saved_model", write)


@pytest.fixture(scope="session")
def serve(loaded):
    """Function of a list of image bytes to the arrays of a signature."""

    def run(images, signature="serving_default"):
        found = loaded.signatures[signature](image_bytes=tf.constant(images, tf.string))
        return {name: value.numpy() for name, value in found.items()}

    return run


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def decode_as_exported(data):
    """RGB of an image file by the ops of an export, each file alone; an error if it has no size."""
    has_size = tf.reduce_all(image_header(data, 10**9) > 0)
    with tf.control_dependencies([tf.debugging.Assert(has_size, ["no size"])]):
        data = tf.identity(data)
    return turn_upright(decode_in_graph(data), orientation_of(data))


def card_of(folder):
    """The model card of a version."""
    return json.loads((folder / "assets.extra" / "model_card.json").read_text())
