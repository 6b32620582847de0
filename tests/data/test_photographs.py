"""Photographs as they are: formats, modes, orientations, against Pillow's upright RGB on white."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from darac_tf.data import images
from darac_tf.data.exif import orientation_of, turn_upright
from darac_tf.data.headers import image_header
from darac_tf.data.pillow_files import read_header
from tests.photographs import MODES, TURNED_AS_READ, WITHOUT_EXIF, encoded, expected, file_of

file = [tf.TensorSpec([], tf.string)]
header = tf.function(lambda data: image_header(data, 10**6), file, autograph=False)
decode_in_graph = tf.function(images.decode_in_graph, file, autograph=False)
decode_upright = tf.function(images.decode_upright, file, autograph=False)


def check(data, orientation, folder):
    """Compares all that reads a file with Pillow."""
    path = folder / "image"
    path.write_bytes(data)
    upright = expected(data)
    found = decode_upright(data).numpy()
    np.testing.assert_allclose(found.astype(int), upright, atol=2)
    if np.all(header(data) > 0):
        np.testing.assert_array_equal(decode_in_graph(data), images.decode_image(data))
    height, width, read = read_header(path)
    assert read == orientation
    stored = images.decode_image(data).numpy()
    assert stored.shape == (height, width, 3)
    again = np.asarray(turn_upright(stored, orientation))
    np.testing.assert_array_equal(again, found)


def cases():
    return [(kind, mode) for kind, modes in MODES.items() for mode in modes]


@pytest.mark.parametrize(("kind", "mode"), cases())
def test_every_mode_of_every_format(kind, mode, tmp_path):
    check(file_of(kind, mode), 1, tmp_path)


def any_file(draw):
    kind, mode = draw(st.sampled_from(cases()))
    sides = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    orientation = draw(st.sampled_from([None, *range(1, 9)]))
    return kind, mode, *sides, orientation, draw(st.sampled_from("<>")), draw(st.integers(0, 9))


def check_drawn(kind, mode, height, width, orientation, endian, seed, folder):
    data = file_of(kind, mode, height, width, orientation, endian, seed)
    is_kept = orientation is not None and kind not in (*WITHOUT_EXIF, *TURNED_AS_READ)
    check(data, orientation if is_kept else 1, folder)


@settings(max_examples=20, deadline=None, derandomize=True, report_multiple_bugs=False)
@given(st.composite(any_file)())
def test_files_of_any_kind(tmp_path_factory, drawn_file):
    check_drawn(*drawn_file, tmp_path_factory.mktemp("any"))


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.composite(any_file)())
def test_many_files_of_any_kind(tmp_path_factory, drawn_file):
    check_drawn(*drawn_file, tmp_path_factory.mktemp("many"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_part_of_an_upright_image(kind, orientation):
    data = file_of(kind, "RGB", 40, 64, orientation)
    upright = expected(data)
    height, width = upright.shape[:2]

    def window(shape):
        assert shape.numpy().tolist() == [height, width, 3]
        return tf.constant([5, 9, 0]), tf.constant([20, 30, -1])

    found = images.decode_window(data, window, is_upright=True)
    inner = slice(1, -1)  # see `decode_window`
    np.testing.assert_array_equal(
        np.asarray(found)[inner, inner], upright[5:25, 9:39][inner, inner]
    )


def block(orientation, endian, kind=3, before=2):
    """An Exif block by the specification, with entries of other tags before that of the turn."""
    order = {"<": "little", ">": "big"}[endian]

    def number(value, length):
        return value.to_bytes(length, order)

    entry = number(0x0112, 2) + number(kind, 2) + number(1, 4) + number(orientation, 2) + b"\0\0"
    others = (number(0x0100, 2) + number(4, 2) + number(1, 4) + number(99, 4)) * before
    head = {"<": b"II*\0", ">": b"MM\0*"}[endian] + number(8, 4) + number(before + 1, 2)
    return b"Exif\0\0" + head + others + entry + number(0, 4)


@pytest.fixture(scope="module")
def in_graph():
    return tf.function(orientation_of, [tf.TensorSpec([], tf.string)], autograph=False)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF|Truncated File")  # by Pillow, see `pillow_files`
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_is_as_stored(in_graph, form, tmp_path):
    image, random = Image.new("RGB", (8, 8)), np.random.default_rng(0)
    whole = block(6, "<")
    cut = [whole[:end] for end in range(6, len(whole) - 4, 5)]
    wrong = [block(0, "<"), block(9, ">"), block(6, "<", kind=2), whole.replace(b"II*", b"II+")]
    for exif in [whole, *cut, *wrong, *(whole[:14] + random.bytes(40) for _ in range(5))]:
        file = encoded(image, form, exif=exif)
        (tmp_path / "image").write_bytes(file)
        found = int(in_graph(file))
        assert found == read_header(tmp_path / "image")[2] == (6 if exif == whole else 1)


@pytest.mark.parametrize("endian", "<>")
def test_exif_behind_the_pixels_and_behind_other_parts(in_graph, tmp_path, endian):
    image, exif = Image.new("RGB", (8, 5)), block(8, endian)
    png, turned = encoded(image, "PNG"), encoded(image, "PNG", exif=exif)
    at = turned.index(b"eXIf") - 4
    chunk = turned[at : at + 12 + len(exif) - 6]
    last = len(png) - 12
    jpeg = encoded(image, "JPEG", exif=exif, comment=b"x" * 300, icc_profile=bytes(70_000))
    app = jpeg.index(b"\xff\xe1")
    more = jpeg[:app] + b"\xff\xe2\x00\x06Exif" + b"\xff" + jpeg[app:]
    for data in (png[:last] + chunk + png[last:], jpeg, more, encoded(image, "WEBP", exif=exif)):
        (tmp_path / "image").write_bytes(data)
        assert int(in_graph(data)) == read_header(tmp_path / "image")[2] == 8
