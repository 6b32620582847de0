"""Which image files a data folder holds, by name."""

import os
from pathlib import Path

import numpy as np

from darac_tf.data.images import IMAGE_SUFFIXES, visible
from darac_tf.errors import UserError

# Where the archives and the usual scripts put the images.
SUBFOLDERS = ("", "jpg", "images")


class ImageFiles:
    """The image files in a data folder, its `jpg` and its `images`.

    Attributes:
        data_dir: The data folder.
        paths: Path by name without its ending. Of files of one name the first is taken: folders
            in order, then files in the order of their names.
        doubles: The files that were not taken because of that.
    """

    def __init__(self, data_dir, nested=False):
        """Looks for the files; if `nested`, one folder deeper too (Paris: a folder per landmark).

        `UserError` if there is no such folder.
        """
        self.data_dir = Path(data_dir)
        if not self.data_dir.is_dir():
            raise UserError(f"--data_dir: no such folder: {data_dir}")
        folders = [self.data_dir / name for name in SUBFOLDERS if (self.data_dir / name).is_dir()]
        if nested:
            below = [path for folder in folders for path in visible(sorted(folder.iterdir()), [])]
            folders += [path for path in below if path.is_dir() and path not in folders]
        self.paths, self.doubles = {}, []
        for path in (path for folder in folders for path in _images_in(folder)):
            if self.paths.setdefault(path.stem, path) is not path:
                self.doubles.append(path)

    def missing(self, names):
        """Those of `names` that have no file."""
        return [name for name in names if stem(name) not in self.paths]

    def find(self, names, source):
        """The paths of images as a string array; names may have an ending.

        `UserError` if there is no file for one, where `source` lists it.
        """
        missing = self.missing(names)
        if missing:
            raise UserError(
                f"{source} lists {missing[0]}, and there is no such image in {self.looked_in()} "
                f"({len(missing)} of {len(names)} are missing): run with --check_data to see which"
            )
        return np.array([str(self.paths[stem(name)]) for name in names])

    def all_names(self):
        """All names without their endings, sorted; `UserError` if there are none, or one twice."""
        if not self.paths:
            raise UserError(f"--data_dir: no images in {self.looked_in()}: put them there")
        if self.doubles:
            double = self.doubles[0]
            raise UserError(
                f"--data_dir: {self.paths[double.stem]} and {double} have the same name: "
                "remove one of them"
            )
        return sorted(self.paths)

    def looked_in(self):
        """The places where images may lie, for messages."""
        return " or ".join(str(self.data_dir / name) for name in SUBFOLDERS)


def stem(name):
    """An image name without the ending of an image file."""
    ending = Path(name).suffix
    return name[: -len(ending)] if ending.lower() in IMAGE_SUFFIXES else name


def _images_in(folder):
    with os.scandir(folder) as entries:
        names = visible([entry.name for entry in entries if entry.is_file()], [])
    return [folder / name for name in sorted(names) if Path(name).suffix.lower() in IMAGE_SUFFIXES]
