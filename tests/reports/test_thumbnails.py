import base64

import cv2
import numpy as np
import pytest

from darac_tf.data.images import resize_long_side
from darac_tf.errors import UserError
from darac_tf.reports.thumbnails import jpeg_uri, thumbnail


@pytest.fixture
def quarters(tmp_path):
    """A 60 x 120 PNG: red, green over blue, white."""
    image = np.zeros((60, 120, 3), np.uint8)
    image[:30, :60], image[:30, 60:] = (255, 0, 0), (0, 255, 0)
    image[30:, :60], image[30:, 60:] = (0, 0, 255), (255, 255, 255)
    cv2.imwrite(str(tmp_path / "q.png"), image[:, :, ::-1])
    return tmp_path / "q.png", image


def test_whole_image_is_that_of_the_one_resize(quarters):
    path, image = quarters
    found = thumbnail(path, 40)
    assert found.shape == (20, 40, 3)
    expected = resize_long_side(image, 40).numpy()
    np.testing.assert_allclose(found, expected, atol=0.5)


def test_turns_are_counter_clockwise(quarters):
    path, _ = quarters
    turned = thumbnail(path, 120, turns=1)
    assert turned.shape == (120, 60, 3)
    # Green, at the top right, comes to the top left.
    corners = [turned[5, 5], turned[5, -5], turned[-5, 5], turned[-5, -5]]
    assert np.array(corners).tolist() == [[0, 255, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]


@pytest.mark.parametrize("long_side", [120, 60])
def test_outside_of_the_box_is_darker_and_its_edge_is_drawn(quarters, long_side):
    path, _ = quarters
    scale = long_side / 120
    found = thumbnail(path, long_side, box=(70.0, 10.0, 110.0, 50.0))
    x, y = int(90 * scale), int(20 * scale)
    assert found[y, x].tolist() == [0, 255, 0]
    assert found[int(40 * scale), x].tolist() == [255, 255, 255]
    assert found[2, 2].tolist() == [114, 0, 0]
    assert found[-2, -2].tolist() == [114, 114, 114]
    assert found[y, int(70 * scale)].tolist() == [255, 214, 0]


def test_box_turns_with_the_image_and_may_reach_out_of_it(quarters):
    path, _ = quarters
    box = (70.0, -5.0, 500.0, 50.0)
    upright = thumbnail(path, 120, box)
    np.testing.assert_array_equal(thumbnail(path, 120, box, turns=3), np.rot90(upright, 3))
    assert upright[20, 100].tolist() == [0, 255, 0]


def test_uri_holds_a_jpeg_of_the_image(quarters):
    path, image = quarters
    uri = jpeg_uri(thumbnail(path, 120), quality=95)
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    for y, x in [(10, 20), (10, 100), (50, 20), (50, 100)]:
        np.testing.assert_allclose(decoded[y, x, ::-1], image[y, x], atol=6)
    assert len(jpeg_uri(thumbnail(path, 120), quality=10)) < len(uri)


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_names_an_image_that_cannot_be_read(tmp_path, content):
    bad = tmp_path / "bad.jpg"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.jpg"):
        thumbnail(bad, 40)
