"""What an exported model computes, and how it is stored."""

from dataclasses import dataclass

from darac_tf.describing.sizes import as_size
from darac_tf.whitening import Whitening

# What Pillow, and with it eval.py, takes for a decompression bomb when an image has more.
DEFAULT_MAX_PIXELS = 178_956_970
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, eq=False)
class ExportSettings:
    """Settings of an export.

    Attributes:
        resolutions: What is combined: `sizes.LongSide`, `sizes.Factor`, or integers for long sides
            in pixels.
        whitening: `Whitening` fitted at these resolutions, or None.
        combination: See `combine_resolutions`.
        exponent: See `combine_resolutions`.
        precision: What kernels are stored in, one of `PRECISIONS`.
        max_pixels: Most pixels of an image, as stored and after each resize; of a GIF, of all its
            frames together.

    Raises:
        ValueError: If the precision is another.
    """

    resolutions: tuple
    whitening: Whitening | None = None
    combination: str = "sum"
    exponent: float | None = None
    precision: str = "float32"
    max_pixels: int = DEFAULT_MAX_PIXELS

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"`precision` must be one of {', '.join(PRECISIONS)}. Received: {self.precision!r}"
            )
        object.__setattr__(self, "resolutions", tuple(map(as_size, self.resolutions)))
