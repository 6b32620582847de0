"""Input pipelines: the same step gives the same batch; every image once, batched by shape."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.augmentation import Augmentation, Draws
from darac_tf.data.image_list import ImageList
from darac_tf.data.images import decode_image, resize_long_side, scaled_size
from darac_tf.data.labelled import read_folder
from darac_tf.data.pipeline import (
    batch_by_shape,
    description_batches,
    training_batches,
)
from darac_tf.data.sampling import ClassBalancedSampler
from darac_tf.data.views import read_views, stored_sizes
from darac_tf.errors import UserError
from tests.helpers import write_collection


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("pipeline"), 5, 5))


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


def _augmented(augmentation, image, seed, count=1):
    data = tf.io.encode_png(image)
    draws = augmentation.draw(count, [0, seed])
    each = [Draws(*(rows[place] for rows in draws)) for place in range(count)]
    return np.stack([augmentation(data, 32, own) for own in each])


def test_without_augmentation_it_is_the_resized_image():
    plain = Augmentation(min_area=1.0, aspect=1.0, flip=False, light=0.0)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(_augmented(plain, image, 2)[0], image, atol=1e-3)


def test_augmentation_follows_its_seed():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    one, same, other = (_augmented(Augmentation(), image, seed, 2) for seed in (2, 2, 3))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 5 and np.abs(one[0] - one[1]).mean() > 5


def test_flip_mirrors_half_of_the_images():
    flip = Augmentation(min_area=1.0, aspect=1.0, flip=True, light=0.0)
    image = np.tile(np.arange(32, dtype=np.uint8)[None, :, None], (32, 1, 3))
    mirrored = _augmented(flip, image, 0, 60)[:, 0, 0, 0] > 16
    assert 15 < sum(mirrored) < 45


def test_crops_differ_and_keep_to_their_share():
    part = Augmentation(min_area=0.4, flip=False, light=0.0)
    # Brightness grows to the right, so that it tells the width of the window.
    across = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (150, 1, 3))
    found = _augmented(part, across, 1, 40)[:, 16, :, 0]
    widths = (found[:, -1] - found[:, 0]) * 32 / 31
    assert widths.max() <= 201 and widths.std() > 10
    # At least 0.4 of 150 x 200 pixels, no higher than 150.
    assert widths.min() > 0.4 * 200 - 2


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


def test_no_tuner_holds_up_the_end(images):
    sampler = ClassBalancedSampler(images.labels, 3, 2, 0)
    training = training_batches(images, sampler, Augmentation(), 32, 0, 2, 0)
    views, plan = _plan(ImageList(images.paths), 40, batch_pixels=10**6)
    for dataset in (training, description_batches(views, plan)):
        assert dataset.options().autotune.enabled is False


def _plan(images, long_side, batch_pixels):
    views, _ = read_views(images, progress=False)
    shapes = np.array([[scaled_size(*shape, long_side)] for shape in views.shapes.tolist()])
    return views, batch_by_shape(shapes, batch_pixels)


def test_description_batches_hold_every_image_once(images):
    views, plan = _plan(ImageList(images.paths), 40, batch_pixels=3 * 40 * 40)
    seen = []
    for indices, (pixels,) in description_batches(views, plan):
        assert max(pixels.shape[1:3]) == 40 and len(indices) == len(pixels)
        assert len(pixels) * pixels.shape[1] * pixels.shape[2] <= 3 * 40 * 40
        for index, image in zip(indices.numpy(), pixels.numpy(), strict=True):
            data = Path(images.paths[index]).read_bytes()
            np.testing.assert_allclose(image, resize_long_side(decode_image(data), 40), atol=1e-3)
        seen += list(indices.numpy())
    assert sorted(seen) == list(range(len(images)))
    np.testing.assert_array_equal(seen, plan.order)


def test_description_batches_crop_and_then_turn(images):
    boxes = np.tile([4.5, 3.0, 40.2, 21.0], (len(images), 1))
    boxes[::3] = np.nan
    turns = np.arange(len(images)) % 4
    chosen = ImageList(images.paths, boxes, turns)
    views, plan = _plan(chosen, 40, batch_pixels=3 * 40 * 40)
    for indices, (pixels,) in description_batches(views, plan):
        for index, image in zip(indices.numpy(), pixels.numpy(), strict=True):
            data = decode_image(Path(images.paths[index]).read_bytes()).numpy()
            seen = data if index % 3 == 0 else data[3:21, 4:40]
            expected = resize_long_side(np.rot90(seen, turns[index]).copy(), 40)
            np.testing.assert_allclose(image, expected, atol=1e-3)


def test_batches_fill():
    shapes = np.array([[(30, 40)]] * 10 + [[(40, 30)]] * 3)
    plan = batch_by_shape(shapes, batch_pixels=4 * 30 * 40)
    assert sorted(plan.sizes) == [2, 3, 4, 4]
    one_by_one = batch_by_shape(shapes, batch_pixels=1)
    assert list(one_by_one.sizes) == [1] * 13


def test_batches_of_several_sizes_share_all_their_shapes():
    rng = np.random.default_rng(0)
    shapes = rng.integers(1, 3, (40, 2, 2)) * 10
    plan = batch_by_shape(shapes, batch_pixels=1500)
    assert sorted(plan.order) == list(range(40))
    for number, count in enumerate(plan.sizes):
        chosen = shapes[plan.order[plan.batch == number]]
        assert len(chosen) == count and (chosen == chosen[0]).all()
        assert count == 1 or chosen.prod(axis=2).sum() <= 1500


def test_unreadable_headers_are_collected_on_request(images, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    paths = [images.paths[0], str(tmp_path / "text.jpg"), str(tmp_path / "absent.jpg")]
    sizes, failures = stored_sizes(paths, progress=False, skip_bad=True)
    assert list(failures) == [1, 2] and "absent.jpg: no such image" in failures[2]
    assert sizes[0].all() and not sizes[1:].any()
    with pytest.raises(UserError, match=r"text\.jpg: cannot be decoded"):
        stored_sizes(paths, progress=False)
