"""Extraction: one trace for many shapes, the order of the paths, bad images named."""

from pathlib import Path

import numpy as np
import pytest

from darac_tf.data.images import decode_image, resize_long_side
from darac_tf.errors import UserError
from darac_tf.evaluation.extraction import Extractor
from darac_tf.models import build_descriptor
from tests.helpers import write_backbone, write_image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_descriptor(write_backbone(tmp_path_factory.mktemp("backbone") / "small.keras"))


def test_fifty_shapes_in_one_trace_and_in_order(model, tmp_path):
    shapes = [(30 + i, 81 - i) for i in range(50)]
    paths = [write_image(tmp_path / f"{i}.png", *s, seed=i) for i, s in enumerate(shapes)]
    extractor = Extractor(lambda x: {"d": model(x)}, paths, progress=False)
    found = extractor.extract(64)["d"]
    assert extractor.traces == 1
    for path, vector in zip(paths, found, strict=True):
        pixels = resize_long_side(decode_image(Path(path).read_bytes()), 64)
        np.testing.assert_allclose(model(pixels[None])[0], vector, atol=1e-5)


def test_batch_size_changes_nothing(model, tmp_path):
    paths = [write_image(tmp_path / f"{i}.jpg", seed=i) for i in range(7)]
    alone, together = (
        Extractor(lambda x: {"d": model(x)}, paths, pixels, progress=False).extract(48)["d"]
        for pixels in (1, 10**6)
    )
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_a_bad_image_is_named(model, tmp_path):
    paths = [write_image(tmp_path / f"{i}.jpg", 80, 90, seed=i) for i in range(30)]
    data = (tmp_path / "17.jpg").read_bytes()
    (tmp_path / "17.jpg").write_bytes(data[: len(data) // 2])
    extractor = Extractor(lambda x: {"d": model(x)}, paths, 9000, progress=False)
    with pytest.raises(UserError, match=r"17\.jpg: cannot be decoded"):
        extractor.extract(64)
