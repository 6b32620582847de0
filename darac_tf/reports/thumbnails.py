"""Small pictures of images, as the network looks at them, for embedding in a page."""

import base64

import cv2
import numpy as np
import tensorflow as tf

from darac_tf.data.exif import is_lying, turn_upright
from darac_tf.data.images import decode_scaled, read_image, resize_long_side
from darac_tf.data.pillow_files import read_header, unreadable
from darac_tf.data.views import are_jpeg, decoding_ratios
from darac_tf.describing.sizes import LongSide
from darac_tf.errors import UserError

# Yellow on black is seen on any photograph.
_BOX_COLORS = ((0, 0, 0), (255, 214, 0))
_OUTSIDE_BRIGHTNESS = 0.45
_INTEGER = tf.TensorSpec([], tf.int32)


def thumbnail(path, long_side, box=None, turns=None, max_pixels=None):
    """A small picture of an image: upright, with the box that is looked at drawn on it.

    Large JPEGs are decoded at a part of their size, which takes a fraction of the time.

    Args:
        path: Image file.
        long_side: Pixels on the longer side, at least 1. Smaller images are enlarged.
        box: `xmin, ymin, xmax, ymax` in pixels before the turns; what is outside is darkened. None
            for a whole image.
        turns: Quarter turns counter-clockwise that make the stored image upright; None for what its
            Exif orientation says.
        max_pixels: Images of more are refused; None for none.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        UserError: If the image can't be read.
    """
    *shape, orientation = read_header(path, max_pixels)
    ratio = decoding_ratios(np.array([shape]), [LongSide(long_side)])[0]
    orientation = orientation if turns is None else 1
    ratio = ratio if are_jpeg([path])[0] else 1
    try:
        image = _upright(read_image(path), ratio, orientation, long_side)
    except tf.errors.InvalidArgumentError as error:
        raise UserError(unreadable(path)) from error
    small = image.numpy().round().clip(0, 255).astype(np.uint8)
    if box is not None:
        # Each axis has its own scale, because the small sides are rounded.
        width, height = shape if is_lying(orientation) else shape[::-1]
        scale = np.divide(small.shape[1::-1], (width, height))
        small = _with_box(small, np.asarray(box, np.float64) * np.tile(scale, 2))
    return np.rot90(small, turns or 0)


# Small operations one by one take longer than they do: a page has hundreds of pictures.
@tf.function(input_signature=[tf.TensorSpec([], tf.string), *3 * [_INTEGER]], autograph=False)
def _upright(data, ratio, orientation, long_side):
    image = turn_upright(decode_scaled(data, ratio), orientation)
    return resize_long_side(image, long_side)


def jpeg_uri(image, quality=80):
    """`jpeg` as a `data:image/jpeg;base64,...` URI: ASCII without characters that HTML escapes."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(image, quality)).decode('ascii')}"


def jpeg(image, quality=80):
    """The bytes of a JPEG file of an image, uint8 RGB `(height, width, 3)`.

    `quality` is in [0, 100]. `ValueError` if the image can't be encoded.
    """
    pixels = np.ascontiguousarray(image[:, :, ::-1])  # OpenCV takes BGR
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"The image can't be encoded as JPEG. Received: {image.shape}")
    return data.tobytes()


def _with_box(image, box):
    height, width = image.shape[:2]
    x = np.clip(np.rint(box[0::2]).astype(int), 0, width - 1)
    y = np.clip(np.rint(box[1::2]).astype(int), 0, height - 1)
    drawn = (image * _OUTSIDE_BRIGHTNESS).astype(np.uint8)
    drawn[y[0] : y[1] + 1, x[0] : x[1] + 1] = image[y[0] : y[1] + 1, x[0] : x[1] + 1]
    for color, thickness in zip(_BOX_COLORS, (4, 2), strict=True):
        cv2.rectangle(drawn, (int(x[0]), int(y[0])), (int(x[1]), int(y[1])), color, thickness)
    return drawn
