"""Keys of images: by the content of their files, and by what is seen of them.

The key of a content is two uint64 numbers, 16 bytes: the size of the file in bytes, and eight bytes
of the BLAKE2b hash of its content. That two of 10^6 x 10^6 different images share a hash has a
probability below 10^-7. The size stands beside it because it is known without reading: most files
of a test set need no hashing. Whitening and feature files keep such keys. What is kept for a view
of an image (its box, how it is turned) has that key with eight more bytes, zeros for a whole image.
"""

import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from darac_tf.data.images import content_size, read_image
from darac_tf.errors import UserError, printable

VIEW_KEY_BYTES = 24
# Hashing waits for the disk more than it computes.
_THREADS = 8
_AT_ONCE = 256


def content_key(data):
    """The key of a file's content (bytes), as 16 bytes."""
    return len(data).to_bytes(8, "little") + hashlib.blake2b(data, digest_size=8).digest()


def keys_of_images(paths, progress=False):
    """Keys of contents of image files, uint64 `(images, 2)`: size in bytes, hash.

    Both are 0 where there is no file with a content.
    """
    keys, remaining = [], iter(paths)
    hide = not progress or len(paths) < 1000
    with (
        ThreadPoolExecutor(_THREADS) as threads,
        tqdm(total=len(paths), desc="hash", unit=" images", disable=hide) as bar,
    ):
        # A few at a time: a million tasks in the queue would take a gigabyte.
        while some := list(itertools.islice(remaining, _AT_ONCE)):
            keys += threads.map(_key_of_file, some)
            bar.update(len(some))
    return np.frombuffer(b"".join(keys), "<u8").reshape(-1, 2).astype(np.uint64)


def file_sizes(paths):
    """Sizes of files in bytes, uint64 `(files,)`, see `images.content_size`."""
    return np.fromiter(map(content_size, paths), np.uint64, len(paths))


def keys_of_alike(paths):
    """As `keys_of_images`, but 0 for files whose size no other one has, which are not read."""
    sizes, keys = file_sizes(paths), np.zeros((len(paths), 2), np.uint64)
    _, place, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    alike = np.flatnonzero(counts[place] > 1)
    keys[alike] = keys_of_images(paths[alike], progress=True)
    return keys


def repetitions(keys, paths, labels):
    """Sentences about images with the content of an earlier one, and about those of another class.

    Of keys as of `keys_of_images`, paths and labels `(images,)`; none where nothing is repeated.
    """
    known = np.flatnonzero(keys.any(axis=1))
    _, first, place = np.unique(keys[known], axis=0, return_index=True, return_inverse=True)
    earlier = known[first[place.ravel()]]
    again = earlier != known
    for found, what in (
        (again, "have the content of another"),
        (again & (labels[known] != labels[earlier]), "have the content of one of another class"),
    ):
        if found.any():
            first_of = (printable(str(paths[each[found][0]])) for each in (known, earlier))
            pair = " that of ".join(first_of)
            yield f"{found.sum()} of the {len(keys)} images {what}, such as {pair}."


def view_keys(keys, views=None):
    """Keys of what is seen of images, uint8 `(images, 24)`: of content, and a hash of the view.

    Of `keys_of_images`, uint64 `(images, 2)`, and `Views`; None for whole images as they are.
    """
    seen = np.zeros((len(keys), VIEW_KEY_BYTES), np.uint8)
    seen[:, :16] = np.ascontiguousarray(keys, "<u8").view(np.uint8).reshape(-1, 16)
    if views is None:
        return seen
    turns = np.zeros(len(keys), np.int64) if views.turns is None else views.turns
    orientations = np.ones(len(keys)) if views.orientations is None else views.orientations
    for place in np.flatnonzero(~views.is_whole() | (turns != 0) | (orientations != 1)):
        box = (0, 0, *views.whole[place, ::-1]) if views.boxes is None else views.boxes[place]
        view = np.array([*box, turns[place], orientations[place]], "<i8").tobytes()
        digest = hashlib.blake2b(view, digest_size=VIEW_KEY_BYTES - 16).digest()
        seen[place, 16:] = np.frombuffer(digest, np.uint8)
    return seen


def fingerprint(keys):
    """One short name of a set of keys, `(images, 2)`: 16 hexadecimal digits, whatever the order."""
    content = np.unique(keys, axis=0).astype("<u8").tobytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _key_of_file(path):
    try:
        return content_key(read_image(path))
    except UserError:
        return bytes(16)
