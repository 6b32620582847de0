"""GLDv2-clean: `train_clean.csv`, and the images of the train set of Google Landmarks v2.

Source: Weyand et al., Google Landmarks Dataset v2, CVPR 2020; the list is of Yokoo et al., 2020.
"""

import re
from pathlib import Path

from darac_tf.data.training_sets.listing import Listing, list_lines
from darac_tf.errors import UserError

LIST = "train_clean.csv"
HEADER = "landmark_id,images"
_IMAGE_ID = re.compile(r"[0-9a-z]{4,}")


def list_gldv2(data_dir):
    """What `train_clean.csv` lists: a line `landmark_id,id id id ...` for each landmark.

    Args:
        data_dir: Folder of the list and of `train/`.

    Returns:
        `Listing`; image `abcd...` is expected at `train/a/b/c/abcd....jpg`, and its class is named
        by the landmark's number.

    Raises:
        UserError: If the list is missing or has other lines.
    """
    path, folder = Path(data_dir) / LIST, f"{Path(data_dir) / 'train'}"
    lines = list_lines(path)
    _, header = next(lines, (1, ""))
    if header != HEADER:
        raise UserError(f"{path}: its first line must be {HEADER} and is {header or 'empty'}")
    rows = []
    for number, line in lines:
        landmark, comma, images = line.partition(",")
        ids = images.split()
        if not (comma and landmark.isdigit() and ids and all(map(_IMAGE_ID.fullmatch, ids))):
            raise UserError(f"{path}, line {number}: must be landmark_id,id id id ...")
        rows += [(f"{folder}/{i[0]}/{i[1]}/{i[2]}/{i}.jpg", landmark, "") for i in ids]
    if not rows:
        raise UserError(f"{path}: lists no images; get it anew")
    return Listing("gldv2_clean", rows, [row[0] for row in rows])
