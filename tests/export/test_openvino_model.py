"""Exports for OpenVINO: what is refused without it, and what they give where it is installed."""

import numpy as np
import pytest

from darac_tf.data.images import read_image
from darac_tf.data.labelled import spread_files
from darac_tf.describing.calibration import read_calibration
from darac_tf.engines import Calibration
from darac_tf.errors import UserError
from darac_tf.export import ExportSettings, publish
from darac_tf.search import ExportedModel
from tests.export.conftest import RESOLUTIONS, card_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "--precision=int8 is not for --format=savedmodel"),
        ({"precision": "bfloat16", "format": "openvino"}, "is not for --format=openvino"),
        ({"precision": "int8", "format": "openvino"}, "int8 needs --calibration"),
        ({"calibration": Calibration([], "")}, "--calibration is for --precision=int8"),
    ],
)
def test_settings_that_do_not_fit(options, message):
    with pytest.raises(UserError, match=message):
        ExportSettings(RESOLUTIONS, **options)


def test_calibration_is_known_by_its_pixels(photos):
    some, again, other = (read_calibration(photos, count) for count in (3, 3, 4))
    assert some.identity == again.identity != other.identity
    assert len(some.images) == 3 and max(some.images[0].shape) == 299


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_vectors_are_those_of_the_source(model, photos, whitening, precision, tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    calibration = None
    if precision == "int8":
        pytest.importorskip("nncf", reason="nncf is not installed")
        calibration = read_calibration(photos, 4)
    options = {"precision": precision, "format": "openvino", "calibration": calibration}
    settings = ExportSettings(RESOLUTIONS, whitening, **options)
    paths = [*spread_files("--verify", photos, 4), str(tmp_path / "none.jpg")]
    (tmp_path / "none.jpg").write_bytes(b"\xff\xd8\xff nothing")
    published = publish(model, tmp_path / "out", settings, verify_paths=paths)
    found = published.verification
    assert (found.images, found.unreadable, published.dimension) == (4, 1, 4)
    assert found.min_cosine > {"float32": 0.99999, "float16": 0.9999, "int8": 0.9}[precision]
    assert card_of(published.folder)["format"] == "openvino"
    exported = ExportedModel(published.folder)
    vectors, valid = exported([read_image(path) for path in paths])
    assert valid.tolist() == [True] * 4 + [False] and not vectors[4].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:4], axis=1), 1, atol=1e-4)
    with pytest.raises(UserError, match="is one exported model"):
        publish(model, published.folder, settings)
