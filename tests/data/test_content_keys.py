"""Keys of images: of the content of a file, and of the view of it."""

import hashlib
import os

import numpy as np

from darac_tf.data.content_keys import (
    content_key,
    file_sizes,
    keys_of_alike,
    keys_of_images,
    repetitions,
    view_keys,
)
from darac_tf.data.views import ImageList, plan_views


def _written(folder, contents):
    for index, content in enumerate(contents):
        (folder / str(index)).write_bytes(content)
    return [str(folder / str(index)) for index in range(len(contents))]


def test_keys_are_size_and_blake2b(tmp_path):
    contents = [b"one", bytes(1000), *(str(i).encode() for i in range(600))]
    keys = keys_of_images(_written(tmp_path, contents))
    assert keys.dtype == np.uint64
    for content, (size, key) in zip(contents, keys, strict=True):
        digest = hashlib.blake2b(content, digest_size=8).digest()
        assert int(size) == len(content)
        assert int(key) == sum(byte << (8 * i) for i, byte in enumerate(digest))
        assert content_key(content) == bytes([*int(size).to_bytes(8, "little"), *digest])
    assert keys_of_images([]).shape == (0, 2)
    # Whatever has no content has no key.
    os.mkfifo(tmp_path / "pipe.jpg")
    empty = _written(tmp_path, [b""])
    names = [*empty, str(tmp_path), str(tmp_path / "pipe.jpg"), str(tmp_path / "gone"), "n" * 5000]
    assert not keys_of_images(names).any() and not file_sizes(names).any()


def test_repeated_contents_are_counted_with_an_example(tmp_path):
    paths = np.array(_written(tmp_path, [b"one", b"two", b"one", b"longer", b"one", b""]))
    keys, labels = keys_of_images(paths), np.array([0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(keys_of_alike(paths)[[0, 1, 2, 4]], keys[[0, 1, 2, 4]])
    assert not keys_of_alike(paths)[3].any()
    assert list(repetitions(keys, paths, labels)) == [
        f"2 of the 6 images have the content of another, such as {paths[2]} that of {paths[0]}.",
        "1 of the 6 images have the content of one of another class, such as "
        f"{paths[4]} that of {paths[0]}.",
    ]
    assert not list(repetitions(keys[[0, 1, 3, 5, 5]], paths, labels))


def test_keys_of_views_are_of_content_box_and_turn(tmp_path):
    paths = np.array(_written(tmp_path, [b"one"] * 8 + [b"two"] * 2))
    nan = [np.nan] * 4
    boxes = [nan, [0, 0, 9, 7], [0, 0, 9, 6], [0, 0, 9, 6], nan, nan, [0, 0, 9, 6], [0, 0, 8, 7]]
    turns = np.array([0, 4, 0, 0, 1, 2, 1, 0, 0, 1])
    images = ImageList(paths, np.array([*boxes, nan, nan]), turns)
    content = keys_of_images(paths)
    keys = view_keys(content, plan_views(images, np.tile([7, 9], (10, 1))))
    assert keys.shape == (10, 24) and keys.dtype == np.uint8
    _, group = np.unique(keys, axis=0, return_inverse=True)
    same = [(i, j) for i in range(10) for j in range(i) if group[i] == group[j]]
    assert same == [(1, 0), (3, 2)]
    whole = view_keys(content)
    assert not whole[:, 16:].any()
    for place in (0, 1, 8):
        assert keys[place].tobytes() == whole[place].tobytes()
        assert whole[place, :16].tobytes() == content[place].tobytes()
    turned = view_keys(content, plan_views(ImageList(paths, None, turns), np.tile([7, 9], (10, 1))))
    np.testing.assert_array_equal(turned[[0, 4, 5, 9]], keys[[0, 4, 5, 9]])
