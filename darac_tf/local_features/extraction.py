"""Local features of images at several scales, the best of all scales by attention.

Noh et al., ICCV 2017, sections 4.1 and 4.3: an image pyramid, features of highest attention, L2
normalisation, PCA, L2 normalisation.
"""

import os
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from darac_tf.data.exif import turn_upright
from darac_tf.data.images import crop, decode_image, decoding_failure, resize, scaled_size, turn
from darac_tf.data.views import read_views
from darac_tf.describing.sizes import Factor, parse_sizes
from darac_tf.errors import UserError
from darac_tf.layers import PCAWhitening
from darac_tf.local_features.store import LocalFeatures, no_features
from darac_tf.memory import trim_heap
from darac_tf.whitening import fit_pca_whitening

# Dimensions of reduced features.
DIM = 40
_TRIM_IMAGES = 16


@dataclass(frozen=True)
class ExtractionSettings:
    """Which features are taken.

    Attributes:
        scales: `describing.sizes.Factor` of the image pyramid.
        max_side: The longer side, in pixels, that factor 1 stands for in larger images; smaller
            ones are not enlarged.
        max_features: Most features of an image, over all scales.
        min_attention: Features have more attention than this.
    """

    scales: tuple[Factor, ...] = parse_sizes("0.25..2")
    max_side: int = 1024
    max_features: int = 1000
    min_attention: float = 0.0


class LocalExtractor:
    """Gives the local features of images, one image after another.

    A box is cut out of the image, the crop is turned, and then resized once for each scale.
    A map covers its image evenly: the centre of cell i of n is at `(i + 1/2) / n` of the side.
    That is right to within half a cell, whatever the padding of the network.

    Args:
        model: Of `model.build_delf` or `load_delf`.
        images: `ImageList`, or a string array `(images,)` of paths of whole images.
        reduction: `Whitening` of `fit_local_pca`; None leaves features as they are.
        settings: `ExtractionSettings`; None for its defaults.
        progress: Whether to show a progress bar.
        skip_bad: Whether images that cannot be read have no features, see `skipped`.

    Raises:
        UserError: If a box lies outside its image, an image cannot be read (without `skip_bad`), or
            the reduction was learned on features of another size.
    """

    def __init__(self, model, images, reduction=None, settings=None, progress=True, skip_bad=False):
        self._model, self._settings = model, settings or ExtractionSettings()
        self._skip_bad, self._progress = skip_bad, progress
        self._views, self.skipped = read_views(images, progress, skip_bad)
        self._channels = model.output_shape[0][-1]
        if reduction is not None and reduction.mean.size != self._channels:
            raise UserError(
                f"the PCA was learned on features of {reduction.mean.size} channels, and the "
                f"model gives {self._channels}: learn it again with this model"
            )
        self._reduce, self.dim = None, self._channels
        if reduction is not None:
            self._reduce = PCAWhitening.from_arrays(reduction.mean, reduction.projection)
            self.dim = len(reduction.projection)
        signature = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)]
        self._of_scale = tf.function(
            self._best_of_scale, input_signature=signature, autograph=False
        )

    def __len__(self):
        return len(self._views.paths)

    def __iter__(self):
        """Yields `LocalFeatures` of each image, in their order.

        UserError for attention that is not finite; without `skip_bad` also for an unreadable image.
        """
        bar = tqdm(range(len(self)), "local features", unit="image", disable=not self._progress)
        for index in bar:
            yield self._of_image(index)
            if (index + 1) % _TRIM_IMAGES == 0:
                trim_heap()

    @property
    def traces(self):
        """How often the network was traced."""
        return self._of_scale.experimental_get_tracing_count()

    def _of_image(self, index):
        view = self._view(index)
        if view is None:
            return no_features(self.dim)
        settings, (height, width) = self._settings, view.shape[:2]
        bounded = scaled_size(height, width, min(settings.max_side, max(height, width)))
        found = [self._of_scale(view, scale.planned_size(*bounded)) for scale in settings.scales]
        vectors, attention, places = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if not np.isfinite(attention).all():
            raise UserError(
                f"{self._views.paths[index]}: its attention is not finite; check the model"
            )
        best = np.argsort(-attention, kind="stable")[: settings.max_features]
        best = best[attention[best] > settings.min_attention]
        descriptors = vectors[best] if self._reduce is None else self._reduce(vectors[best]).numpy()
        places = self._in_stored(index, places[best] * [width, height], height, width)
        return LocalFeatures(descriptors, places, attention[best], float(max(height, width)))

    def _view(self, index):
        """The part of an image that is looked at, or None where it can't be read."""
        if index in self.skipped:
            return None
        path = self._views.paths[index]
        try:
            image = decode_image(tf.io.read_file(os.fsencode(path)))
        except tf.errors.OpError as error:
            reason = decoding_failure(path, self._views.stored(index))
            if not self._skip_bad or reason is None:
                raise UserError(reason or str(error)) from error
            self.skipped[index] = reason
            return None
        boxes, turns, orientations = self._views.boxes, self._views.turns, self._views.orientations
        image = image if orientations is None else turn_upright(image, orientations[index])
        image = image if boxes is None else crop(image, boxes[index])
        return image if turns is None else turn(image, turns[index])

    def _best_of_scale(self, view, size):
        """Features `(n, channels)`, attention `(n,)` and x, y `(n, 2)` as shares of the sides."""
        pixels = resize(view, size[0], size[1])[None]
        features, attention = self._model(pixels, training=False)
        shape, scores = tf.shape(attention), tf.reshape(attention, [-1])
        count = tf.minimum(self._settings.max_features, tf.size(scores))
        best, cells = tf.math.top_k(scores, count)
        vectors = tf.gather(tf.reshape(features, [-1, self._channels]), cells)
        places = tf.stack([cells % shape[2], cells // shape[2]], axis=1)
        grid = tf.cast(tf.stack([shape[2], shape[1]]), tf.float32)
        return vectors, best, (tf.cast(places, tf.float32) + 0.5) / grid

    def _in_stored(self, index, places, height, width):
        """From pixels of the view to those of the image that its box is in, float32."""
        boxes, turns = self._views.boxes, self._views.turns
        for _ in range(0 if turns is None else turns[index]):
            # What is at the top now was at the right before the turn.
            places = np.stack([height - places[:, 1], places[:, 0]], axis=1)
            height, width = width, height
        return (places if boxes is None else places + boxes[index, :2]).astype(np.float32)


def fit_local_pca(features, dim=DIM, per_image=100, seed=0, provenance=None, image_keys=None):
    """Learns the reduction of local features (Noh et al., ICCV 2017, section 4.1): no whitening.

    Args:
        features: Iterable of `LocalFeatures` that are not reduced, such as a `LocalExtractor`
            without reduction, of images that are not in the test set.
        dim: Dimensions to keep.
        per_image: Features drawn from each image, at most; by `seed`.
        provenance: See `fit_pca_whitening`.
        image_keys: uint64 `(images, 2)`, see `data.content_keys`; or None.

    Returns a `Whitening` with a projection `(dim, channels)`. `UserError` if there are no features,
    or fewer independent ones than `dim`.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for image in features:
        chosen = rng.permutation(len(image))[:per_image]
        drawn.append(np.asarray(image.descriptors)[np.sort(chosen)])
    counts = [len(rows) for rows in drawn]
    if not any(counts):
        raise UserError("the PCA of local features needs images, and none has a feature")
    keys = None if image_keys is None else np.repeat(image_keys, counts, axis=0)
    facts = {**(provenance or {}), "per_image": per_image}
    return fit_pca_whitening(np.concatenate(drawn), dim, facts, power=0.0, image_keys=keys)
