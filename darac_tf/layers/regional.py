"""R-MAC, RAMAC and DARAC: L2-normalised regional vectors, summed, L2-normalised.

They differ in what is done to the regional vectors only: which grid, which statistics of a region,
whitening (`WhitenedRMAC`, as in DIR) and weights.
Pooling runs in the layer's compute dtype; normalising and summing in float32.
"""

import logging

import keras
import numpy as np
import tensorflow as tf

from darac_tf.choices import SHARINGS
from darac_tf.errors import check_choice
from darac_tf.layers import region_pooling
from darac_tf.layers.normalization import l2_normalize
from darac_tf.layers.region_pooling import (
    LEVELS_OF_GRID,
    REGION_ORDERS,
    regional_max,
    regional_mean,
)

REGIONS_OF_GRID = {grid: sum(levels) for grid, levels in LEVELS_OF_GRID.items()}
_LOG = logging.getLogger(__name__)


class _RegionalPooling(keras.layers.Layer):
    """`(batch, height, width, channels)` to unit vectors `(batch, channels)`, float32.

    Subclasses have `_grid(height, width)`, and `_regional_vectors(inputs)`: `(batch, vectors,
    channels)` in the compute dtype.
    """

    def regional_vectors(self, inputs):
        """L2-normalised regional vectors `(batch, vectors, channels)`, float32.

        They come before the weights and whitening, in the order of the grid.
        """
        return l2_normalize(self._regional_vectors(inputs))

    def _sum(self, vectors):
        return tf.reduce_sum(vectors, axis=1)

    def vectors(self, inputs):
        """What is summed, float32 `(batch, vectors, channels)`: before the weights."""
        return self._normalized(self._regional_vectors(inputs))

    def combine(self, vectors):
        """The unit vectors `(batch, channels)` of `vectors`."""
        return l2_normalize(self._sum(vectors))

    def call(self, inputs):
        return self.combine(self.vectors(inputs))

    def _normalized(self, vectors):
        return l2_normalize(vectors)

    def _grid_of(self, inputs):
        shape = tf.shape(inputs)
        return self._grid(shape[1], shape[2])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


@keras.saving.register_keras_serializable(package="darac_tf")
class RMAC(_RegionalPooling):
    """Regional maxima on the adaptive grid.

    Args:
        levels: Number of scales of the grid.
        whole: Whether the whole map is one more region, as in the code of GeM's authors.

    Source: Tolias, Sicre, Jegou, 2016 (see `region_pooling.rmac_grid`).
    """

    def __init__(self, levels=3, whole=False, **kwargs):
        super().__init__(**kwargs)
        if levels < 1:
            raise ValueError(f"`levels` must be at least 1. Received: levels={levels}")
        self.levels = levels
        self.whole = whole

    def _grid(self, height, width):
        return region_pooling.rmac_grid(height, width, self.levels)

    def _regional_vectors(self, inputs):
        return self._with_whole(inputs, tf.reduce_max, regional_max)

    def _with_whole(self, inputs, of_all, of_regions):
        vectors = of_regions(inputs, self._grid_of(inputs))
        if not self.whole:
            return vectors
        return tf.concat([of_all(inputs, [1, 2])[:, tf.newaxis], vectors], axis=1)

    def get_config(self):
        return super().get_config() | {"levels": self.levels, "whole": self.whole}


@keras.saving.register_keras_serializable(package="darac_tf")
class WhitenedRMAC(RMAC):
    """Regional maxima -> L2 -> shift and fully connected layer -> L2 -> sum -> L2.

    The fully connected layer starts as the identity without a shift, where this is R-MAC;
    `set_whitening` starts it as a PCA whitening. It is trained like any weight.

    Args:
        levels: Number of scales of the grid.
        dim: Dimension of the result; None keeps that of the feature maps.
        whole: As in `RMAC`.

    Raises:
        ValueError: If `dim` is below 1.

    Source: Gordo, Almazan, Revaud, Larlus, "End-to-end learning of deep visual representations for
    image retrieval" (IJCV 2017, arXiv 1610.07940), section 3.1.
    """

    def __init__(self, levels=3, dim=None, whole=False, **kwargs):
        super().__init__(levels=levels, whole=whole, **kwargs)
        if dim is not None and dim < 1:
            raise ValueError(f"`dim` must be at least 1, or None. Received: dim={dim}")
        self.dim = dim

    def build(self, input_shape):
        channels = input_shape[-1]
        dim = self.dim or channels
        self.kernel = self.add_weight(
            name="kernel", shape=(channels, dim), initializer="identity", autocast=False
        )
        self.bias = self.add_weight(name="bias", shape=(dim,), initializer="zeros", autocast=False)

    def set_whitening(self, mean, projection):
        """Starts it as `projection (x - mean)`, of `(dim, channels)` and `(channels,)`."""
        self.set_projection(projection, -projection @ mean)

    def set_projection(self, weight, bias):
        """Makes it `weight x + bias`, of `(dim, channels)` and `(dim,)`."""
        self.kernel.assign(weight.T)
        self.bias.assign(bias)

    def _normalized(self, vectors):
        projected = tf.einsum("brc,cd->brd", l2_normalize(vectors), self.kernel.value)
        return l2_normalize(projected + self.bias.value)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.dim or input_shape[-1])

    def get_config(self):
        return super().get_config() | {"dim": self.dim}


@keras.saving.register_keras_serializable(package="darac_tf")
class RegionalGeM(WhitenedRMAC):
    """As `WhitenedRMAC` with the generalised mean of each region for its maximum.

    Args:
        p: Initial exponent, above 0, as in `GeM`.
        epsilon: Floor of the activations, above 0.

    The others are those of `WhitenedRMAC`.

    Source: the code of Radenovic, Tolias, Chum (PAMI 2018), whose regional pooling it is.
    """

    def __init__(self, p=3.0, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        if p <= 0 or epsilon <= 0:
            raise ValueError(
                f"`p` and `epsilon` must be positive. Received: p={p}, epsilon={epsilon}"
            )
        self.initial_p, self.epsilon = p, epsilon

    def build(self, input_shape):
        super().build(input_shape)
        initial = keras.initializers.Constant(self.initial_p)
        self.p = self.add_weight(name="p", shape=(), initializer=initial, autocast=False)

    def _regional_vectors(self, inputs):
        p = tf.convert_to_tensor(self.p)
        powers = tf.maximum(tf.cast(inputs, tf.float32), self.epsilon) ** p
        return self._with_whole(powers, tf.reduce_mean, regional_mean) ** (1.0 / p)

    def get_config(self):
        return super().get_config() | {"p": self.initial_p, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="darac_tf")
class RAMAC(_RegionalPooling):
    """Maximum and average of each of 21 regions: 42 vectors with equal weights.

    The order of the vectors is the 21 maxima, then the 21 averages, in the order of the grid.

    Args:
        grid: `"fixed"` (20 regions and the whole map, `region_pooling.fixed_grid`) or `"pyramid"`
            (`region_pooling.pyramid_grid`).
        region_order: `"long_axis"` or `"rows"` (`REGION_ORDERS`). A model that was stored
            before there was a choice loads as `"rows"`, with a warning, and describes as it did.

    Raises:
        ValueError: If `grid` or `region_order` is another.

    Source: DARAC (arXiv 1909.09420); the grid is a reconstruction.
    """

    def __init__(self, grid="fixed", region_order="long_axis", **kwargs):
        super().__init__(**kwargs)
        check_choice("grid", grid, REGIONS_OF_GRID)
        check_choice("region_order", region_order, REGION_ORDERS)
        self.grid = grid
        self.region_order = region_order

    def _grid(self, height, width):
        make = region_pooling.fixed_grid if self.grid == "fixed" else region_pooling.pyramid_grid
        return make(height, width, self.region_order)

    def _regional_vectors(self, inputs):
        grid = self._grid_of(inputs)
        vectors = tf.concat([regional_max(inputs, grid), regional_mean(inputs, grid)], axis=1)
        return tf.ensure_shape(vectors, [None, 2 * REGIONS_OF_GRID[self.grid], None])

    def get_config(self):
        return super().get_config() | {"grid": self.grid, "region_order": self.region_order}

    @classmethod
    def from_config(cls, config):
        if "region_order" not in config:
            _LOG.warning(
                "%s %s was stored before regions were counted along the long axis: it keeps their "
                "order by rows, and describes as it did",
                cls.__name__,
                config.get("name", ""),
            )
            config = config | {"region_order": "rows"}
        return super().from_config(config)


@keras.saving.register_keras_serializable(package="darac_tf")
class DARAC(RAMAC):
    """RAMAC with learned weights of the pooled vectors: `L2(sum_k w_k * L2(v_k))`, k = 1..42.

    All weights start at 1, where DARAC equals RAMAC. The result does not change with the scale of
    the weights, so weight decay must leave them out.

    Args:
        grid: As in `RAMAC`.
        region_order: As in `RAMAC`.
        non_negative: Whether the optimiser keeps the weights at 0 or above.
        per_channel: Weights for each channel, instead of one for all.
        sharing: `"none"` (a weight for each vector), `"level_kind"` (one for the maxima and one for
            the averages of each level, the whole map a level: 8 on the fixed grid, 6 on the
            pyramid) or `"kind"` (2: maxima, averages).
        normalize_regions: Whether each regional vector is L2-normalised before it is weighted;
            without, a region counts by its activation too.

    Raises:
        ValueError: If `grid`, `region_order` or `sharing` is another.

    Source: DARAC (arXiv 1909.09420); weights free in sign, initialised to 1, and shared ones are
    reconstructions.
    """

    def __init__(
        self,
        grid="fixed",
        non_negative=False,
        per_channel=False,
        normalize_regions=True,
        region_order="long_axis",
        sharing="none",
        **kwargs,
    ):
        super().__init__(grid=grid, region_order=region_order, **kwargs)
        check_choice("sharing", sharing, SHARINGS)
        self.sharing = sharing
        self.non_negative = non_negative
        self.per_channel = per_channel
        self.normalize_regions = normalize_regions

    def build(self, input_shape):
        self.region_weights = self.add_weight(
            name="region_weights",
            shape=(int(self._weight_of_vector[-1]) + 1, input_shape[-1] if self.per_channel else 1),
            initializer="ones",
            constraint=keras.constraints.NonNeg() if self.non_negative else None,
            autocast=False,
        )

    @property
    def _weight_of_vector(self):
        """Index of the weight of each vector, `(42,)`."""
        levels = LEVELS_OF_GRID[self.grid]
        if self.sharing == "none":
            return np.arange(2 * sum(levels))
        if self.sharing == "kind":
            return np.repeat([0, 1], sum(levels))
        return np.repeat(np.arange(2 * len(levels)), [*levels, *levels])

    def vector_weights(self):
        """The weight of each vector, maxima first: tensor `(42, 1)`, or `(42, channels)`."""
        weights = tf.convert_to_tensor(self.region_weights)
        return weights if self.sharing == "none" else tf.gather(weights, self._weight_of_vector)

    def _normalized(self, vectors):
        return l2_normalize(vectors) if self.normalize_regions else tf.cast(vectors, tf.float32)

    def _sum(self, vectors):
        return tf.reduce_sum(vectors * self.vector_weights(), axis=1)

    def get_config(self):
        return super().get_config() | {
            "non_negative": self.non_negative,
            "per_channel": self.per_channel,
            "normalize_regions": self.normalize_regions,
            "sharing": self.sharing,
        }
