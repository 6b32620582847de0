"""The SavedModel: the same vectors as evaluation, in a process that knows nothing of darac_tf."""

import dataclasses
import functools

import numpy as np
import pytest
from PIL import Image

from darac_tf.choices import DEFAULT_MAX_PIXELS
from darac_tf.data.views import ImageList
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.sizes import parse_sizes
from darac_tf.engines import FunctionEngine
from darac_tf.errors import UserError
from darac_tf.export import export_saved_model
from darac_tf.search.exported_model import ExportedModel
from darac_tf.whitening import fit_pca_whitening
from tests.export import kinds
from tests.export.conftest import RESOLUTIONS
from tests.helpers import write_image
from tests.photographs import expected as expected_rgb
from tests.photographs import file_of

SERVE = """
import sys, numpy as np, tensorflow as tf
sys.modules["darac_tf"] = None
sys.modules["keras"] = None
out, images, *folders = sys.argv[1:]
images = tf.constant([open(path, "rb").read() for path in images.split(",")])
for folder in folders:
    served = tf.saved_model.load(folder).signatures["serving_default"]
    np.save(f"{out}/{folders.index(folder)}.npy", served(image_bytes=images)["descriptor"].numpy())
"""
MIXED, MEAN = parse_sizes("32,x0.5"), ("gmean", 3.0)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    sizes = [(40, 56), (80, 50), (33, 33), (64, 90), (120, 40), (21, 60)]
    return [
        write_image(folder / f"{i}.{kind}", *size, seed=i)
        for i, (size, kind) in enumerate(zip(sizes, ["jpg", "png"] * 3, strict=True))
    ]


@pytest.fixture(scope="module")
def stored(simple, tmp_path_factory):
    """Folder of an export of the generalised mean at `MIXED`, of images as they are stored."""
    folder = tmp_path_factory.mktemp("stored") / "mean"
    how = {"combination": MEAN[0], "exponent": MEAN[1], "orientation": "stored"}
    assert export_saved_model(simple, folder, MIXED, **how) == 16
    return folder


@pytest.fixture(scope="module")
def served(run_command, exported, whitened, stored, paths, tmp_path_factory):
    """Descriptors of three exports from one process, outside the project's folder."""
    out = tmp_path_factory.mktemp("served")
    folders = [exported, whitened, stored]
    words = ["-c", SERVE, out, ",".join(paths), *folders]
    status, _, last = run_command(*words, folder=out, bare=True)
    assert status == 0, last
    plain, white, mean = (np.load(out / f"{number}.npy") for number in range(3))
    assert mean.shape == (6, 16)
    return {"plain": plain, "whitened": white, "mean": mean}


@functools.cache
def engine_of(model):
    return FunctionEngine(lambda x: {"d": model(x)})


def evaluated(model, paths, sizes, *combination):
    features = extract_features(engine_of(model), paths, sizes, progress=False)
    return features.vectors("d", None, *combination)


def test_same_vectors_as_evaluation(model, simple, served, paths, whitening):
    expected = evaluated(model, paths, RESOLUTIONS)
    assert served["plain"].dtype == np.float32
    np.testing.assert_allclose(served["plain"], expected[:], atol=1e-5)
    expected = evaluated(simple, paths, RESOLUTIONS).whitened(whitening)
    np.testing.assert_allclose(served["whitened"], expected[:], atol=1e-5)


def test_factors_and_the_generalised_mean(simple, served, paths):
    expected = evaluated(simple, paths, MIXED, *MEAN)
    np.testing.assert_allclose(served["mean"], expected[:], atol=1e-5)


def test_refused(model, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match="not empty"):
        export_saved_model(model, tmp_path / "full", (32,))
    descriptors = np.random.default_rng(0).normal(size=(20, 8))
    with pytest.raises(UserError, match="descriptors of 8 dimensions, and these have 16"):
        export_saved_model(model, tmp_path / "new", (32,), fit_pca_whitening(descriptors))
    assert not (tmp_path / "new").exists()


def test_a_whitening_of_other_resolutions_is_refused(model, tmp_path):
    descriptors = np.random.default_rng(0).normal(size=(40, 16))
    whitening = fit_pca_whitening(descriptors, 4, {"resolutions": ["32", "64"]})
    with pytest.raises(UserError, match=r"fitted at the resolutions 32,64, .* for 32,48"):
        export_saved_model(model, tmp_path / "x", (32, 48), whitening)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_images_are_turned_upright_in_the_graph(serve, described, form):
    files = [file_of(form, "RGB", 40, 56, o, "<>"[o % 2]) for o in range(1, 9)]
    upright = [kinds.encoded(Image.fromarray(expected_rgb(data)), "PNG") for data in files]
    found = serve(files)["descriptor"]
    np.testing.assert_allclose(found, [described(data) for data in upright], atol=1e-5)


def test_an_export_that_leaves_images_as_stored(simple, stored, tmp_path):
    lying = file_of("JPEG", "RGB", 40, 56, 6)
    (tmp_path / "lying.jpg").write_bytes(lying)
    plain = file_of("JPEG", "RGB", 40, 56)
    exported = ExportedModel(stored)
    assert not exported.is_upright and exported.max_pixels == DEFAULT_MAX_PIXELS
    vectors, valid = exported([lying, plain, file_of("TIFF", "CMYK", 40, 56)])
    assert valid.all()
    path = np.array([str(tmp_path / "lying.jpg")])
    as_stored, upright = (
        evaluated(simple, ImageList(path, upright=turned), MIXED, *MEAN) for turned in (False, True)
    )
    np.testing.assert_allclose(vectors[:1], as_stored[:], atol=1e-5)
    np.testing.assert_allclose(*vectors[:2], atol=1e-5)
    assert np.abs(vectors[0] - upright[:][0]).max() > 1e-3


def test_a_whitening_of_images_that_lie_is_refused(simple, whitening, tmp_path):
    facts = {**whitening.provenance, "orientation": "stored"}
    other = dataclasses.replace(whitening, provenance=facts)
    with pytest.raises(UserError, match="--orientation=stored, which is upright now"):
        export_saved_model(simple, tmp_path / "x", RESOLUTIONS, other)
