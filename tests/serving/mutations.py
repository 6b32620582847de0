"""Images that were damaged in many ways, the same for a seed; needs Pillow and NumPy only."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "GIF", "BMP")
_HEADER_BYTES = 64
_HUGE = (0, 1, 4095, 30_000, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)


def originals(seed=0):
    """Small sound images: dictionary of name to `(format, bytes)`."""
    rng = np.random.default_rng(seed)
    found = {}
    for form in FORMATS:
        for mode, size in (("RGB", (40, 30)), ("L", (17, 64))):
            shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
            pixels = rng.integers(0, 256, shape, np.uint8)
            out = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(out, form)
            found[f"{form} {mode}"] = (form, out.getvalue())
    pixels = rng.integers(0, 256, (48, 48, 3), np.uint8)
    for name, options in (("progressive", {"progressive": True}), ("CMYK", {})):
        image = Image.fromarray(pixels).convert("CMYK" if name == "CMYK" else "RGB")
        out = io.BytesIO()
        image.save(out, "JPEG", **options)
        found[f"JPEG {name}"] = ("JPEG", out.getvalue())
    out = io.BytesIO()
    frames = [Image.fromarray(np.roll(pixels, 5 * i, 0)).convert("P") for i in range(3)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    found["GIF animated"] = ("GIF", out.getvalue())
    return found


def say_sound(connection, base):
    """Of a process: says of each image that it is sound, without looking."""
    while connection.recv() is not None:
        connection.send("vector, vector")


def mutations(count, seed=0):
    """Yields `(kind, bytes)` of damaged images, the kinds in turn.

    Args:
        count: How many.
        seed: Integer; the same seed gives the same bytes.
    """
    sound = list(originals(seed).values())
    kinds = list(_KINDS.items())
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind, damage = kinds[number % len(kinds)]
        form, data = sound[int(rng.integers(len(sound)))]
        yield kind, damage(rng, form, data)


def _flip_bits(rng, form, data):
    """A few bits anywhere, or in the header."""
    changed = bytearray(data)
    end = len(data) if rng.random() < 0.5 else min(_HEADER_BYTES, len(data))
    for _ in range(int(rng.choice([1, 3, 10, 50]))):
        changed[int(rng.integers(end))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncate(rng, form, data):
    """The first bytes only; sometimes very few."""
    end = _HEADER_BYTES if rng.random() < 0.3 else len(data)
    return data[: int(rng.integers(end))]


def _wrong_header(rng, form, data):
    """The first bytes of another format, or of none."""
    starts = [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP"]
    starts += [b"II*\0", b"\0\0\0\x1cftypavif", b"%PDF-1.7", b"<svg", rng.bytes(8)]
    start = starts[int(rng.integers(len(starts)))]
    return start + data[len(start) :]


def _zero_bytes(rng, form, data):
    """A run of zeros, as of a hole in a file; sometimes nothing else, or nothing at all."""
    if rng.random() < 0.1:
        return bytes(int(rng.choice([0, 1, 16, len(data)])))
    start, length = int(rng.integers(len(data))), int(rng.integers(1, len(data)))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def _huge_size(rng, form, data):
    """Another size in the header, with the checksum that belongs to it."""
    width, height = (int(rng.choice(_HUGE)) for _ in range(2))
    return _SIZED[form](data, width, height)


def _sized_png(data, width, height):
    header = data[12:16] + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _sized_gif(data, width, height):
    size = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    changed = data[:6] + size + data[10:]
    place = changed.find(b"\x2c", 13)  # of the first frame, whose size counts too
    return changed if place < 0 else changed[: place + 5] + size + changed[place + 9 :]


def _sized_bmp(data, width, height):
    return data[:18] + struct.pack("<II", width, height) + data[26:]


def _sized_jpeg(data, width, height):
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        place = data.find(marker)
        if place >= 0:
            size = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
            return data[: place + 5] + size + data[place + 9 :]
    raise ValueError(f"A JPEG has a start of frame. Received: {data[:20]!r}")


_SIZED = {"PNG": _sized_png, "GIF": _sized_gif, "BMP": _sized_bmp, "JPEG": _sized_jpeg}
_KINDS = {
    "bit flips": _flip_bits,
    "truncated": _truncate,
    "wrong header": _wrong_header,
    "zero bytes": _zero_bytes,
    "huge declared size": _huge_size,
}
