"""Refusing to test a whitening on the images it was fitted on."""

import numpy as np

from darac_tf.data.content_keys import file_sizes, keys_of_images
from darac_tf.errors import UserError
from darac_tf.whitening.files import Whitening

FLAG = "--allow_whiten_on_test"


def check_not_test_set(fitted_on, test_paths, allow=False):
    """Refuses test images that a whitening was fitted on, wherever their files lie.

    Images are the same when their files have the same content (`data.content_keys`): the same
    photograph under another path is found, the same one compressed anew is not. Only files of the
    test set whose size occurs in the whitening's set are read.

    Args:
        fitted_on: `Whitening`, or the paths of the images that one will be fitted on.
        test_paths: `(images,)` paths of the test set: the database and the queries.
        allow: What to do about images in both: go on and say so, or refuse.

    Returns:
        None where no image is in both; else a sentence for the report.

    Raises:
        UserError: Unless `allow`, if an image is in both (says how many, and names the first in the
            order of the test set), or the whitening does not say what it was fitted on. Always if
            a file can't be read.
    """
    sizes = file_sizes(test_paths)
    keys = _known_keys(fitted_on, sizes)
    if keys is None:
        if allow:
            return f"The images that the whitening was fitted on are not known ({FLAG})."
        raise UserError(
            "the whitening does not say which images it was fitted on, so they may be test "
            f"images: fit it again, or pass {FLAG}"
        )
    candidates = np.flatnonzero(np.isin(sizes, keys[:, 0]))
    hashes = keys_of_images([test_paths[i] for i in candidates])[:, 1]
    shared = candidates[np.isin(hashes, keys[:, 1])]
    if not shared.size:
        return None
    found = f"{shared.size} of the {len(test_paths)} test images"
    if allow:
        return f"The whitening was fitted on {found} ({FLAG}), so its scores are optimistic."
    raise UserError(
        f"the whitening is fitted on {found}, the first being {test_paths[shared[0]]}: fit it on "
        f"other images, or pass {FLAG}"
    )


def _known_keys(fitted_on, sizes):
    """Keys of the images that may be among files of these sizes; None where not known."""
    if isinstance(fitted_on, Whitening):
        return fitted_on.image_keys
    alike = np.flatnonzero(np.isin(file_sizes(fitted_on), sizes))
    return keys_of_images([fitted_on[i] for i in alike])
