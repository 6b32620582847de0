"""Pooling layers, from feature maps `(batch, height, width, channels)` to one vector an image."""

from darac_tf.layers.global_pooling import MAC, GeM, SPoC
from darac_tf.layers.normalization import L2Normalization, PCAWhitening, l2_normalize
from darac_tf.layers.projection import Projected
from darac_tf.layers.regional import DARAC, RAMAC, RMAC, RegionalGeM, WhitenedRMAC

__all__ = [
    "DARAC",
    "MAC",
    "RAMAC",
    "RMAC",
    "GeM",
    "L2Normalization",
    "PCAWhitening",
    "Projected",
    "RegionalGeM",
    "SPoC",
    "WhitenedRMAC",
    "l2_normalize",
]
