"""Training sets by name."""

from pathlib import Path

from darac_tf.data.training_sets.clean_landmarks import list_clean_landmarks
from darac_tf.data.training_sets.gldv2 import list_gldv2
from darac_tf.data.training_sets.listing import Listing
from darac_tf.data.training_sets.products import list_products
from darac_tf.data.training_sets.published import TRAINING_SETS
from darac_tf.data.training_sets.tfds_sets import read_tfds
from darac_tf.errors import UserError

# Lists whose images must all be there, and lists of which some may be missing.
LISTS = {
    "gldv2_clean": (list_gldv2, Listing.complete),
    "landmarks_clean": (list_clean_landmarks, Listing.those_there),
    "products": (list_products, Listing.complete),
}


def load_training_set(kind, data_dir):
    """Reads a training set whose images are in a folder; nothing is downloaded.

    Args:
        kind: A key of `TRAINING_SETS`.
        data_dir: Its folder, filled as `TRAINING_SETS[kind].sources` says.

    Returns:
        `LabelledImages`. Of the cleaned Landmarks, images without a file are left out and their
        number is logged.

    Raises:
        UserError: If the kind is unknown, lists are missing or damaged, or images are missing.
    """
    _check(kind, data_dir)
    if kind not in LISTS:
        return read_tfds(kind, data_dir)
    read, keep = LISTS[kind]
    return keep(read(data_dir))


def read_for_preparation(kind, data_dir):
    """As `load_training_set`, with images that have no file: `prepare` drops and reports them."""
    _check(kind, data_dir)
    if kind not in LISTS:
        return read_tfds(kind, data_dir)
    return LISTS[kind][0](data_dir).images()


def _check(kind, data_dir):
    if kind not in TRAINING_SETS:
        raise UserError(f"--dataset={kind}: choose from {', '.join(TRAINING_SETS)}")
    if not Path(data_dir).is_dir():
        raise UserError(f"--data_dir: no such folder: {data_dir}")
