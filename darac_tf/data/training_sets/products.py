"""Stanford Online Products: `Ebay_train.txt`, `Ebay_test.txt` and the folders `*_final`.

Source: Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016.
"""

from pathlib import Path

from darac_tf.data.training_sets.listing import Listing, list_lines
from darac_tf.errors import UserError

LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
HEADER = "image_id class_id super_class_id path"


def list_products(data_dir):
    """What both lists name: a line `image_id class_id super_class_id path` for each image.

    Args:
        data_dir: Folder of the lists and images.

    Returns:
        `Listing` with the splits `train` and `test`, which share no class.

    Raises:
        UserError: If a list is missing or has other lines.
    """
    data_dir = Path(data_dir)
    rows = []
    for split, name in LISTS.items():
        path = data_dir / name
        lines = list_lines(path)
        _, header = next(lines, (1, ""))
        if header != HEADER:
            raise UserError(f"{path}: its first line must be {HEADER} and is {header or 'empty'}")
        for number, line in lines:
            fields = line.split(maxsplit=3)
            if len(fields) != 4 or not all(field.isdigit() for field in fields[:3]):
                raise UserError(f"{path}, line {number}: must be {HEADER}, and is {line!r}")
            rows.append((str(data_dir / fields[3]), f"{int(fields[1]):05d}", split))
    if not rows:
        raise UserError(f"{data_dir}: {' and '.join(LISTS.values())} list no images; get them anew")
    return Listing("products", rows, [row[0] for row in rows])
