"""What can be measured, as `described` gives it to the evaluator, whatever it was made by.

| source | what is compared |
| --- | --- |
| `describing.sources.Source` | descriptors, computed at every resolution setting |
| `describing.feature_file.FeatureFile` | vectors that were made elsewhere, of any kind of file |
| `local.LocalSource` | local features, matched (`local` registers it) |
"""

import dataclasses
import functools

import numpy as np

from darac_tf.data.views import read_views
from darac_tf.describing.combination import Vectors
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.feature_file import FeatureFile
from darac_tf.describing.sources import Source
from darac_tf.errors import UserError
from darac_tf.ranking.rank import rank

_SCALED = (
    "JPEG images were decoded at a part of their size where all sizes need less than half of it"
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Described:
    """A list of images by one descriptor, at one resolution setting; `rank` ranks them."""

    name: str  # The descriptor.
    sizes: tuple[str, ...]  # Strings, what was combined.
    combination: str | None = None  # How, in words; None where there is nothing to say.
    # A dict for each image that could not be read: "path" and "reason".
    skipped: list[dict] = dataclasses.field(default_factory=list)
    notes: tuple[str, ...] = ()  # Sentences for the report.
    keys: np.ndarray | None = None  # `keys_of_images` of the images, where they are known.


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DescribedVectors(Described):
    """Images as vectors."""

    vectors: Vectors  # Of the images.
    usable: np.ndarray  # bool `(images,)`, False for images that could not be read.

    @property
    def dimension(self):
        """Length of the vectors."""
        return self.vectors.shape[1]

    def rank(self, task, settings):
        """`Rankings` of the queries of a `Task`, by `RankingSettings`."""
        return rank(self.vectors, task, settings, self.usable)

    def whitened(self, whitening):
        """The same with a `Whitening` after them."""
        return dataclasses.replace(self, vectors=self.vectors.whitened(whitening))


@functools.singledispatch
def described(source, images, settings):
    """Describes an `ImageList` by a source, see the module, and `evaluator.Settings`.

    Yields `Described` for each descriptor and resolution setting, in the same order whatever the
    images; each is to be used before the next is asked for. `UserError` if an image can't be read,
    without `skip_bad`, or the source can't describe it.
    """
    raise TypeError(f"`source` is of no kind that can be measured. Received: {source!r}")


@described.register
def _computed(source: Source, images, settings):
    """Each image is decoded once, and described once at each size, whatever settings use it."""
    folder = settings.cache_dir
    cache = FeatureCache(folder, source.fingerprints()) if folder else None
    features = extract_features(
        source.describe,
        images,
        [size for sizes in settings.resolutions for size in sizes],
        cache,
        batch_pixels=settings.batch_pixels,
        skip_bad=settings.skip_bad,
        scaled_decoding=settings.scaled_decoding,
    )
    for name in source.names:
        for sizes in settings.resolutions:
            yield DescribedVectors(
                name=name,
                sizes=tuple(map(str, sizes)),
                combination=_combination(settings, sizes),
                skipped=[{"path": path, "reason": why} for _, path, why in features.skipped],
                notes=(_SCALED,) if settings.scaled_decoding else (),
                vectors=features.vectors(name, sizes, settings.combination, settings.exponent),
                usable=features.usable,
                keys=features.keys,
            )


@described.register
def _read(file: FeatureFile, images, settings):
    """Resolutions and their combination do not apply: they are in the vectors."""
    if file.keys is not None:
        _check_whole(file, images)
    rows = file.rows_of(images)
    usable = (rows >= 0) & file.valid[rows]
    bad = {
        str(images.paths[place]): file.fault(images.paths[place], images.box_of(place), rows[place])
        for place in np.flatnonzero(~usable)
    }
    if bad and not (settings.skip_bad and usable.any()):
        count = f"{np.count_nonzero(~usable)} of {len(rows)} images have no vector in {file.name}"
        raise UserError(f"{next(iter(bad.values()))} (or --skip_bad_images); {count}")
    maker = file.provenance.get("made_by", "something else")
    yield DescribedVectors(
        name=file.name,
        sizes=_sizes_of(file),
        skipped=[{"path": path, "reason": why} for path, why in bad.items()],
        notes=(f"Vectors of {file.name} were made by {maker}.",),
        vectors=Vectors([np.where(usable[:, None], file.vectors[rows], np.float32(0))]),
        usable=usable,
        keys=None
        if file.keys is None
        else np.where((rows >= 0)[:, None], file.keys[rows], np.uint64(0)),
    )


def _combination(settings, sizes):
    if settings.combination == "sum" or len(sizes) == 1:
        return None  # The rule, or nothing to combine.
    exponent = "" if settings.exponent is None else f", p = {settings.exponent:g}"
    return f"{settings.combination}{exponent}"


def _sizes_of(file):
    sizes = file.provenance.get("resolutions")
    known = isinstance(sizes, list) and sizes and all(isinstance(size, str) for size in sizes)
    return tuple(sizes) if known else ("as made",)


def _check_whole(file, images):
    parts = images.boxes is not None and not np.isnan(images.boxes).any(axis=1).all()
    if parts or (images.turns is not None and np.any(images.turns)):
        raise UserError(
            f"{file.name} has vectors of whole images: give --nocrop_queries, and no "
            "--orientation=list"
        )
    own = file.provenance.get("orientation", "stored")
    others = images.select(images.are_upright() != (own == "upright"))
    views, _ = read_views(dataclasses.replace(others, upright=True), skip_bad=True)
    if views.orientations is not None:
        path = others.paths[np.argmax(views.orientations != 1)]
        raise UserError(
            f"{file.name} has vectors of images as --orientation={own} takes them, and {path} is "
            "another so: give that, or describe the images again"
        )
