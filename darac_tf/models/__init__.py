"""Descriptors as Keras models: backbones, their preprocessing, and the pooling on top."""

from darac_tf.models.backbones import build_backbone
from darac_tf.models.descriptor import POOLINGS, build_descriptor, load_descriptor
from darac_tf.models.preprocessing import Preprocessing

__all__ = ["POOLINGS", "Preprocessing", "build_backbone", "build_descriptor", "load_descriptor"]
