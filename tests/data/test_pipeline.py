"""The pipeline of description: every image once, batched by shape."""

from pathlib import Path

import numpy as np
import pytest

from darac_tf.choices import ANTIALIAS
from darac_tf.data import pipeline
from darac_tf.data.content_keys import content_key
from darac_tf.data.images import decode_image, resize_long_side, scaled_size
from darac_tf.data.labelled import read_folder
from darac_tf.data.pipeline import batch_by_shape, description_batches, sized_batches
from darac_tf.data.views import ImageList, read_views
from darac_tf.describing.sizes import LongSide
from tests.helpers import write_collection


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return read_folder(write_collection(tmp_path_factory.mktemp("pipeline"), 5, 5))


def test_no_tuner_holds_up_the_end(images):
    views, plan = _plan(ImageList(images.paths), 40, batch_pixels=10**6)
    dataset = description_batches(views, plan, [ANTIALIAS])
    assert dataset.options().autotune.enabled is False


def _plan(images, long_side, batch_pixels):
    views, _ = read_views(images, progress=False)
    shapes = np.array([[scaled_size(*shape, long_side)] for shape in views.shapes.tolist()])
    return views, batch_by_shape(shapes, batch_pixels)


def test_lists_of_which_the_same_is_known_share_a_trace(images):
    traces = []
    for part in (slice(9), slice(9, None)):
        views, plan = _plan(ImageList(images.paths[part]), 40, batch_pixels=10**6)
        list(description_batches(views, plan, [ANTIALIAS]))
        traces.append(pipeline._load.experimental_get_tracing_count())
    assert traces[0] == traces[1]


def test_description_batches_hold_every_image_once(images):
    views, plan = _plan(ImageList(images.paths), 40, batch_pixels=3 * 40 * 40)
    seen = []
    for indices, keys, (pixels,) in description_batches(views, plan, [ANTIALIAS]):
        assert max(pixels.shape[1:3]) == 40 and len(indices) == len(pixels)
        assert len(pixels) * pixels.shape[1] * pixels.shape[2] <= 3 * 40 * 40
        for index, image in zip(indices.numpy(), pixels.numpy(), strict=True):
            data = Path(images.paths[index]).read_bytes()
            assert keys.numpy()[list(indices.numpy()).index(index)] == content_key(data)
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
    for indices, _, (pixels,) in description_batches(views, plan, [ANTIALIAS]):
        for index, image in zip(indices.numpy(), pixels.numpy(), strict=True):
            data = decode_image(Path(images.paths[index]).read_bytes()).numpy()
            seen = data if index % 3 == 0 else data[3:21, 4:40]
            expected = resize_long_side(np.rot90(seen, turns[index]).copy(), 40)
            np.testing.assert_allclose(image, expected, atol=1e-3)


def test_an_image_of_another_size_than_its_header_is_named_and_the_others_follow(images):
    views, _ = read_views(ImageList(images.paths), progress=False)
    stored = views.whole + 8 * (np.arange(25) == 7)[:, np.newaxis]
    views = views._replace(whole=stored, shapes=stored)
    batches = list(sized_batches(views, np.arange(25), [LongSide(40)], 10**6))
    (failures,) = (batch.failures for batch in batches if batch.failures)
    assert list(failures) == [7] and f"{images.paths[7]}: its header says" in failures[7]
    described = np.concatenate([batch.places for batch in batches])
    np.testing.assert_array_equal(np.sort(described), np.delete(np.arange(25), 7))


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
