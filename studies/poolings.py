"""Average, maximum and both, of the whole map and of regions, on the maps of one backbone."""

import numpy as np

from darac_tf.describing.sources import Source
from darac_tf.layers import DARAC, MAC, RAMAC, GeM, SPoC
from darac_tf.layers.regional import REGIONS_OF_GRID
from darac_tf.models import build_backbone
from darac_tf.models.descriptor import share_backbone

_REGIONS = REGIONS_OF_GRID["fixed"]
_WHOLE_MAP = _REGIONS - 1  # the last of each statistic

GLOBAL_AVERAGE, GLOBAL_MAX, GLOBAL_BOTH = "global avg", "global max", "global avg + max"
REGIONAL_AVERAGE, REGIONAL_MAX, REGIONAL_BOTH = "R-avg", "R-max", "R-avg + R-max (RAMAC)"
GEM = "GeM, p = 3"


def make_poolings(channels):
    """The pooled vectors that are compared.

    Three are DARAC with weights of 0 and 1: `L2(sum_k w_k L2(v_k))` over the maxima and averages of
    21 regions is the regional maximum where only the maxima count, the regional average likewise,
    and `L2(L2(avg) + L2(max))` of the whole map where only its two vectors count.

    Args:
        channels: Of the feature maps.

    Returns:
        Dictionary of name to built pooling layer. Regions are those of `region_pooling.fixed_grid`.

    Source: DARAC (arXiv 1909.09420), average against maximum pooling.
    """
    maxima, averages = range(_REGIONS), range(_REGIONS, 2 * _REGIONS)
    poolings = {
        GLOBAL_AVERAGE: SPoC(),
        GLOBAL_MAX: MAC(),
        GLOBAL_BOTH: _of_vectors([maxima[_WHOLE_MAP], averages[_WHOLE_MAP]], channels),
        REGIONAL_AVERAGE: _of_vectors(averages, channels),
        REGIONAL_MAX: _of_vectors(maxima, channels),
        REGIONAL_BOTH: RAMAC(),
        GEM: GeM(p=3.0, learn_p=False),
    }
    for layer in poolings.values():
        if not layer.built:
            layer.build((None, None, None, channels))
    return poolings


def pooling_source(backbone, weights=None):
    """All poolings on one backbone: an image is passed through it once for all of them.

    Args:
        backbone: See `models.build_backbone`.
        weights: See `models.build_backbone`.

    Returns:
        `sources.Source`.

    Raises:
        UserError: As `models.build_backbone`.
    """
    network, preprocessing = build_backbone(backbone, weights)
    poolings = make_poolings(network.output_shape[-1])
    parts = {name: (network, preprocessing, layer) for name, layer in poolings.items()}
    return Source(tuple(poolings), share_backbone(network, preprocessing, poolings), parts)


def _of_vectors(indices, channels):
    """DARAC whose result is the sum of some of its 42 vectors only."""
    layer = DARAC(grid="fixed")
    layer.build((None, None, None, channels))
    weights = np.zeros((2 * _REGIONS, 1), np.float32)
    weights[list(indices)] = 1
    layer.set_weights([weights])
    return layer
