"""The store gives back what was written, by images, and refuses what is broken."""

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.local_features.store import FeatureStore, no_features, write_features
from tests.local_features.local_helpers import random_features


def test_round_trip(tmp_path):
    images = [random_features(5, 1), no_features(8), random_features(70, 2), no_features(8)]
    write_features(tmp_path / "store", iter(images), 8, {"model": "m"})
    store = FeatureStore(tmp_path / "store")
    assert len(store) == 4 and store.facts == {"model": "m"}
    for found, expected in zip(store, images, strict=True):
        assert found.descriptors.dtype == np.float16 and found.long_side == expected.long_side
        np.testing.assert_array_equal(found.descriptors, expected.descriptors.astype(np.float16))
        np.testing.assert_array_equal(found.locations, expected.locations)
        np.testing.assert_array_equal(found.attention, expected.attention)
    assert isinstance(store[2].descriptors, np.memmap)
    # Plain .npy files, for any reader.
    assert np.load(tmp_path / "store" / "locations.npy", allow_pickle=False).shape == (75, 2)


@pytest.mark.parametrize("images", [[], [no_features(8)]])
def test_nothing_to_keep(images, tmp_path):
    store = write_features(tmp_path / "store", images, 8)
    assert len(store) == len(images)
    assert [image.descriptors.shape for image in store] == [(0, 8)] * len(images)


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def interrupted():
        yield random_features(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / "store", interrupted(), 8)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"descriptors\.npy must be \(n, \*\(9,\)\). Received"):
        write_features(tmp_path / "store", [random_features(5)], 9)
    assert not list(tmp_path.iterdir())


def test_refuses_what_is_broken(tmp_path):
    with pytest.raises(UserError, match="no local features in it"):
        FeatureStore(tmp_path)
    folder = tmp_path / "store"
    store = write_features(folder, [random_features(5)], 8)
    for place in (-1, 1):
        with pytest.raises(IndexError, match=f"Received: {place}"):
            store[place]
    with pytest.raises(UserError, match="not empty"):
        write_features(folder, [random_features(5)], 8)
    data = (folder / "descriptors.npy").read_bytes()
    (folder / "descriptors.npy").write_bytes(data[:-20])
    with pytest.raises(UserError, match="are damaged"):
        FeatureStore(folder)
    (folder / "descriptors.npy").write_bytes(data)
    for name, shape in (("long_sides", 2), ("descriptors", (4, 8))):
        whole = (folder / f"{name}.npy").read_bytes()
        np.save(folder / f"{name}.npy", np.zeros(shape, np.float16))
        with pytest.raises(UserError, match="don't belong together"):
            FeatureStore(folder)
        (folder / f"{name}.npy").write_bytes(whole)


def test_refuses_pickles(tmp_path):
    folder = tmp_path / "store"
    write_features(folder, [random_features(5)], 8)
    np.save(folder / "offsets.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UserError, match="are damaged"):
        FeatureStore(folder)
