"""Runs a study as `python -m studies.X` does, and reads what it drew."""

from PIL import Image

from tests.module_runner import run_module


def run_study(name, *arguments):
    """The exit status of a study: 0, or what `sys.exit` got, such as `error: ...`."""
    return run_module(f"studies.{name}", *arguments)


def png_size(path):
    """`(width, height)` of a picture, all of it read."""
    with Image.open(path) as image:
        image.load()
        return image.size
