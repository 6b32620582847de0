"""Small images of every kind that an export decodes, and some that none does."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(height=40, width=56, seed=0):
    """A smooth random RGB image."""
    cells = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return Image.fromarray(cells.astype(np.uint8)).resize((width, height), Image.BICUBIC)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def every_kind(height=40, width=56, seed=0):
    """Dictionary of a name to the bytes of an image."""
    rgb = picture(height, width, seed)
    frames = [picture(height, width, seed + i) for i in range(1, 4)]
    deep = np.asarray(rgb.convert("L"), np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    return {
        "jpeg": encoded(rgb, "JPEG"),
        "jpeg grey": encoded(rgb.convert("L"), "JPEG"),
        "jpeg CMYK": encoded(rgb.convert("CMYK"), "JPEG"),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True),
        "jpeg turned": encoded(rgb, "JPEG", exif=exif),
        "png": encoded(rgb, "PNG"),
        "png grey": encoded(rgb.convert("L"), "PNG"),
        "png alpha": encoded(rgb.convert("RGBA"), "PNG"),
        "png grey alpha": encoded(rgb.convert("LA"), "PNG"),
        "png palette": encoded(rgb.convert("P"), "PNG"),
        "png bits": encoded(rgb.convert("1"), "PNG"),
        "png 16 bit": encoded(Image.fromarray(deep), "PNG"),
        "gif": encoded(rgb, "GIF"),
        "gif moving": encoded(rgb, "GIF", save_all=True, append_images=frames),
        "bmp": encoded(rgb, "BMP"),
        "bmp alpha": encoded(rgb.convert("RGBA"), "BMP"),
        "webp": encoded(rgb, "WEBP"),
        "webp lossless": encoded(rgb, "WEBP", lossless=True),
        "webp alpha": encoded(rgb.convert("RGBA"), "WEBP", exif=exif),
    }


def no_images():
    """Dictionary of a name to bytes that no signature takes."""
    rgb = picture()
    turned = rgb.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return {
        "empty": b"",
        "zeros": bytes(100),
        "text": b"no image",
        "jpeg start": b"\xff\xd8\xff",
        "png start": b"\x89PNG\r\n\x1a\n",
        "gif start": b"GIF89a",
        "bmp start": b"BM",
        "webp start": b"RIFF\0\0\0\0WEBP",
        "webp moving": encoded(rgb, "WEBP", save_all=True, append_images=[turned]),
        "tiff": encoded(rgb, "TIFF"),
        "truncated jpeg": encoded(rgb, "JPEG")[:-300],
        "truncated png": encoded(rgb, "PNG")[:-300],
        "truncated gif": encoded(rgb, "GIF")[:-300],
    }


def png_bomb(side=20_000):
    """A small file that says it has `side` x `side` pixels, and has them all: zeros."""
    rows = zlib.compressobj(9)
    row = bytes((side + 7) // 8 + 1)
    data = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def gif_bomb(frames=2000, side=400):
    """A GIF of many frames, of which the first is what anyone asks for."""
    first = encoded(Image.new("P", (side, side)), "GIF")
    start = first.index(b"\x2c\0\0\0\0")
    return first[:start] + first[start:-1] * frames + b"\x3b"


def mutated(count, seed=0):
    """List of `count` damaged images: flipped bits, cut ends, foreign headers, huge sizes."""
    rng = np.random.default_rng(seed)
    sources = list(every_kind(24, 32, seed).values())
    return [
        _damage(sources[i % len(sources)], sources, i // len(sources), rng) for i in range(count)
    ]


def _damage(data, sources, way, rng):
    data = bytearray(data)
    if way % 5 == 0:
        for place in rng.integers(0, len(data), 3):
            data[place] ^= 1 << rng.integers(8)
    elif way % 5 == 1:
        data = data[: rng.integers(1, len(data))]
    elif way % 5 == 2:
        other = sources[rng.integers(len(sources))]
        data[:16] = other[:16]
    elif way % 5 == 3:
        place = rng.integers(0, min(len(data), 40))
        data[place : place + 4] = b"\xff\xff\xff\x7f"
    else:
        place = rng.integers(0, len(data))
        data[place : place + 20] = rng.bytes(20)
    return bytes(data)
