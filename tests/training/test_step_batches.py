"""Training batches: the same step gives the same batch, whole or in parts."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.augmentation import Augmentation
from darac_tf.data.labelled import read_folder
from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.errors import UserError
from darac_tf.training.batches import StepBatches, _shares, one_sampler, training_batches
from tests.helpers import write_collection


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("batches"), 5, 5))


def _batches(images, first, last, augmentation=None, seed=0):
    sampler = ClassBalancedSampler(images.labels, 3, 2, seed)
    augmentation = augmentation or Augmentation()
    dataset = training_batches(images, sampler, augmentation, 32, first, last, seed)
    return list(dataset.as_numpy_iterator())


def test_starting_later_gives_the_same_batches(images):
    whole, rest = _batches(images, 0, 6), _batches(images, 4, 6)
    assert len(whole) == 6 and len(rest) == 2
    for (pixels, labels), (later_pixels, later_labels) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(pixels, later_pixels)
        np.testing.assert_array_equal(labels, later_labels)


def test_batches(images):
    pixels, labels = _batches(images, 0, 1)[0]
    assert pixels.shape == (6, 32, 32, 3) and pixels.dtype == np.float32
    assert pixels.min() >= 0 and pixels.max() <= 255
    assert labels.dtype == np.int32 and sorted(np.bincount(labels)[np.unique(labels)]) == [2, 2, 2]


def test_parts_are_those_of_the_whole(images):
    sampler = ClassBalancedSampler(images.labels, 3, 2, 0)
    make = partial(training_batches, images, sampler, Augmentation(), 32, 2, 4, 0)
    whole = list(make().as_numpy_iterator())
    for first_part in range(3):
        parts = list(make(parts=3, first_part=first_part).as_numpy_iterator())
        for (pixels, labels), (own_pixels, own_labels) in zip(whole, parts, strict=True):
            own = slice(2 * first_part, 2 * first_part + 2)
            np.testing.assert_array_equal(pixels[own], own_pixels)
            np.testing.assert_array_equal(labels[own], own_labels)


def test_workers_of_several_replicas_take_what_the_others_leave():
    contexts = [tf.distribute.InputContext(3, worker, 6) for worker in range(3)]
    assert [_shares(context) for context in contexts] == [(6, 0, 2), (6, 2, 2), (6, 4, 2)]


def test_a_bad_image_that_was_read_ahead_is_named(tmp_path):
    images = read_folder(write_collection(tmp_path, 5, 5))
    sampler = ClassBalancedSampler(images.labels, 1, 1)
    bad = next(iter(set(sampler.batch(4)) - {sampler.batch(step)[0] for step in range(4)}))
    Path(images.paths[bad]).write_bytes(b"no image")
    with pytest.raises(UserError, match=f"{images.paths[bad]}: cannot be decoded"):
        StepBatches(None, images, one_sampler(sampler)).check_around(0)


def test_no_tuner_holds_up_the_end(images):
    sampler = ClassBalancedSampler(images.labels, 3, 2, 0)
    training = training_batches(images, sampler, Augmentation(), 32, 0, 2, 0)
    assert training.options().autotune.enabled is False
