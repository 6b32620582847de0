"""JPEG at a part of its size: ratios by their definition, pixels near those of the whole."""

import io

import numpy as np
import pytest
from PIL import Image

from darac_tf.data.images import decode_image
from darac_tf.data.scaled_decoding import RATIOS, are_jpeg, decode_scaled, decoding_ratios
from darac_tf.describing.sizes import Factor, LongSide


def _picture(height, width, seed=0):
    """Smooth shapes, as photographs have."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.BICUBIC)


def _bytes(picture, kind="JPEG"):
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("size", [(640, 960), (301, 267)])
def test_sides_are_divided_and_pixels_near_a_mean(ratio, size):
    data = _bytes(_picture(*size))
    found = decode_scaled(data, ratio).numpy()
    assert found.shape == (*(-(-side // ratio) for side in size), 3)
    full = decode_image(data).numpy()[: size[0] // ratio * ratio, : size[1] // ratio * ratio]
    means = full.reshape(size[0] // ratio, ratio, size[1] // ratio, ratio, 3).mean(axis=(1, 3))
    inner = found[: means.shape[0], : means.shape[1]].astype(float)
    assert np.abs(inner - means).mean() < 2


@pytest.mark.parametrize(
    "sizes", [[LongSide(40)], [LongSide(11), LongSide(30)], [Factor(0.5)], [Factor(0.2)]]
)
def test_ratios_are_the_largest_with_twice_the_pixels(sizes):
    shapes = np.random.default_rng(0).integers(1, 400, (60, 2))
    found = decoding_ratios(shapes, sizes)
    for (height, width), ratio in zip(shapes.tolist(), found, strict=True):
        needed = 2 * max(max(size.planned_size(height, width)) for size in sizes)
        enough = [r for r in RATIOS if -(-max(height, width) // r) >= needed]
        assert ratio == max(enough, default=1)
    assert found.max() > 1 or sizes == [Factor(0.5)]


def test_files_are_told_by_their_first_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(_bytes(_picture(9, 9)))
    (tmp_path / "b.jpg").write_bytes(_bytes(_picture(9, 9), "PNG"))
    names = [tmp_path / name for name in ("a.png", "b.jpg", "absent.jpg")]
    assert are_jpeg(names).tolist() == [True, False, False]
