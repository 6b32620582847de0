"""Decoding and resizing, eagerly and in tf.data, against Pillow and by definition."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.data import images, pillow_files
from darac_tf.errors import UserError
from tests.helpers import write_image


def _bytes(array, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG"])
def test_decoding(kind):
    array = np.full((9, 13, 3), 200, np.uint8)
    decoded = images.decode_image(_bytes(array, kind)).numpy()
    assert decoded.shape == (9, 13, 3) and decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded, array, atol=3)


@pytest.mark.parametrize(
    ("suffix", "package", "options", "turns"),
    [(".heic", "pillow_heif", {"quality": 90}, 3), (".jxl", "pillow_jxl", {"lossless": True}, 0)],
)
def test_what_packages_read_is_upright_as_it_is_read(tmp_path, suffix, package, options, turns):
    """HEIC keeps the turn that a tag asks for when it is saved; a tag in JPEG XL is no turn."""
    pytest.importorskip(package)
    ramp = np.mgrid[:40, :64].transpose(1, 2, 0) * 4 % 256
    pixels = np.dstack([ramp, 255 - ramp[..., :1]]).astype(np.uint8)
    exif, path = Image.Exif(), tmp_path / f"image{suffix}"
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif.tobytes(), **options)
    expected = np.rot90(pixels, turns)
    assert pillow_files.read_header(path) == (*expected.shape[:2], 1)
    for is_upright in (True, False):
        found = images.decode_file(path, is_upright).numpy()
        np.testing.assert_allclose(found, expected, atol=12 if suffix == ".heic" else 0)


@pytest.mark.parametrize(
    ("head", "package"),
    [(b"\0\0\0\x1cftypheic", "pillow-heif"), (b"\xff\x0a", "pillow-jxl-plugin")],
)
def test_the_package_that_a_kind_takes_is_named(tmp_path, monkeypatch, head, package):
    monkeypatch.setattr(Image, "registered_extensions", dict)
    (tmp_path / "image").write_bytes(head)
    with pytest.raises(UserError, match=f"pip install {package}"):
        pillow_files.read_header(tmp_path / "image")


def test_grey_and_alpha_become_rgb():
    grey = np.arange(63, dtype=np.uint8).reshape(7, 9)
    np.testing.assert_array_equal(
        images.decode_image(_bytes(grey, "PNG")), np.repeat(grey[..., None], 3, 2)
    )
    alpha = np.dstack([grey, grey, grey, grey])
    assert images.decode_image(_bytes(alpha, "PNG")).shape == (7, 9, 3)


@pytest.mark.parametrize(
    ("size", "long_side", "expected"),
    [
        ((768, 1024), 299, (224, 299)),
        ((1024, 768), 299, (299, 224)),
        ((2, 1000), 100, (1, 100)),
        ((10, 10), 15, (15, 15)),
        ((1, 1000), 10, (1, 10)),
        ((3, 2), 3, (3, 2)),
    ],
)
def test_scaled_size(size, long_side, expected):
    assert images.scaled_size(*size, long_side) == expected
    arrays = images.scaled_size(*np.array([size]).T, long_side)
    assert tuple(int(x[0]) for x in arrays) == expected
    shape = images.resize_long_side(np.zeros((*size, 3), np.uint8), long_side).shape
    assert tuple(shape) == (*expected, 3)


def test_resize_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    resized = images.resize_long_side(stripes, 8).numpy()
    np.testing.assert_allclose(resized[1:-1, 1:-1], 127.5, atol=2)


def test_resize_is_close_to_pillow():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(array).resize((24, 18), Image.BILINEAR), np.float32)
    np.testing.assert_allclose(images.resize_long_side(array, 24), expected, atol=1.0)


@pytest.mark.parametrize("kernel", ["bilinear", "nearest"])
def test_other_kernels_by_a_plain_loop(kernel):
    array = np.random.default_rng(0).integers(0, 256, (60, 83, 3)).astype(np.uint8)
    found = images.resize(array, 18, 25, kernel)
    assert found.dtype == tf.float32

    def pixel(row, column):
        y, x = (row + 0.5) * 60 / 18 - 0.5, (column + 0.5) * 83 / 25 - 0.5
        if kernel == "nearest":  # the pixel that the centre lies in
            return array[int(y + 0.5), int(x + 0.5)]
        top, left = int(y), int(x)
        corners = array[top : top + 2, left : left + 2].astype(float)
        down, across = np.array([top + 1 - y, y - top]), np.array([left + 1 - x, x - left])
        return np.einsum("i,j,ijc->c", down, across, corners)

    expected = [[pixel(row, column) for column in range(25)] for row in range(18)]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    "box", [(0, 0, 9, 7), (2, 1, 5, 7), (-2, 3, 4, 9), (3, -1, 12, 8), (8, 6, 9, 7)]
)
def test_crop_is_that_of_pillow(box):
    array = np.random.default_rng(0).integers(1, 256, (7, 9, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(array).crop(box))
    np.testing.assert_array_equal(images.crop(array, np.array(box)), expected)


@pytest.mark.parametrize("quarters", range(4))
def test_turn_is_counter_clockwise(quarters):
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    expected = Image.fromarray(array).rotate(90 * quarters, expand=True)
    np.testing.assert_array_equal(images.turn(array, quarters), np.asarray(expected))


def test_same_in_tf_data(tmp_path):
    data = tf.io.read_file(write_image(tmp_path / "a.png"))

    def load(x):
        return images.resize_long_side(images.decode_image(x), 30)

    in_graph = next(iter(tf.data.Dataset.from_tensors(data).map(load)))
    np.testing.assert_allclose(in_graph, load(data), atol=1e-4)


_KINDS = {
    "JPEG": {},
    "JPEG 4:2:0": {"subsampling": 2, "quality": 90},
    "JPEG progressive": {"progressive": True},
    "JPEG 4:4:4 with restarts": {"subsampling": 0, "restart_marker_blocks": 4},
    "PNG": {},
    "BMP": {},
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_pillow(kind, mode):
    small = np.random.default_rng(1).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    array = Image.fromarray(small).resize((117, 93), Image.BICUBIC).convert(mode)
    data = _bytes(np.asarray(array), kind.split()[0], **_KINDS[kind])
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(images.decode_image(data), expected)
    np.testing.assert_array_equal(images.decode_scaled(data, 1), expected)
    part = ([20, 30, 0], [50, 60, 3])
    window = images.decode_window(data, lambda shape: tf.constant(part, tf.int32))
    np.testing.assert_array_equal(window[:, 1:-1], expected[20:70, 31:89])
    if kind.startswith("JPEG"):
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (58, 46))
            half = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(images.decode_scaled(data, 2), half)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_window_has_the_pixels_of_the_whole(kind, mode):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    array = np.asarray(Image.fromarray(array).resize((117, 93), Image.BICUBIC).convert(mode))
    data = _bytes(array, kind.split()[0], **_KINDS[kind])
    whole = images.decode_image(data).numpy()
    for _ in range(25):
        top, bottom = np.sort(rng.choice(94, 2, replace=False))
        left, right = np.sort(rng.choice(118, 2, replace=False))
        part = ([top, left, 0], [bottom - top, right - left, -1])
        found = images.decode_window(data, lambda shape, part=part: tf.constant(part, tf.int32))
        inner = slice(1, -1) if "JPEG" in kind else slice(None)
        np.testing.assert_array_equal(found[:, inner], whole[top:bottom, left:right][:, inner])


def test_a_window_in_tf_data_sees_the_shape():
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    files = [_bytes(array, "PNG"), _bytes(array, "JPEG")]

    def lower_right(shape):
        offset = shape // 2 * [1, 1, 0]
        return offset, shape - offset

    def load(data):
        return images.decode_window(data, lower_right)

    found = tf.data.Dataset.from_tensor_slices(files).map(load)
    for data, part in zip(files, found.as_numpy_iterator(), strict=True):
        expected = images.decode_image(data)[10:, 15:]
        np.testing.assert_array_equal(part[:, 1:], expected[:, 1:])


def test_a_window_of_a_damaged_image_is_an_error():
    data = _bytes(np.zeros((64, 64, 3), np.uint8), "JPEG")
    for damaged in (data[: len(data) * 9 // 10], b"text"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            images.decode_window(damaged, lambda shape: (tf.zeros(3, tf.int32), shape))


@pytest.mark.parametrize("ratio", images.RATIOS)
@pytest.mark.parametrize("size", [(640, 960), (301, 267)])
def test_scaled_decoding_divides_sides_and_is_near_a_mean(ratio, size):
    small = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(small).resize(size[::-1], Image.BICUBIC))
    data = _bytes(picture, "JPEG", quality=95)
    found = images.decode_scaled(data, ratio).numpy()
    assert found.shape == (*(-(-side // ratio) for side in size), 3)
    full = images.decode_image(data).numpy()[: size[0] // ratio * ratio, : size[1] // ratio * ratio]
    means = full.reshape(size[0] // ratio, ratio, size[1] // ratio, ratio, 3).mean(axis=(1, 3))
    inner = found[: means.shape[0], : means.shape[1]].astype(float)
    assert np.abs(inner - means).mean() < 2


def test_stored_size(tmp_path):
    assert images.stored_size(write_image(tmp_path / "a.jpg", 40, 56)) == (40, 56)


def test_bad_images_are_named(tmp_path):
    good = tmp_path / "good.jpg"
    write_image(good, 200, 200)
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "short.jpg").write_bytes(good.read_bytes()[:400])
    for name, advice in [
        ("empty", "0 bytes"), ("text", "cannot be decoded"), ("short", "cannot be decoded"),
        ("absent", "no such image"),
    ]:  # fmt: skip
        with pytest.raises(UserError, match=rf"{name}\.jpg: .*{advice}"):
            images.check_images([good, tmp_path / f"{name}.jpg"])
    for name in ("empty", "text", "absent"):
        with pytest.raises(UserError, match=rf"{name}\.jpg"):
            images.stored_size(tmp_path / f"{name}.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_image_does_not_decode(kind, share, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    data = _bytes(array, kind)
    (tmp_path / "a").write_bytes(data)
    assert images.decoding_failure(tmp_path / "a") is None
    (tmp_path / "a").write_bytes(data[: int(len(data) * share)])
    assert "cannot be decoded" in images.decoding_failure(tmp_path / "a")


def test_a_truncated_progressive_jpeg_does_not_decode(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    data = _bytes(array, "JPEG", progressive=True)
    for share in (0.3, 0.6, 0.95):
        (tmp_path / "a.jpg").write_bytes(data[: int(len(data) * share)])
        assert "cannot be decoded" in images.decoding_failure(tmp_path / "a.jpg")


def test_a_header_of_another_size_is_found(tmp_path):
    path = write_image(tmp_path / "a.png", 40, 56)
    assert images.decoding_failure(path, (40, 56)) is None
    assert "says 41 x 40 pixels, and it decodes to 56 x 40" in images.decoding_failure(
        path, np.array([40, 41])
    )


def test_a_damaged_gif_is_none_for_an_export_either():
    sound = _bytes(np.arange(768, dtype=np.uint8).reshape(16, 48), "GIF")
    assert images.for_export(sound, True).startswith(b"\x89PNG")
    for damaged in (b"GIF85a" + sound[6:], b"GIF87`" + sound[6:], sound[:40]):
        assert images.for_export(damaged, True) == b""
