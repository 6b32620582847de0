"""R-MAC whose regional vectors pass through a learned whitening, as in DIR."""

import keras
import tensorflow as tf

from darac_tf.layers.normalization import l2_normalize
from darac_tf.layers.regional import RMAC


@keras.saving.register_keras_serializable(package="darac_tf")
class WhitenedRMAC(RMAC):
    """Regional maxima -> L2 -> shift and fully connected layer -> L2 -> sum -> L2.

    The fully connected layer starts as the identity without a shift, where this is R-MAC;
    `set_whitening` starts it as a PCA whitening. It is trained like any weight.

    Args:
        levels: Number of scales of the grid.
        dim: Dimension of the result; None keeps that of the feature maps.

    Raises:
        ValueError: If `dim` is below 1.

    Source: Gordo, Almazan, Revaud, Larlus, "End-to-end learning of deep visual representations for
    image retrieval" (IJCV 2017, arXiv 1610.07940), section 3.1.
    """

    def __init__(self, levels=3, dim=None, **kwargs):
        super().__init__(levels=levels, **kwargs)
        if dim is not None and dim < 1:
            raise ValueError(f"`dim` must be at least 1, or None. Received: dim={dim}")
        self.dim = dim

    def build(self, input_shape):
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(channels, self.dim or channels),
            initializer="identity",
            autocast=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.dim or channels,), initializer="zeros", autocast=False
        )

    def regional_vectors(self, inputs):
        """L2-normalised regional maxima `(batch, regions, channels)`, before the whitening."""
        return l2_normalize(self._regional_vectors(inputs))

    def set_whitening(self, mean, projection):
        """Starts the fully connected layer as `projection (x - mean)`.

        Args:
            mean: `(channels,)`.
            projection: `(dim, channels)`.
        """
        self.kernel.assign(projection.T)
        self.bias.assign(-projection @ mean)

    def _normalized(self, vectors):
        projected = tf.einsum("brc,cd->brd", l2_normalize(vectors), self.kernel.value)
        return l2_normalize(projected + self.bias.value)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim or input_shape[-1])

    def get_config(self):
        return super().get_config() | {"dim": self.dim}
