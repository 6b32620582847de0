"""A training run, from settings to the best and the last model."""

import contextlib
import csv
import dataclasses
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from darac_tf.data import load_dataset
from darac_tf.data.images import content_size, decoding_failure, unreadable
from darac_tf.data.labelled import read_csv
from darac_tf.data.training_sets import PreparedImages
from darac_tf.errors import UserError, listing
from darac_tf.files import common_folder, only_writer, remove
from darac_tf.layers import WhitenedRMAC
from darac_tf.models.descriptor import BEST_MODEL, POOLING_LAYER, backbone_of
from darac_tf.settings import CONFIG_FILE
from darac_tf.threads import in_order
from darac_tf.training.batches import StepBatches, make_sampling
from darac_tf.training.checkpoint import RunCheckpoint
from darac_tf.training.loop import LAST_MODEL, Loop, RunResult
from darac_tf.training.monitor import METRICS_FILE
from darac_tf.training.pooling_weights import fit_pooling_weights, is_fitted
from darac_tf.training.replicas import make_replicas
from darac_tf.training.state import build_state
from darac_tf.training.step import make_train_step
from darac_tf.training.summary import write_summary
from darac_tf.training.validation import Validator
from darac_tf.whitening import fit_pca_whitening

__all__ = ["LAST_MODEL", "RunResult", "train"]

# Images whose regional vectors a PCA is fitted on, 14 of each square image.
_MAX_IMAGES = 4000
# Held by the process that writes a run.
LOCK = ".lock"
# All that a run writes before its first checkpoint and its first validation of a step.
_BEGINNING = {
    *(LOCK, CONFIG_FILE, "train.csv", "val.csv", "val_images", "pooling_vectors", "mined"),
    *(METRICS_FILE, "tensorboard", "pictures", BEST_MODEL, "checkpoints"),
}


def train(config, run_dir, resume=False):
    """Trains a descriptor by a `TrainConfig`; returns the `RunResult`.

    Writes to `run_dir`, a new one unless `resume`: config.json, train.csv and val.csv (the images
    of each), checkpoints, metrics.csv, TensorBoard events, best.keras (highest validation mAP;
    without validation, the last model), last.keras and summary.md. With `resume` it goes on from
    the last checkpoint in it, with the very next step. `UserError` if settings, data or an earlier
    run do not allow it.
    """
    run_dir = Path(run_dir)
    replicas = make_replicas(config.strategy, config.replicas)
    if resume or replicas.is_chief:
        check_run_dir(config, run_dir, resume)
    keras.utils.set_random_seed(config.seed)
    training, validation = training_images(config, run_dir if resume else None)
    given, config = config, config.for_classes(len(training.class_names))
    replicas.check_batch(config)
    state = build_state(config, len(training.class_names), replicas)
    sampling = make_sampling(config, run_dir, state.model, training)
    checkpoint = RunCheckpoint(run_dir, state)
    if resume:
        for note in checkpoint.restore():
            logging.warning("--resume: %s", note)
    is_first, fits = checkpoint.step == 0, False
    if is_first:
        fits = is_fitted(config, training, validation)
        batches = StepBatches(config, training, sampling).after(0)
        fit_pooling(state.model, batches, len(training))
    if replicas.is_chief and not resume:  # All that can be refused before it is written, is.
        start_run_dir(run_dir, given, training, validation)
    if not replicas.is_chief:
        validation = None
    with only_writer(run_dir / LOCK) if replicas.is_chief else contextlib.nullcontext():
        if isinstance(validation, PreparedImages):  # Descriptors are extracted from files.
            validation = validation.extract(run_dir / "val_images")
        if is_first:
            to_fit = (training, validation, config, run_dir / "pooling_vectors") if fits else None
            _start_pooling(state, to_fit)
        validator = Validator(state.model, validation, config) if validation else None
        step = make_train_step(state, config, replicas)
        loop = Loop(config, run_dir, state, replicas, checkpoint, validator, step)
        result = loop.run(StepBatches(config, training, sampling, replicas))
        if replicas.is_chief:
            write_summary(run_dir, config, state.model, result)
    return result


def _start_pooling(state, to_fit):
    """Gives the pooling what it learns before the first step, and the average the same start."""
    if to_fit:
        logging.warning("%s", fit_pooling_weights(state.model, *to_fit))
    if state.average is not None:
        state.average.restart()


def check_run_dir(config, run_dir, resume):
    """Raises `UserError` if there is a run already, or with `resume` none of these settings."""
    if resume:
        config.check_resumes(run_dir)
    elif (run_dir / CONFIG_FILE).exists() and not _is_only_begun(run_dir):
        advice = "add --resume to go on with it, or name another"
        raise UserError(f"--run_dir: {run_dir} holds a run already; {advice}")


def _is_only_begun(run_dir):
    """Whether a run directory has nothing but what a new run writes again: no checkpoint yet."""
    kept = [*run_dir.glob("checkpoints/ckpt-*"), *run_dir.glob("pictures/*[!0]*.*")]
    if kept or not {path.name for path in run_dir.iterdir()} <= _BEGINNING:
        return False
    with only_writer(run_dir / LOCK):  # Or refused: it is at work.
        return True


def training_images(config, run_dir=None):
    """`(LabelledImages to train on, LabelledImages to validate on or None)` of `TrainConfig`.

    Of a run to go on with, `run_dir`, those that it began with, whatever the data set has now.
    `UserError` if they can't be read, or can't be trained on; as far as the list of images tells,
    before any image is read.
    """
    how = {"orientation": config.orientation, "max_pixels": config.max_pixels}
    images = load_dataset(config.dataset, config.data_dir, **how)
    found = _parts(images, config)
    if (readable := _readable(images, config)) is not images:
        found = _parts(readable, config)
    if run_dir is not None:
        found = _images_of_run(config, run_dir, *found)
        _check_parts(*found)
    return found


def _parts(images, config):
    """`(training, validation or None)` of a data set, by the settings; or `UserError`."""
    if config.val_classes:
        images = images.split(config.split) if config.split else images
        training, validation = images.hold_out_classes(config.val_classes, config.split_seed)
    else:
        validation = images.split(config.val_split) if config.val_split else None
        training = images.split(config.split) if config.split else _rest(images, config.val_split)
    _check_parts(training, validation)
    return training, validation


def _check_parts(training, validation):
    training.check_for_training()
    if validation is not None and np.bincount(validation.labels).max() < 2:
        raise UserError(f"{validation.name}: validation needs a class of two images or more")


def _readable(images, config):
    """`LabelledImages`, all of which have a file; with `skip_bad_images` only those that decode."""
    if isinstance(images, PreparedImages):
        return images
    if not config.skip_bad_images:
        for path in images.paths:
            if not content_size(path):
                raise UserError(unreadable(path))
        return images
    fault_of = partial(decoding_failure, max_pixels=config.max_pixels)
    bar = tqdm(in_order(fault_of, images.paths), "check", len(images), unit="image")
    faults = np.array([fault or "" for fault in bar])
    if found := list(faults[faults != ""]):
        logging.warning("%d images are left out:\n%s", len(found), listing(found))
    return images.select(faults == "") if found else images


def _rest(images, val_split):
    """What there is to train on besides the split to validate on, which is said."""
    if not val_split:
        return images
    rest = images.select(images.splits != val_split)
    names = sorted(set(map(str, rest.splits)) - {""})
    if len(names) > 1:
        raise UserError(f"--val_split={val_split}: add --split, one of {', '.join(names)}")
    logging.warning("--val_split=%s: trains on the other %d images", val_split, len(rest))
    return rest


def _images_of_run(config, run_dir, *images):
    """For what a data set has now, what the run's lists have where that is something else."""
    kept, changes = [], []
    for now, name in zip(images, ("train.csv", "val.csv"), strict=True):
        kept.append(now)
        if now is None:
            continue
        with TemporaryDirectory() as folder:
            now.write_csv(Path(folder) / name)
            if _listed(Path(folder) / name) == _listed(run_dir / name):
                continue
        if isinstance(now, PreparedImages) or now.pairs is not None:
            raise UserError(f"--resume: {now.name} has changed since {run_dir / name} was written")
        try:
            how = {each: getattr(now, each) for each in ("name", "upright", "max_pixels")}
            listed = dataclasses.replace(read_csv(run_dir / name), **how)
            kept[-1] = _readable(listed, config)
        except UserError as error:
            raise UserError(f"--resume: {run_dir / name} can't be read again: {error}") from error
        changes.append(f"{len(kept[-1])} images of its {name} (now {len(now)})")
    if changes:
        text = "--resume: the data set has changed; the run goes on with the %s"
        logging.warning(text, " and the ".join(changes))
    return kept


def _listed(file):
    """The rows of a list of images, with paths from the folder that holds all of them."""
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            _, *rows = csv.reader(opened)
    except OSError as error:
        raise UserError(f"--resume: can't read {file}: {error.strerror}") from error
    folder = common_folder(path for path, *_ in rows) or ""
    return [(path.removeprefix(folder), *rest) for path, *rest in rows]


def start_run_dir(run_dir, config, training, validation):
    """Writes what a run starts from: config.json, train.csv, and val.csv where there is one.

    What is left of a run that only began, see `check_run_dir`, is removed.
    """
    for name in _BEGINNING - {LOCK} if (run_dir / CONFIG_FILE).exists() else ():
        remove(run_dir / name)
    training.write_csv(run_dir / "train.csv")
    if validation:
        validation.write_csv(run_dir / "val.csv")
    config.write(run_dir)


def fit_pooling(model, batches, n_images):
    """Starts a `WhitenedRMAC` as the PCA whitening of its regional vectors; leaves others as is.

    Of a descriptor, and an iterable of training batches `(images, labels)`: as many are taken as
    are wanted, but of its `n_images` each once at most. `UserError` if they are too few for its
    dimension.

    Source: Gordo et al., arXiv 1610.07940, section 3.1. How many images is not given.
    """
    pooling = model.get_layer(POOLING_LAYER)
    if not isinstance(pooling, WhitenedRMAC):
        return
    network, preprocessing = backbone_of(model)

    @tf.function(reduce_retracing=True, autograph=False)
    def regional_vectors(images):
        vectors = pooling.regional_vectors(network(preprocessing(images), training=False))
        return tf.reshape(vectors, [-1, vectors.shape[-1]])

    found, seen = [], 0
    for images, _ in batches:
        found.append(regional_vectors(images).numpy())
        seen += len(images)
        if seen >= min(_MAX_IMAGES, n_images):
            break
    whitening = fit_pca_whitening(np.concatenate(found), dim=pooling.dim)
    pooling.set_whitening(whitening.mean, whitening.projection)
