"""Trains what a pooling learns on cached vectors, before the network is touched.

DARAC's weights and GeM's exponent need hundreds of steps to converge, and the backbone is nearly
all of a step's cost. While it rests, what is pooled stays the same: it is described once, at the
size and in the shapes of use, kept in memory-mapped files, and the pooling is trained on that in
seconds. Held-out classes decide where to stop; the weights at the start are one of the candidates.
The procedure is a reconstruction: the papers don't say how the weights were trained.
"""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from darac_tf.data.augmentation import parse_shapes
from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.data.training_sets import PreparedImages
from darac_tf.data.views import read_views
from darac_tf.describing.combination import Vectors
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.errors import UserError
from darac_tf.evaluation.task import labelled_task
from darac_tf.layers import DARAC, l2_normalize
from darac_tf.losses import make_loss
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of
from darac_tf.ranking.rank import RankingSettings, rank
from darac_tf.training.config import DEFAULT_CLASSES
from darac_tf.training.validation import Validator

# Between the first and the last step; training ends after so many without a better score.
_VALIDATIONS, _PATIENCE = 15, 4
_HELD_OUT_SHARE, _FEWEST_CLASSES = 0.2, 4
_ROWS_AT_ONCE = 256


@dataclass
class PoolingFit:
    """What came of it."""

    scores: list  # List of (step, mAP of held-out classes); step 0 is before.
    best_step: int = 0  # The step whose weights were kept.

    def __str__(self):
        scores = dict(self.scores)
        return (
            "pooling: mAP of held-out classes "
            f"{100 * scores[0]:.2f} -> {100 * scores[self.best_step]:.2f} at step {self.best_step}"
        )


def is_fitted(config, training, held_out):
    """Whether a run trains its pooling first.

    Without images that are held out, classes may be too few to train it and to say when to stop:
    it is left out then, with a warning.

    Raises:
        UserError: If they are too few for `--pooling_steps` or `--steps=0`.
    """
    count = len(training.class_names)
    if not config.steps_of_pooling or held_out is not None or count >= _FEWEST_CLASSES:
        return config.steps_of_pooling > 0
    fault = (
        f"--pooling_steps: {training.name} has {count} classes, of which two are held out and "
        f"two train: name a set of at least {_FEWEST_CLASSES}, or validation images"
    )
    if config.pooling_steps or not config.steps:
        raise UserError(fault)
    logging.warning("%s. The pooling starts as it is", fault)
    return False


def fit_pooling_weights(model, training, held_out, config, folder):
    """Trains the pooling of a descriptor with DARAC or GeM; its network stays as it is.

    Args:
        model: The descriptor.
        training: `LabelledImages`, or `PreparedImages`.
        held_out: `LabelledImages` of other classes, which decide where to stop; None takes a fifth
            of the training classes for it.
        config: `TrainConfig`: `pooling_...`, `crop_shapes`, `image_size`, P, K and the loss; one
            with weights of classes, or of tuples, is replaced by NRA.
        folder: For the cached vectors, removed afterwards. Interrupted, a second call goes on with
            what is described.

    Returns the `PoolingFit`. `UserError` if an image can't be read, or there are too few classes.
    """
    folder = Path(folder)
    training, held_out = _halves(training, held_out, config)
    training, held_out = (
        images.extract(folder / name) if isinstance(images, PreparedImages) else images
        for name, images in (("training", training), ("held_out", held_out))
    )
    pooling = _copied_pooling(model)
    vectors_of = _cached_vectors(*backbone_of(model), pooling, config, folder / "vectors")
    rows_held_out = vectors_of(held_out.image_list())
    rows = vectors_of(_views(training, config))
    fit = fit_on_vectors(
        pooling, model.output_shape[-1], rows, training, rows_held_out, held_out, config
    )
    model.get_layer(POOLING_LAYER).set_weights(pooling.get_weights())
    shutil.rmtree(folder, ignore_errors=True)
    return fit


def fit_on_vectors(pooling, channels, rows, training, rows_held_out, held_out, config):
    """`fit_pooling_weights` of vectors that are described already.

    Args:
        pooling: Built DARAC or GeM, float32; it gets the weights.
        channels: Of its descriptors.
        rows: float32 `(views * images, vectors * channels)`, what is pooled of `training`: for
            DARAC its 42 `vectors`.
        rows_held_out: The same of `held_out`, one view.
        training, held_out, config, and result: As there.
    """
    pool = _make_pool(pooling, channels)
    batches = _Batches(rows, training.labels, config)
    scorer = _Scorer(pool, rows_held_out, held_out)
    step = _make_step(pooling, pool, config)
    return _fit(pooling, step, batches, scorer, config.steps_of_pooling)


def cost_of_fit(model, training, held_out, config):
    """`(images that `fit_pooling_weights` describes, bytes it keeps, seconds of a step)`."""
    training, held_out = _halves(training, held_out, config)
    views = config.pooling_views * len(training) + len(held_out)
    network, _ = backbone_of(model)
    pooling, channels = _copied_pooling(model), model.output_shape[-1]
    step = _make_step(pooling, _make_pool(pooling, channels), config)
    maps = tf.zeros(network.compute_output_shape((1, config.image_size, config.image_size, 3)))
    width = tf.size(pooling.vectors(maps) if isinstance(pooling, DARAC) else maps)
    classes = config.classes_per_batch or DEFAULT_CLASSES
    labels = np.repeat(np.arange(classes), config.images_per_class)
    rows = np.random.default_rng(0).random((len(labels), int(width)), np.float32)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        float(step(rows, labels))
        seconds.append(time.perf_counter() - started)
    return views, views * rows[0].nbytes, min(seconds)


def _copied_pooling(model):
    """A copy of the pooling, without the strategy and the precision of the run."""
    layer = model.get_layer(POOLING_LAYER)
    pooling = type(layer).from_config(layer.get_config() | {"dtype": "float32"})
    pooling.build((None, None, None, model.output_shape[-1]))
    pooling.set_weights(layer.get_weights())
    return pooling


def _halves(training, held_out, config):
    """Images to train on and images of other classes, as many as the settings want of each."""
    if held_out is None:
        count = max(2, round(_HELD_OUT_SHARE * len(training.class_names)))
        training, held_out = training.hold_out_classes(count, config.split_seed)
    return _some(training, config), _some(held_out, config)


def _some(images, config):
    """At most `pooling_images` images: an equal share of each class, or two of some of them."""
    chosen = np.zeros(len(images), bool)
    random, labels = np.random.default_rng([config.seed, 11]), range(len(images.class_names))
    share = min(1.0, config.pooling_images / len(images))
    if 2 * len(labels) > config.pooling_images:
        labels = random.permutation(labels)[: config.pooling_images // 2]
    for label in labels:
        rows = np.flatnonzero(images.labels == label)
        chosen[random.permutation(rows)[: max(2, round(share * len(rows)))]] = True
    return images.select(chosen)


def _views(images, config):
    """`ImageList`: all images as a whole, then `pooling_views - 1` random crops of each.

    Crops have the shapes of `crop_shapes`, or each that of its image.
    """
    if config.pooling_views == 1:
        return images.image_list()
    views, _ = read_views(images.image_list(), progress=False)
    random = np.random.default_rng([config.seed, 12])
    height, width = views.shapes.T
    ratios = None if config.crop_shapes is None else parse_shapes(config.crop_shapes)
    boxes = [np.full((len(height), 4), np.nan)]
    for _ in range(config.pooling_views - 1):
        side = np.sqrt(random.uniform(config.min_crop_area, 1, len(height)))
        ratio = width / height if ratios is None else random.choice(ratios, len(height))
        # Of the crop's shape, the largest that the image has.
        sides = side * np.minimum(width, height * ratio), side * np.minimum(height, width / ratio)
        x, y = random.uniform(0, width - sides[0]), random.uniform(0, height - sides[1])
        boxes.append(np.column_stack([x, y, x + sides[0], y + sides[1]]).round())
    every = images.image_list(np.tile(np.arange(len(images)), config.pooling_views))
    return replace(every, boxes=np.concatenate(boxes))


def _cached_vectors(network, preprocessing, pooling, config, folder):
    """Function of an `ImageList` to what is pooled of each, rows `(images, vectors * channels)`.

    For DARAC that is the 42 regional vectors; for GeM all cells of the map, with zeros where it is
    smaller than the largest: the descriptor's L2 norm takes their share out again.
    """
    size = config.image_size
    _, height, width, channels = network.compute_output_shape((None, size, size, 3))

    def describe(pixels):
        maps = network(preprocessing(pixels), training=False)
        if isinstance(pooling, DARAC):
            vectors = pooling.vectors(maps)
        else:
            vectors = tf.reshape(tf.cast(maps, tf.float32), [tf.shape(maps)[0], -1, channels])
            missing = height * width - tf.shape(vectors)[1]
            vectors = tf.pad(vectors, [[0, 0], [0, missing], [0, 0]])
        return {"": tf.reshape(vectors, [tf.shape(vectors)[0], -1])}

    kind = repr((type(pooling).__name__, pooling.get_config()))
    cache = FeatureCache(folder, {"": model_fingerprint(network, preprocessing, kind)})
    pixels = config.val_batch_pixels

    def vectors_of(images):
        return extract_features(describe, images, [size], cache, batch_pixels=pixels)[size][""]

    return vectors_of


def _make_pool(pooling, channels):
    """Function of rows of `_cached_vectors` to unit vectors `(rows, channels)`."""

    def pool(rows):
        vectors = tf.reshape(rows, [tf.shape(rows)[0], -1, channels])
        if isinstance(pooling, DARAC):
            return pooling.combine(vectors)
        return l2_normalize(pooling(vectors[:, :, tf.newaxis]))

    return pool


def _make_step(pooling, pool, config):
    loss_of = _loss(config)
    rate = keras.optimizers.schedules.CosineDecay(
        config.pooling_learning_rate, config.steps_of_pooling
    )
    optimizer = keras.optimizers.Adam(rate)
    variables = pooling.trainable_variables
    optimizer.build(variables)

    @tf.function(reduce_retracing=True, autograph=False)
    def step(rows, labels):
        with tf.GradientTape() as tape:
            loss = loss_of(labels, pool(rows))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    return step


def _loss(config):
    """The loss of the run, or NRA for one that has weights of its own or takes tuples."""
    if config.mining == "none":
        loss = config.make_loss(num_classes=2, dim=2)
        if not loss.trainable_variables:
            return loss
    logging.warning("--pooling_steps: the pooling is trained with NRA, not --loss=%s", config.loss)
    return make_loss("nra", 0, 0)


class _Batches:
    """P x K batches of rows; of each image a random view."""

    def __init__(self, rows, labels, config):
        wanted = config.classes_per_batch or DEFAULT_CLASSES
        classes = min(wanted, len(np.unique(labels)))
        self._rows, self._labels, self._seed = rows, labels, config.seed
        self._sampler = ClassBalancedSampler(labels, classes, config.images_per_class, config.seed)

    def batch(self, step):
        """`(rows (P * K, vectors * channels), labels (P * K,))` of a step, counted from 0."""
        places = self._sampler.batch(step)
        views = len(self._rows) // len(self._labels)
        view = np.random.default_rng([self._seed, 13, step]).integers(0, views, len(places))
        return self._rows[places + view * len(self._labels)], self._labels[places]


class _Scorer:
    """Leave-one-out mAP of held-out classes."""

    def __init__(self, pool, rows, images):
        self._pool = tf.function(pool, reduce_retracing=True, autograph=False)
        self._rows, self._task = rows, labelled_task(images)

    def __call__(self):
        blocks = range(0, len(self._rows), _ROWS_AT_ONCE)
        parts = [self._pool(self._rows[start : start + _ROWS_AT_ONCE]).numpy() for start in blocks]
        usable = np.ones(len(self._rows), bool)
        rankings = rank(Vectors([np.concatenate(parts)]), self._task, RankingSettings(), usable)
        return self._task.score(rankings.rows).means[Validator.METRIC]


def _fit(pooling, step, batches, scorer, steps):
    """Trains until held-out classes get no better, and leaves the best weights in the pooling."""
    fit = PoolingFit([(0, scorer())])
    best = pooling.get_weights()
    every = max(1, steps // _VALIDATIONS)
    bar = tqdm(range(1, steps + 1), "train pooling", unit="step", mininterval=1)
    for number in bar:
        loss = step(*batches.batch(number - 1))
        if number % every and number != steps:
            continue
        fit.scores.append((number, scorer()))
        bar.set_postfix(loss=f"{float(loss):.3f}", mAP=f"{100 * fit.scores[-1][1]:.2f}")
        if fit.scores[-1][1] > dict(fit.scores)[fit.best_step]:
            fit.best_step, best = number, pooling.get_weights()
        elif number - fit.best_step >= _PATIENCE * every:
            break
    pooling.set_weights(best)
    return fit
