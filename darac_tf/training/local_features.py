"""Trains DELF's local features in a run directory: attention by classification, then the PCA.

Source: Noh et al., ICCV 2017 (arXiv 1612.06321), sections 3.3, 4.1 and 4.2.2: softmax cross-entropy
of a linear classifier on the features pooled by attention, of crops that are scaled by a random
factor. The steps, rates and the least factor are a reconstruction.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from darac_tf.data.content_keys import keys_of_images
from darac_tf.data.images import resize
from darac_tf.engines.inference_copy import inference_copy
from darac_tf.errors import UserError
from darac_tf.files import only_writer
from darac_tf.local_features.extraction import LocalExtractor, fit_local_pca
from darac_tf.local_features.model import (
    DELF_MODEL,
    PCA_FILE,
    STRIDE,
    AttentionPooling,
    build_delf,
    inner_model,
    load_delf,
    save_delf,
)
from darac_tf.models import build_backbone
from darac_tf.training.batches import StepBatches, make_sampling
from darac_tf.training.run import LOCK, RunResult, check_run_dir, start_run_dir, training_images

# Images that the PCA is fitted on; each gives up to a hundred features.
_PCA_IMAGES = 1000
# A loss that ends above this share of a guess's is said.
_NEAR_CHANCE = 0.9
# Keeps the random factors apart from other random numbers under the same seed.
_STREAM = 7


def train_local_features(config, run_dir, resume=False):
    """Trains attention on classes and fits the PCA, on the same images; returns the `RunResult`.

    By a `TrainConfig` with `matching` "local". Writes config.json, train.csv (and val.csv, which is
    not used here), delf.keras and pca.npz to a new run directory, or with `resume` goes on after
    the last file that is there. `UserError` if settings, data or an earlier run do not allow it.
    """
    run_dir = Path(run_dir)
    check_run_dir(config, run_dir, resume)
    keras.utils.set_random_seed(config.seed)
    training, validation = training_images(config, run_dir if resume else None)
    given, config = config, config.for_classes(len(training.class_names))
    is_trained, losses = (run_dir / DELF_MODEL).exists(), np.zeros(0)
    if not is_trained:
        network, preprocessing = build_backbone(config.backbone, config.backbone_weights)
        inner_model(network, config.layer)  # Or refused.
    if not resume:
        start_run_dir(run_dir, given, training, validation)
    with only_writer(run_dir / LOCK):
        if not is_trained:
            model, losses = train_attention(network, preprocessing, training, config)
            save_delf(model, run_dir / DELF_MODEL)
            say_what_was_learned(losses, len(training.class_names))
        if not (run_dir / PCA_FILE).exists():
            _fit_pca(config, load_delf(run_dir), training, run_dir / PCA_FILE)
    return RunResult(config.steps, losses, None, 1)


def _fit_pca(config, model, images, path):
    random = np.random.default_rng(config.seed)
    chosen = images.image_list(np.sort(random.permutation(len(images))[:_PCA_IMAGES]))
    extractor = LocalExtractor(model, chosen)
    origin = {"provenance": {"images": images.name}, "image_keys": keys_of_images(chosen.paths)}
    fit_local_pca(extractor, config.local_dim, seed=config.seed, **origin).save(path)


def train_attention(backbone, preprocessing, images, config, hidden_units=512, progress=True):
    """Trains the attention; the backbone's weights and statistics stay as they are.

    Args:
        backbone: Keras model, see `inner.inner_layer`.
        preprocessing: Its `Preprocessing`.
        images: `LabelledImages`, of other places than will be searched.
        config: `TrainConfig`. `layer` is the inner one; `head_learning_rate` is that of Adam, and
            falls to zero along a half cosine.
        hidden_units: Filters of the first convolution of the attention.
        progress: Whether to show a progress bar.

    Returns:
        Tuple of the DELF model (`model.build_delf`) and the losses, float `(steps,)`.

    Raises:
        UserError: With fewer classes than two or those of a batch, an image that cannot be read, a
            layer that is not there, or a loss that is not finite.
    """
    n_classes = len(images.class_names)
    if n_classes < 2:
        raise UserError(f"{images.name}: the attention needs images of at least two classes")
    keras.utils.set_random_seed(config.seed)
    inner = inner_model(backbone, config.layer)
    pooling = AttentionPooling(hidden_units, batch_norm=True)
    classifier = keras.layers.Dense(n_classes, name="classes")
    step = _make_step(inner, preprocessing, pooling, classifier, config)
    sampling = make_sampling(config, None, None, images)
    losses = _run_steps(step, StepBatches(config, images, sampling), config, progress)
    return build_delf(inner, preprocessing, pooling.scores.folded()), losses


def say_what_was_learned(losses, n_classes):
    """Warns where the last tenth of the losses `(steps,)` is hardly below that of guessing."""
    last, chance = losses[-max(len(losses) // 10, 1) :].mean(), np.log(n_classes)
    if last > _NEAR_CHANCE * chance:
        logging.warning(
            "the attention has hardly learned: its loss ended at %.2f, and guessing has %.2f; "
            "give it more --steps, or another --head_learning_rate",
            *(last, chance),
        )


def _make_step(inner, preprocessing, pooling, classifier, config):
    channels, network = inner.output_shape[-1], inference_copy(inner)
    pooling.build((None, None, None, channels))
    classifier.build((None, channels))
    variables = pooling.trainable_variables + classifier.trainable_variables
    rate = keras.optimizers.schedules.CosineDecay(config.head_learning_rate, config.steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)
    labels = tf.TensorSpec([None], tf.int32)
    signature = [tf.TensorSpec([None, None, None, 3]), labels, tf.TensorSpec([])]
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(input_signature=signature, autograph=False)
    def step(pixels, labels, factor):
        # Outside the tape: nothing of it is trained.
        if config.min_scale < 1:  # To whole cells of the feature map.
            sides = tf.cast(tf.cast(tf.shape(pixels)[1:3], tf.float32) * factor, tf.int32)
            pixels = resize(pixels, *tf.unstack(tf.maximum(sides // STRIDE, 1) * STRIDE))
        maps = network(preprocessing(pixels), training=False)
        with tf.GradientTape() as tape:
            logits = classifier(pooling(maps, training=True))
            loss = cross_entropy(labels, tf.cast(logits, tf.float32))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    return step


def factor_of_step(config, step):
    """What the images of a step are scaled by."""
    return np.random.default_rng([config.seed, _STREAM, step]).uniform(config.min_scale, 1)


def _run_steps(step, batches, config, progress):
    losses, steps = [], config.steps
    try:
        bar = tqdm(batches.after(0), "train attention", steps, unit="step", disable=not progress)
        for pixels, labels in bar:
            losses.append(float(step(pixels, labels, factor_of_step(config, len(losses)))))
            bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
            if not np.isfinite(losses[-1]):
                raise UserError(
                    f"step {len(losses)}: the loss is {losses[-1]}; lower --head_learning_rate"
                )
    except tf.errors.InvalidArgumentError:
        batches.check_around(len(losses))  # names the image, if it was one
        raise
    return np.array(losses)
