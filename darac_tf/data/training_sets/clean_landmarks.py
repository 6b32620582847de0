"""The cleaned Landmarks: lists of URLs, and images that the user has fetched from them.

Source: Gordo et al., Deep Image Retrieval, ECCV 2016, section 4.
"""

import hashlib
from pathlib import Path

from darac_tf.data.training_sets.listing import Listing, list_lines
from darac_tf.errors import UserError

LISTS = {"train": "annotation_clean_train.txt", "val": "annotation_clean_val.txt"}
IMAGES = "images"


def file_name(url):
    """The name an image is stored under: SHA-1 of its URL in hexadecimal digits, and `.jpg`.

    The ending says nothing about the format, which is told from the content.
    """
    return hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest() + ".jpg"


def list_clean_landmarks(data_dir):
    """What the lists name: a line `url label` for each image.

    Args:
        data_dir: Folder of the lists (the one for validation may be absent) and of `images/`.

    Returns:
        `Listing` with the splits `train` and `val`; image of a URL at `images/<file_name(url)>`.
        An entry that is no URL is taken for a path below `images/`. A line that
        a list has twice counts once.

    Raises:
        UserError: If the list for training is missing, or a line is another.
    """
    data_dir = Path(data_dir)
    origins = {}
    for split, name in LISTS.items():
        path = data_dir / name
        if split != "train" and not path.exists():
            continue
        for number, line in list_lines(path):
            entry, _, label = line.rpartition(" ")
            if not entry:
                raise UserError(f"{path}, line {number}: must be `url label`, and is {line!r}")
            entry = entry.strip()
            stored = file_name(entry) if "://" in entry else entry
            origins.setdefault((str(data_dir / IMAGES / stored), label, split), entry)
    if not origins:
        raise UserError(f"{data_dir / LISTS['train']}: lists no images; get it anew")
    return Listing("landmarks_clean", list(origins), list(origins.values()))
