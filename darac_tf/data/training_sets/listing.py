"""A training set as its published list has it, whether or not the image files are there."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darac_tf.data.labelled import LabelledImages
from darac_tf.errors import UserError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """What a list names.

    Attributes:
        kind: A key of `published.TRAINING_SETS`.
        rows: `(path, class name, split)` of each image.
        origins: What a user looks an image up by: its URL, or its path again; as many as rows.
    """

    kind: str
    rows: list[tuple[str, str, str]]
    origins: list[str]

    def present(self):
        """Boolean array `(images,)`: there is a file, and it is not empty."""
        return np.fromiter((_has_content(row[0]) for row in self.rows), bool, len(self.rows))

    def images(self):
        """All images of the list as `LabelledImages`, files there or not."""
        return LabelledImages.from_rows(self.kind, self.rows)

    def complete(self):
        """All images of the list as `LabelledImages`.

        Raises:
            UserError: If a file is missing or empty.
        """
        there = self.present()
        if not there.all():
            first = self.origins[int(np.argmin(there))]
            raise UserError(
                f"{first}: no such image, or an empty one ({np.sum(~there)} of {len(there)} of "
                f"{self.kind}): add them, or prepare the set, which leaves them out"
            )
        return self.images()

    def those_there(self):
        """The images whose files are there, as `LabelledImages`; logs how many are not.

        Raises:
            UserError: If none is there.
        """
        there = self.present()
        if not there.any():
            raise UserError(
                f"{self.rows[0][0]}: no such image, and none of the other {len(there) - 1} of "
                f"{self.kind} either: fetch them and store them under these names"
            )
        if not there.all():
            _LOG.warning(
                "%s: %d of %d images are missing and left out",
                self.kind,
                np.sum(~there),
                len(there),
            )
        rows = [row for row, is_there in zip(self.rows, there, strict=True) if is_there]
        return LabelledImages.from_rows(self.kind, rows)


def list_lines(path):
    """Yields `(line number, text)` of the lines of a text file that are not blank.

    Raises:
        UserError: If there is no such file, or it is no text in UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"--data_dir: no {path.name} in {path.parent}: put it there")
    with path.open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.strip()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: is no text in UTF-8 ({error.reason})") from error


def _has_content(path):
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116 - a Path each is slow for a million
    except OSError:
        return False
