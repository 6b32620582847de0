"""Training batches: the same step gives the same batch, whole or in parts."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.augmentation import Augmentation, CropShapes
from darac_tf.data.labelled import read_folder
from darac_tf.data.samplers import ClassBalancedSampler
from darac_tf.errors import UserError
from darac_tf.training.batches import StepBatches, _shares, one_sampler, training_batches
from tests.helpers import write_collection, write_image
from tests.training.short_runs import jpegs_only


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("batches"), 5, 5))


SHAPES = [None, "4:3,4:3,3:4,1:1"]


@pytest.fixture
def jpegs():
    with jpegs_only():
        yield


def _batches(images, first, last, shapes=None, seed=0, **parts):
    sampler = ClassBalancedSampler(images.labels, 3, 2, seed)
    shapes = CropShapes(shapes, 32, seed)
    dataset = training_batches(images, sampler, Augmentation(), shapes, first, last, seed, **parts)
    return list(dataset.as_numpy_iterator())


@pytest.mark.usefixtures("jpegs")
@pytest.mark.parametrize("shapes", SHAPES)
def test_starting_later_gives_the_same_batches(images, shapes):
    whole, rest = _batches(images, 0, 6, shapes), _batches(images, 4, 6, shapes)
    assert len(whole) == 6 and len(rest) == 2
    for (pixels, labels), (later_pixels, later_labels) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(pixels, later_pixels)
        np.testing.assert_array_equal(labels, later_labels)


def test_batches(images):
    pixels, labels = _batches(images, 0, 1)[0]
    assert pixels.shape == (6, 32, 32, 3) and pixels.dtype == np.float32
    assert pixels.min() >= 0 and pixels.max() <= 255
    assert labels.dtype == np.int32 and sorted(np.bincount(labels)[np.unique(labels)]) == [2, 2, 2]


@pytest.mark.usefixtures("jpegs")
def test_shapes_have_their_shares_in_every_round(images):
    batches = _batches(images, 0, 8, SHAPES[1])
    shapes = [pixels.shape for pixels, _ in batches]
    for start in (0, 4):
        found = shapes[start : start + 4]
        # Of the area of 32 x 32.
        assert sorted(found) == [(6, 28, 37, 3)] * 2 + [(6, 32, 32, 3), (6, 37, 28, 3)]
    for (pixels, labels), (squares, as_ever) in zip(batches, _batches(images, 0, 8), strict=True):
        np.testing.assert_array_equal(labels, as_ever)
        if pixels.shape == squares.shape:
            np.testing.assert_array_equal(pixels, squares)


@pytest.mark.usefixtures("jpegs")
def test_parts_are_those_of_the_whole(images):
    make = partial(_batches, images, 2, 4, SHAPES[1])
    whole = make()
    for first_part in range(3):
        parts = make(shares=(3, first_part, 1))
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


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_image_of_too_many_pixels_is_named_and_not_decoded(tmp_path, suffix):
    path = write_image(tmp_path / "a" / f"0.{suffix}", 40, 50)
    images = replace(read_folder(tmp_path), max_pixels=1999)
    sampler = ClassBalancedSampler(images.labels, 1, 1)
    draws = tf.nest.map_structure(lambda rows: rows[0], Augmentation().draw(1, [0, 0]))

    def augmented(max_pixels):
        return Augmentation(max_pixels=max_pixels)(tf.io.read_file(path), (32, 32), draws)

    assert augmented(2000).shape == (32, 32, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="<="):
        augmented(1999)
    with pytest.raises(UserError, match=f"{path}: has 50 x 40 pixels, and --max_pixels=1999"):
        StepBatches(None, images, one_sampler(sampler)).check_around(0)


def test_no_tuner_holds_up_the_end(images):
    sampler = ClassBalancedSampler(images.labels, 3, 2, 0)
    shapes = CropShapes(None, 32, 0)
    training = training_batches(images, sampler, Augmentation(), shapes, 0, 2, 0)
    assert training.options().autotune.enabled is False
