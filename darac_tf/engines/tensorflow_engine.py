"""TensorFlow as an engine: a folded copy of the backbone in operations that fuse."""

import tensorflow as tf

from darac_tf.engines.function_engine import FunctionEngine
from darac_tf.engines.inference_copy import inference_copy
from darac_tf.models.descriptor import share_backbone


class TensorFlowEngine(FunctionEngine):
    """Describes pixels with an `inference_copy` of the backbone, traced once for all shapes.

    Its weights stay variables. As constants they would make it 1 to 2 % faster, and take 1.5 GB
    more while the graph of a ResNet50V2 is optimised.

    Arguments and errors: `make_engine`.
    """

    def __init__(self, network, preprocessing, poolings, precision="float32"):
        copy = inference_copy(network, precision)

        def feature_maps(inputs, training):
            return tf.cast(copy(inputs, training=training), tf.float32)

        super().__init__(share_backbone(feature_maps, preprocessing, poolings))
