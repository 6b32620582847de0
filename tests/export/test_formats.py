"""Exports for OpenVINO and to ONNX, and in bfloat16: what is refused, and what they give."""

import numpy as np
import pytest

from darac_tf import processor
from darac_tf.data.images import read_image, resize
from darac_tf.data.labelled import spread_files
from darac_tf.describing.calibration import read_calibration
from darac_tf.engines import Calibration
from darac_tf.errors import UserError
from darac_tf.export import ExportSettings, publish
from darac_tf.export.onnx_model import resize_by_products
from darac_tf.search import ExportedModel, exported_model
from tests.export.conftest import RESOLUTIONS, card_of
from tests.helpers import write_image

PACKAGES = {"openvino": ["openvino"], "onnx": ["onnx", "tf2onnx", "onnxruntime"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "--precision=int8 is not for --format=savedmodel"),
        ({"precision": "bfloat16", "format": "openvino"}, "is not for --format=openvino"),
        ({"precision": "float16", "format": "onnx"}, "--precision=float16 is not for --format"),
        ({"compute": "bfloat16", "format": "onnx"}, "--compute=bfloat16 is not for --format=onnx"),
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


@pytest.mark.parametrize(
    ("kind", "precision"),
    [("openvino", "float32"), ("openvino", "float16"), ("openvino", "int8"), ("onnx", "float32")],
)
def test_vectors_are_those_of_the_source(model, photos, whitening, kind, precision, tmp_path):
    for package in PACKAGES[kind] + ["nncf"] * (precision == "int8"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    calibration = read_calibration(photos, 4) if precision == "int8" else None
    options = {"precision": precision, "format": kind, "calibration": calibration}
    settings = ExportSettings(RESOLUTIONS, whitening, **options)
    # Regions of a portrait lie on the transposed map, and a small image is enlarged.
    shapes = [(90, 60), (60, 90), (70, 70), (20, 25)]
    paths = [write_image(tmp_path / f"{n}.png", *shape, seed=n) for n, shape in enumerate(shapes)]
    paths = [*spread_files("--verify", photos, 4), *paths, str(tmp_path / "none.jpg")]
    (tmp_path / "none.jpg").write_bytes(b"\xff\xd8\xff nothing")
    published = publish(model, tmp_path / "out", settings, verify_paths=paths)
    found = published.verification
    assert (found.images, found.unreadable, published.dimension) == (8, 1, 4)
    assert found.min_cosine > {"float32": 0.99999, "float16": 0.9999, "int8": 0.9}[precision]
    assert card_of(published.folder)["format"] == kind
    exported = ExportedModel(published.folder)
    vectors, valid = exported([read_image(path) for path in paths])
    assert valid.tolist() == [True] * 8 + [False] and not vectors[8].any()
    np.testing.assert_allclose(np.linalg.norm(vectors[:8], axis=1), 1, atol=1e-4)
    with pytest.raises(UserError, match="is one exported model"):
        publish(model, published.folder, settings)


def test_a_damaged_model_is_refused(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="can't be loaded by ONNX Runtime: export it again"):
        ExportedModel(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [((50, 70), (20, 28)), ((50, 70), (75, 105)), ((33, 47), (33, 47)), ((5, 3), (1, 1))],
)
def test_a_resize_of_two_products_is_the_resize(before, after):
    images = np.random.default_rng(0).integers(0, 256, (2, *before, 3), np.uint8)
    np.testing.assert_allclose(
        resize_by_products(images, *after), resize(images, *after), atol=2e-4
    )


def test_an_export_that_computes_in_bfloat16(simple, photos, tmp_path, monkeypatch):
    settings = ExportSettings(RESOLUTIONS, compute="bfloat16")
    paths = spread_files("--verify", photos, 3)
    published = publish(simple, tmp_path / "out", settings, verify_paths=paths)
    # Other digits than in float32, and not many.
    assert 0.98 < published.verification.min_cosine < 0.9999999
    card = card_of(published.folder)
    assert card["precision"] == {"stored": "bfloat16", "computed": "bfloat16"}
    monkeypatch.setattr(exported_model, "has_bfloat16", lambda: True)
    vectors, valid = ExportedModel(published.folder)([read_image(paths[0])])
    assert valid.all() and vectors.shape == (1, 16)
    monkeypatch.setattr(exported_model, "has_bfloat16", lambda: False)
    with pytest.raises(UserError, match="computes in bfloat16, which this processor has not"):
        ExportedModel(published.folder)


@pytest.mark.parametrize(
    ("flags", "known"), [("sse avx2", False), ("avx2 avx512f amx_bf16", True), (None, True)]
)
def test_processors_with_bfloat16(flags, known, tmp_path):
    facts = tmp_path / "cpuinfo"
    if flags is not None:
        facts.write_text(f"processor : 0\nflags\t\t: fpu {flags}\n\nflags\t\t: fpu {flags}\n")
    assert processor.has_bfloat16(facts) is known


def test_bfloat16_in_software_is_said(monkeypatch, caplog):
    monkeypatch.setattr(processor, "has_bfloat16", lambda: False)
    for precision in ("float32", "mixed_bfloat16"):
        processor.warn_of_software(precision)
    (said,) = caplog.messages
    assert said.startswith("--precision=mixed_bfloat16: this processor computes bfloat16 in softw")
    monkeypatch.setattr(processor, "has_bfloat16", lambda: True)
    processor.warn_of_software("bfloat16")
    assert len(caplog.messages) == 1
