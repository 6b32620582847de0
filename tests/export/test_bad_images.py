"""Bad images: `serving_default` refuses the request, `robust` marks them, nothing else changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.export import ExportSettings
from darac_tf.export.network import Describer
from darac_tf.models import build_descriptor
from tests.export import kinds
from tests.export.conftest import decode_as_exported

GOOD = kinds.encoded(kinds.picture(), "JPEG")


@pytest.fixture(scope="module")
def good_vector(serve):
    return serve([GOOD])["descriptor"]


def test_no_images_are_marked_and_nothing_else_changes(serve, good_vector):
    bad = list(kinds.no_images().values())
    images = [GOOD] * (2 * len(bad) + 1)
    images[1::2] = bad
    found = serve(images, "robust")
    assert found["valid"].tolist() == [True, *[False, True] * len(bad)]
    assert not found["descriptor"][1::2].any()
    expected = np.repeat(good_vector, len(bad) + 1, axis=0)
    np.testing.assert_allclose(found["descriptor"][::2], expected, atol=1e-6)


@pytest.mark.parametrize("name", kinds.no_images())
def test_what_is_no_image_fails_the_request(serve, name):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cannot be decoded as .* \[1\]"):
        serve([GOOD, kinds.no_images()[name], GOOD])


def test_nothing_but_bad_images(serve):
    found = serve(list(kinds.no_images().values()), "robust")
    assert not found["valid"].any() and not found["descriptor"].any()
    assert found["descriptor"].shape == (len(kinds.no_images()), 16)


def can_decode(data):
    try:
        decode_as_exported(data)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def test_damaged_images(described, serve):
    images = kinds.mutated(5 * len(kinds.every_kind()))  # each kind in each way
    found = [serve(images[i : i + 40], "robust") for i in range(0, len(images), 40)]
    vectors, valid = (np.concatenate([f[name] for f in found]) for name in ("descriptor", "valid"))
    decodes = np.array([can_decode(data) for data in images])
    assert 10 < valid.sum() < len(images) - 10
    # A header that is refused for its size is never decoded; all else is as eval.py decodes.
    assert not (valid & ~decodes).any()
    assert (valid == decodes).sum() >= len(images) - 1
    for data, vector in zip(images, vectors, strict=True):
        expected = described(data) if vector.any() else np.zeros(16)
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    for data, is_valid in list(zip(images, valid, strict=True))[::15]:
        if is_valid:
            serve([data])
        else:
            with pytest.raises(tf.errors.InvalidArgumentError):
                serve([data])


def test_bombs_are_refused_by_their_header(serve):
    bombs = [kinds.png_bomb(14_000), kinds.gif_bomb(frames=12, side=4000)]
    for data in bombs:
        assert len(data) < 3_000_000
        assert serve([data, GOOD], "robust")["valid"].tolist() == [False, True]
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"more than 178956970 pixels .* \[1\]"
        ):
            serve([GOOD, data])


@pytest.mark.slow
def test_the_limit_is_a_setting_and_holds_after_a_resize(limited):
    served = tf.saved_model.load(str(limited)).signatures
    larger = kinds.encoded(kinds.picture(40, 57), "PNG")
    valid = served["robust"](image_bytes=tf.constant([GOOD, larger]))["valid"]
    assert valid.numpy().tolist() == [True, False]
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 8960 pixels"):
        served["serving_default"](image_bytes=tf.constant([larger]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="between 1 and 8960 pixels"):
        served["pixels"](pixels=tf.zeros([1, 40, 57, 3], tf.uint8))


def test_a_negative_value_for_the_generalised_mean_is_named(tmp_path):
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, keras.layers.Conv2D(4, 8, strides=8)(inputs)).save(tmp_path / "n.keras")
    signed = build_descriptor(str(tmp_path / "n.keras"), pooling="spoc")
    # What all signatures call.
    describer = Describer(signed, ExportSettings((32, 48), combination="gmean", exponent=3.0))
    sized = [tf.random.stateless_uniform([1, side, 32, 3], [1, 2], 0, 255) for side in (32, 48)]
    describe = tf.function(lambda: describer(sized, describer.weights()), autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="without negative values"):
        describe()
