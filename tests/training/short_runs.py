"""Runs of a few steps without what takes most of their time: graphs, decoders, gradients."""

import contextlib

import pytest
import tensorflow as tf

from darac_tf.data import augmentation, images, pipeline
from darac_tf.training import run as run_module

_JPEG = {"channels": 3, "dct_method": "INTEGER_ACCURATE"}


def _jpeg(data):
    """`images.decode_image` of a JPEG."""
    return tf.io.decode_jpeg(data, **_JPEG)


def _jpeg_window(data, window, *_):
    """`images.decode_window` of a JPEG: the same pixels in a tenth of the ops."""
    offset, size = window(tf.image.extract_jpeg_shape(data))
    return tf.image.decode_and_crop_jpeg(data, tf.concat([offset[:2], size[:2]], 0), **_JPEG)


@contextlib.contextmanager
def jpegs_only():
    """Within it, training batches are of JPEGs alone, stored upright.

    The graph that decodes all kinds takes a large part of the time of a short run.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "decode_window", _jpeg_window)
        yield


@contextlib.contextmanager
def eager():
    """Within it, steps run one by one: their graph takes longer to build than a few of them do."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def step_by_step():
    """Within it, runs are `eager` and of `jpegs_only`, which they validate on as well."""
    with eager(), jpegs_only(), pytest.MonkeyPatch.context() as patch:
        for module in (images, pipeline):  # No graph is kept that has this decoder.
            patch.setattr(module, "decode_image", _jpeg)
        yield


def light_steps(monkeypatch):
    """Instead of training, steps add to the first weights what the images of the batch say.

    For what surrounds the steps. The loss still follows from all batches before.
    """

    def make(state, *_):
        weights = state.model.trainable_variables[0]

        def train_step(images, labels):
            weights.assign_add(tf.fill(weights.shape, tf.reduce_mean(images) / 1e4))
            if state.average is not None:
                state.average.update()
            return tf.reduce_mean(weights), 1.0

        train_step.experimental_get_tracing_count = lambda: 0
        return train_step

    monkeypatch.setattr(run_module, "make_train_step", make)
