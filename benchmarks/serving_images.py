"""Images for loading a server: mixed sizes and formats, and corrupt ones among them."""

import io

import numpy as np
from PIL import Image

SIZES = ((64, 48), (160, 120), (240, 320), (333, 500), (640, 480), (1024, 768))
_FORMATS = ("JPEG", "PNG", "JPEG", "BMP", "JPEG", "GIF")


def mixed_images(count=48, corrupt=8, seed=0):
    """Encoded images.

    Args:
        count: Sound ones.
        corrupt: Truncated ones, empty ones and text, after them.
        seed: Integer; the same seed gives the same bytes.

    Returns:
        List of bytes.
    """
    rng = np.random.default_rng(seed)
    sound = []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
        out = io.BytesIO()
        image.save(out, _FORMATS[(number // len(SIZES)) % len(_FORMATS)])
        sound.append(out.getvalue())
    # In the header: more of an image may count as sound, for a decoder that fills up.
    damaged = (sound[int(rng.integers(count))][: int(rng.integers(12))] for _ in range(corrupt))
    others = [b"", b"no image" * 100]
    return [*sound, *(others + list(damaged))[:corrupt]]
