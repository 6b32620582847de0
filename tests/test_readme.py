"""The commands of README.md and docs/export.md, run as written, on a small set."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY
from tests.helpers import write_collection

pytestmark = pytest.mark.slow

COMMANDS = ("python", "darac")
# They need an installation, which `test_installed.py` makes, or a screen.
NOT_HERE = ("pip install", "make ", "darac web")


def commands_of(path):
    """The commands in the indented blocks of a page, each on one line."""
    text = (REPOSITORY / path).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    lines = [re.sub(r"\s{2,}#.*|\s+(?=\s)", "", line) for line in lines]
    return [line for line in lines if line.startswith(COMMANDS)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that is a checkout to commands, with photographs, and a home with pictures."""
    place = tmp_path_factory.mktemp("checkout")
    for path in REPOSITORY.iterdir():
        if path.suffix == ".py" or path.name in ("darac_tf", "examples"):
            (place / path.name).symlink_to(path)
    write_collection(place / "photos", classes=32, images=3)
    pictures = write_collection(place / "home" / "Pictures", classes=4, images=4)
    (place / "holiday.jpg").write_bytes(next(pictures.rglob("*.jpg")).read_bytes())
    (place / "bin").mkdir()
    for name, arguments in (("python", ""), ("darac", "-m darac_tf.commands")):
        (place / "bin" / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (place / "bin" / name).chmod(0o755)
    return place


def run(command, place):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    environment |= {"HOME": str(place / "home"), "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment["PYTHONPATH"] = str(place)
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-3000:])


def test_readme(place):
    commands = [c for c in commands_of("README.md") if not c.startswith(NOT_HERE)]
    names = [command.split()[1] for command in commands]
    expected = ["--help", "index", "query", "duplicates", "selftest", "train.py", "eval.py"]
    assert names == [*expected, "export_savedmodel.py", "index"]
    for command in commands:
        run(command, place)
    assert (place / "results.html").is_file() and (place / "runs" / "selftest").is_dir()
    served = tf.saved_model.load(place / "export" / "photos" / "1").signatures["serving_default"]
    data = (place / "holiday.jpg").read_bytes()
    vectors = served(image_bytes=tf.constant([data]))["descriptor"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_export(place):
    commands = commands_of("docs/export.md")
    assert commands and commands[0] in commands_of("README.md")
    for command in commands:
        run(command, place)
