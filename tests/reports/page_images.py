"""Images and rows for tests of the page of rankings, with names that try to be markup."""

import os

import cv2
import numpy as np

from darac_tf.reports.query_rows import QueryRow, RankedImage

HOSTILE_NAMES = (
    "<img src=x onerror=document.documentElement.dataset.hacked=1>.jpg",
    "\"'><script>document.documentElement.dataset.hacked=1<script>.jpg",
    "' onload='document.documentElement.dataset.hacked=1.jpg",
    "&lt;b&gt; & \n %22 #.jpg",
    os.fsdecode(b"caf\xe9.jpg"),
    "plain.jpg",
)


def write_images(folder):
    """Writes a grey image under each name; returns the paths as strings."""
    _, data = cv2.imencode(".jpg", np.full((90, 120, 3), 128, np.uint8))
    paths = [f"{folder}/{name}" for name in HOSTILE_NAMES]
    for path in paths:
        with open(path, "wb") as file:  # noqa: PTH123 - a name that pathlib would normalise
            file.write(data.tobytes())
    return paths


def rows_of(paths):
    """A row for each path, of which one has no AP; verdicts of all kinds in each."""
    aps = [0.5, None, 0.25, 1.0, 0.0625, 0.75]
    verdicts = [True, np.bool_(False), None]
    return [
        QueryRow(
            path,
            box=(10.5, 20, 100, 80) if number % 2 else None,
            turns=number % 4,
            ap=ap,
            ranks=[
                RankedImage(found, verdicts[rank % 3], 0.9 - rank / 10, turns=rank % 4)
                for rank, found in enumerate(paths)
            ],
        )
        for number, (path, ap) in enumerate(zip(paths, aps, strict=True))
    ]
