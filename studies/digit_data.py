"""Handwritten digits: those that come with scikit-learn, and MNIST through TensorFlow Datasets."""

from typing import NamedTuple

import numpy as np

from darac_tf.errors import UserError

KINDS = ("sklearn", "mnist")
_TEST_SHARE = 0.3
_MOST_GREY = 16.0  # of scikit-learn's digits


class Digits(NamedTuple):
    """Images of digits, for training and for testing.

    Attributes:
        train_images: float32 `(images, height, width, 1)` in [0, 1].
        train_labels: int64 `(images,)`, 0 to 9.
        test_images: As `train_images`, other digits.
        test_labels: As `train_labels`.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load_digits(kind="sklearn", data_dir=None):
    """Reads digits; the split is the same every time.

    Args:
        kind: `"sklearn"` (1797 digits of 8 x 8 pixels from scikit-learn, 30 % of each class for
            testing) or `"mnist"` (60,000 and 10,000 of 28 x 28, downloaded once by TensorFlow
            Datasets).
        data_dir: Where TensorFlow Datasets keeps MNIST; None for its default.

    Returns:
        `Digits`.

    Raises:
        UserError: If MNIST can't be downloaded.
        ValueError: If `kind` is another.
    """
    if kind == "sklearn":
        return _sklearn_digits()
    if kind == "mnist":
        return _mnist(data_dir)
    raise ValueError(f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r}")


def _sklearn_digits():
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    found = load()
    images = (found.images / _MOST_GREY).astype(np.float32)[..., np.newaxis]
    labels = found.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=_TEST_SHARE, stratify=labels, random_state=0
    )
    return Digits(train_images, train_labels, test_images, test_labels)


def _mnist(data_dir):
    # Takes seconds to import, so only where it is wanted.
    import tensorflow_datasets as tfds

    try:
        splits = tfds.load("mnist", split=["train", "test"], data_dir=data_dir, batch_size=-1)
    except Exception as error:  # No network, no disk, a checksum: each raises another kind.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"--data=mnist: TensorFlow Datasets cannot load it ({reason}); download it where the "
            "network allows it and pass --data_dir=FOLDER, or use --data=sklearn"
        ) from error
    found = []
    for split in splits:
        images, labels = (np.asarray(split[key]) for key in ("image", "label"))
        found += [images.astype(np.float32) / 255, labels.astype(np.int64)]
    return Digits(*found)
