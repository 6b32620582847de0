"""Images of a request: any mix of sizes and kinds, any order, any number."""

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.images import decode_image
from darac_tf.describing.sizes import Factor, LongSide
from darac_tf.export import ExportSettings
from darac_tf.export.network import StoredNetwork
from darac_tf.export.signatures import plan_windows, resized_shapes
from tests.export import kinds

SHAPES = [(40, 56), (56, 40), (40, 56), (30, 30), (80, 112), (40, 56), (9, 90)]
IMAGES = [kinds.encoded(kinds.picture(*s, i), "PNG") for i, s in enumerate(SHAPES)]


def test_a_batch_is_its_images_one_by_one(described, serve):
    together = serve(IMAGES)["descriptor"]
    one_by_one = np.concatenate([serve([data])["descriptor"] for data in IMAGES])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    np.testing.assert_allclose(together, [described(d) for d in IMAGES], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("signature", ["serving_default", "robust"])
def test_the_order_of_images_is_that_of_vectors(serve, signature):
    order = np.random.default_rng(0).permutation(len(IMAGES))
    expected = serve(IMAGES, signature)["descriptor"][order]
    found = serve([IMAGES[i] for i in order], signature)["descriptor"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_empty_batch(loaded, serve):
    assert serve([])["descriptor"].shape == (0, 16)
    found = serve([], "robust")
    assert found["descriptor"].shape == (0, 16) and found["valid"].shape == (0,)
    pixels = tf.zeros([0, 20, 30, 3], tf.uint8)
    assert loaded.signatures["pixels"](pixels=pixels)["descriptor"].shape == (0, 16)


def test_every_kind_of_image(described, serve):
    images = kinds.every_kind()
    found = serve(list(images.values()))["descriptor"]
    np.testing.assert_allclose(found, [described(data) for data in images.values()], atol=1e-5)
    assert serve(list(images.values()), "robust")["valid"].all()


def test_pixels_are_described_as_files_of_them_are(loaded, serve):
    images = [data for data, shape in zip(IMAGES, SHAPES, strict=True) if shape == (40, 56)]
    pixels = tf.stack([decode_image(data) for data in images])
    found = loaded.signatures["pixels"](pixels=pixels)["descriptor"]
    np.testing.assert_allclose(found, serve(images)["descriptor"], atol=1e-5)


def windows_by_loop(shapes, held):
    """Oracle: images of equal shapes in the order of their first, as many as may be held."""
    windows = []
    for shape in dict.fromkeys(shapes):
        rows = [i for i, other in enumerate(shapes) if other == shape]
        most = min(max(held // sum(h * w for h, w in shape), 1), 64)
        windows += [rows[i : i + most] for i in range(0, len(rows), most)]
    return windows


@pytest.mark.parametrize("count", [0, 1, 7, 200])
@pytest.mark.parametrize("held", [1, 15_000, 1_000_000])
def test_windows(count, held):
    rng = np.random.default_rng(count)
    headers = rng.choice([30, 60, 90], (count, 3)).astype(np.int64)
    sizes = (LongSide(40), Factor(1.5))
    shapes = resized_shapes(tf.constant(headers.reshape(-1, 3)), sizes)
    order, starts, stops = (x.numpy() for x in plan_windows(shapes, held))
    found = [order[a:b].tolist() for a, b in zip(starts, stops, strict=True)]
    plain = [tuple(s.planned_size(int(h), int(w)) for s in sizes) for h, w, _ in headers]
    assert found == windows_by_loop(plain, held)


def test_passes_of_bounded_size(simple):
    network = StoredNetwork(simple)
    for count in (0, 1, 5):
        pixels = tf.random.stateless_uniform((count, 24, 32, 3), [1, 2], 0, 255)
        found = network(pixels, network.weights(), batch_pixels=2 * 24 * 32 + 1)
        expected = simple(pixels) if count else np.zeros((0, 16))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_wrong_precision_is_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="Received: 'int4'"):
        ExportSettings((32,), precision="int4")
