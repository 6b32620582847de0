"""Descriptors of a list of image files, at any resolution, in one trace."""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from darac_tf.data.images import check_images
from darac_tf.data.pipeline import batch_by_shape, description_batches, stored_sizes

# About eleven images at 299, three at 540, one at 1020.
DEFAULT_BATCH_PIXELS = 1_000_000


class Extractor:
    """Describes image files; images of one shape go through the network together.

    Args:
        describe: Function of pixels `(batch, height, width, 3)` in [0, 255] to a dictionary of name
            to descriptors `(batch, channels)`.
        paths: String array `(images,)`.
        batch_pixels: Most pixels in a batch.
        progress: Whether to show a progress bar.

    Raises:
        UserError: For an image that cannot be read.
    """

    def __init__(self, describe, paths, batch_pixels=DEFAULT_BATCH_PIXELS, progress=True):
        self._paths = np.asarray(paths)
        self._sizes = stored_sizes(self._paths, progress)
        self._batch_pixels = batch_pixels
        self._progress = progress
        signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
        self._describe = tf.function(describe, input_signature=signature, autograph=False)

    @property
    def traces(self):
        """How often the network was traced."""
        return self._describe.experimental_get_tracing_count()

    def extract(self, long_side):
        """Describes every image at one resolution: long side given, aspect kept, never cropped.

        Args:
            long_side: In pixels.

        Returns:
            Dictionary of name to float32 array `(images, channels)`, in the order of the paths.

        Raises:
            UserError: For an image that cannot be read.
        """
        plan = batch_by_shape(self._sizes, long_side, self._batch_pixels)
        found = {}
        with tqdm(
            total=len(self._paths),
            desc=f"describe at {long_side}",
            unit="image",
            disable=not self._progress,
            mininterval=1.0,
        ) as bar:
            for indices, batch in self._batches(plan, long_side, bar):
                for name, vectors in batch.items():
                    if name not in found:
                        found[name] = np.empty((len(self._paths), vectors.shape[1]), np.float32)
                    found[name][indices] = vectors
                bar.update(len(indices))
        return found

    def _batches(self, plan, long_side, bar):
        try:
            for indices, pixels in description_batches(self._paths, plan, long_side):
                described = self._describe(pixels)
                yield indices.numpy(), {k: v.numpy() for k, v in described.items()}
        except tf.errors.InvalidArgumentError:
            # The graph does not say which image it was; those before bar.n were good.
            check_images(self._paths[plan.order[bar.n :]])
            raise
