"""The last layers of a network and a pooling, trained together on stored maps of those below."""

import keras
import numpy as np
import tensorflow as tf

from darac_tf.data.augmentation import CropShapes
from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.errors import UserError
from darac_tf.layers import l2_normalize
from darac_tf.models.descriptor import share_backbone
from darac_tf.training.convolutions import speed_up_gradients
from darac_tf.training.state import warmup_cosine

_WARMUP = 20
# Cells of maps that are described at once: 1280 channels of them are 40 MB.
_CELLS = 8192
# Keeps the choice of views apart from the sampler's random numbers under the same seed.
_STREAM = 21


class JointHead:
    """Trains the kernels of `upper`, with batch normalisation as it is, and a pooling, by Adam.

    Args:
        upper: Keras model, maps to feature maps; it is not changed.
        pooling: Layer that is not built yet.
        loss: Called as `loss(labels, embeddings)`, without weights of its own.
        pooling_rate: Peak learning rate of the pooling's weights.

    Attributes:
        describe: `describer` of both, whose one name is empty.
    """

    def __init__(self, upper, pooling, loss, pooling_rate=1e-2):
        self.upper = keras.models.clone_model(upper)
        self.upper.set_weights(upper.get_weights())
        for layer in self.upper.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
        speed_up_gradients(self.upper)
        self.pooling = pooling
        pooling.build(upper.output_shape)
        self._groups = [self.upper.trainable_variables, pooling.trainable_variables]
        self._start = self.weights()
        self._pooling_rate = pooling_rate
        self._adam = [keras.optimizers.Adam() for _ in self._groups]
        for adam, variables in zip(self._adam, self._groups, strict=True):
            adam.build(variables)
        self._state = [v for adam in self._adam for v in adam.variables]
        self._fresh = [v.numpy() for v in self._state]
        signature = [tf.TensorSpec((None, *upper.input_shape[1:]), tf.float16)]
        signature.append(tf.TensorSpec([None], tf.int64))

        @tf.function(input_signature=signature, autograph=False)
        def step(maps, labels):
            with tf.GradientTape() as tape:
                feature_maps = self.upper(tf.cast(maps, tf.float32), training=False)
                value = loss(labels, l2_normalize(pooling(feature_maps)))
            every = [[variable.value for variable in group] for group in self._groups]
            for adam, group, found in zip(
                self._adam, self._groups, tape.gradient(value, every), strict=True
            ):
                if group:
                    adam.apply(found, group)
            return value

        self._step = step
        self.describe = describer(self.upper, {"": pooling})

    def weights(self):
        """List of arrays: those of `upper` that are trained, then the pooling's."""
        return [variable.numpy() for group in self._groups for variable in group]

    def set_weights(self, weights):
        variables = [variable for group in self._groups for variable in group]
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def train(self, batches, rate):
        """Trains from the start; `UserError` if the loss is not finite in the end.

        Args:
            batches: List of `(maps float16 (n, rows, columns, channels), labels int64 (n,))`.
            rate: Peak learning rate of `upper`: linear warm-up, then half a cosine to 0.
        """
        self.set_weights(self._start)
        for variable, value in zip(self._state, self._fresh, strict=True):
            variable.assign(value)
        schedule = warmup_cosine(1.0, _WARMUP, len(batches))
        for number, (maps, labels) in enumerate(batches):
            rise = float(schedule(number + 1))
            for adam, own in zip(self._adam, (rate, self._pooling_rate), strict=True):
                adam.learning_rate.assign(own * rise)
            value = float(self._step(maps, labels))
        if not np.isfinite(value):
            raise UserError(f"The loss is not finite. Received: {value} at rate {rate}")


class StoredBatches:
    """The batches of a run, of stored views: `batch(step)` is `(maps, labels)`.

    Args:
        views: Dictionary of `(height, width)` in pixels to maps `(views, images, rows, columns,
            channels)`.
        labels: int `(images,)`.
        shapes: Text of `augmentation.parse_shapes`.
        size: Side of a square in pixels.
        classes, images: P and K.
        seed: Of the run.
    """

    def __init__(self, views, labels, shapes, size, classes, images, seed):
        self._shapes = CropShapes(shapes, size, seed)
        self._views = [views[sides] for sides in self._shapes.sides]
        self._labels, self._seed = labels, seed
        self._sampler = ClassBalancedSampler(labels, classes, images, seed)

    def batch(self, step):
        rows = self._sampler.batch(step)
        views = self._views[self._shapes.of_step(step)]
        random = np.random.default_rng([self._seed, _STREAM, step])
        chosen = random.integers(0, len(views), len(rows))
        maps = np.stack([views[view, row] for view, row in zip(chosen, rows, strict=True)])
        return maps, self._labels[rows]


def describer(upper, poolings):
    """Descriptors of stored maps.

    Args:
        upper: Keras model, maps to feature maps.
        poolings: Dictionary of name to built pooling layer.

    Returns:
        Function of a list of groups, as `stored_maps.store_whole` gives them, to a dictionary of
        name to unit vectors, float32 `(images, channels)`. It follows the weights of both.
    """
    of_maps = share_backbone(upper, lambda maps: tf.cast(maps, tf.float32), poolings)
    signature = [tf.TensorSpec((None, *upper.input_shape[1:]), tf.float16)]
    describe = tf.function(of_maps, input_signature=signature, autograph=False)

    def of_all(stored):
        images = sum(len(places) for places, _ in stored)
        found = {name: np.zeros((images, upper.output_shape[-1]), np.float32) for name in poolings}
        for places, maps in stored:
            count = max(1, _CELLS // (maps.shape[1] * maps.shape[2]))
            for start in range(0, len(places), count):
                vectors = describe(maps[start : start + count])
                for name, rows in found.items():
                    rows[places[start : start + count]] = vectors[name]
        return found

    return of_all
