"""Small image files of every format, mode and orientation, and what Pillow makes of them."""

import io

import numpy as np
from PIL import Image, ImageOps

# The modes that Pillow writes of each format, and what TensorFlow or Pillow may add in rounding.
MODES = {
    "JPEG": ["L", "RGB", "CMYK", "YCCK"],
    "PNG": ["1", "L", "LA", "P", "P clear", "RGB", "RGBA", "RGB clear", "L clear", "I;16"],
    "WEBP": ["RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "GIF": ["L", "P", "P clear"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"],
    "AVIF": ["RGB", "RGBA"],
}
WITHOUT_EXIF = ("BMP", "GIF")
TURNED_AS_READ = ("TIFF",)


def drawn(height, width, mode, seed=0):
    """A smooth random image of a mode, with options to save it, and whether a colour is clear."""
    cells = np.random.default_rng(seed).integers(0, 256, (3, 4, 4)).astype(np.uint8)
    picture = Image.fromarray(cells, "RGBA").resize((width, height), Image.BICUBIC)
    kind, _, clear = mode.partition(" ")
    if kind == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257), {}
    if kind == "P":
        image = picture.convert("RGB").quantize(16)
        return image, {"transparency": 3} if clear else {}
    if kind in ("LA", "RGBA"):
        return picture.convert(kind), {}
    image = picture.convert("RGB").convert("CMYK" if kind == "YCCK" else kind)
    return image, {"transparency": image.getpixel((0, 0))} if clear else {}


def encoded(image, kind, orientation=None, endian="<", **options):
    exif = Image.Exif()
    exif.endian = endian
    if orientation is not None:
        exif[0x0112] = orientation
        options["exif"] = exif if kind == "TIFF" else exif.tobytes()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def file_of(kind, mode, height=9, width=14, orientation=None, endian="<", seed=0):
    """Bytes of an image file."""
    image, options = drawn(height, width, mode, seed)
    if kind == "JPEG":
        options["quality"] = 95
    if kind in WITHOUT_EXIF:
        orientation = None
    data = encoded(image, kind, orientation, endian, **options)
    if mode == "YCCK":  # As Adobe's programs write it; Pillow doesn't.
        at = data.index(b"Adobe") + 11
        data = data[:at] + b"\2" + data[at + 1 :]
    return data


def expected(data):
    """What Pillow makes of it, uint8; but all above 255 of 16 bits isn't white."""
    with Image.open(io.BytesIO(data)) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.asarray(image.convert("RGB"))
