"""The SavedModel: the same vectors as evaluation, in a process that knows nothing of darac_tf."""

import subprocess
import sys

import numpy as np
import pytest

from darac_tf.describing.extraction import extract_features
from darac_tf.describing.sizes import parse_sizes
from darac_tf.errors import UserError
from darac_tf.export import export_saved_model
from darac_tf.models import build_descriptor
from darac_tf.whitening import fit_pca_whitening
from tests.helpers import write_backbone, write_image

SERVE = """
import sys, numpy as np, tensorflow as tf
sys.modules["darac_tf"] = None
sys.modules["keras"] = None
folder, out, *paths = sys.argv[1:]
served = tf.saved_model.load(folder).signatures["serving_default"]
images = tf.constant([open(path, "rb").read() for path in paths])
np.save(out, served(image_bytes=images)["descriptor"].numpy())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_descriptor(write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras"))


def serve_elsewhere(folder, paths, tmp_path):
    """Descriptors from a fresh process, outside the project's folder."""
    out = tmp_path / "served.npy"
    command = [sys.executable, "-c", SERVE, str(folder), str(out), *paths]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return np.load(out)


@pytest.mark.parametrize("whitened", [False, True])
def test_same_vectors_as_evaluation(model, whitened, tmp_path):
    sizes = [(40, 56), (80, 50), (33, 33), (64, 90), (120, 40), (21, 60)]
    paths = [
        write_image(tmp_path / f"{i}.{kind}", *size, seed=i)
        for i, (size, kind) in enumerate(zip(sizes, ["jpg", "png"] * 3, strict=True))
    ]
    resolutions = (32, 64, 96)
    features = extract_features(lambda x: {"d": model(x)}, paths, resolutions, progress=False)
    expected = features.vectors("d")
    whitening = fit_pca_whitening(expected[:], 3) if whitened else None
    if whitened:
        expected = expected.whitened(whitening)
    dimension = export_saved_model(model, tmp_path / "export" / "1", resolutions, whitening)
    served = serve_elsewhere(tmp_path / "export" / "1", paths, tmp_path)
    assert served.shape == (6, dimension) and served.dtype == np.float32
    np.testing.assert_allclose(served, expected[:], atol=1e-5)


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
    whitening = fit_pca_whitening(descriptors, 4, {"resolutions": ["32"]})
    with pytest.raises(UserError, match=r"fitted at the resolutions 32, .* for 32,48"):
        export_saved_model(model, tmp_path / "x", (32, 48), whitening)


def test_factors_and_the_generalised_mean(model, tmp_path):
    path = write_image(tmp_path / "a.jpg", 40, 56)
    sizes = parse_sizes("32,x0.5")
    features = extract_features(lambda x: {"d": model(x)}, [path], sizes, progress=False)
    expected = features.vectors("d", None, "gmean", 3.0)
    export_saved_model(model, tmp_path / "model", sizes, None, "gmean", 3.0)
    served = serve_elsewhere(tmp_path / "model", [path], tmp_path)
    np.testing.assert_allclose(served, expected[:], atol=1e-5)
