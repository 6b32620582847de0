"""The wheel, installed: all of the package, and the command in any folder."""

import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

from darac_tf.commands.main import COMMANDS
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: building leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    shutil.copytree(
        REPOSITORY / "darac_tf",
        folder / "darac_tf",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    subprocess.run([*command, folder], check=True, capture_output=True)
    (found,) = folder.glob("darac_tf-*.whl")
    return found


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """The programs of an environment that has the wheel, and what the tests' has besides."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    others = sysconfig.get_path("purelib")
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (Path(own) / "others.pth").write_text(f"{others}\n", encoding="utf-8")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel]
    command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", *install]
    subprocess.run(command, check=True)
    return folder / "bin"


def test_the_wheel_has_every_file(wheel):
    files = [path for path in REPOSITORY.glob("darac_tf/**/*") if path.is_file()]
    wanted = {str(path.relative_to(REPOSITORY)) for path in files if path.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == wanted


def test_it_is_imported_from_any_folder(programs, tmp_path):
    program = "import darac_tf, darac_tf.models; print(darac_tf.__file__)"
    output = subprocess.check_output([programs / "python", "-c", program], cwd=tmp_path, text=True)
    assert output.startswith(str(programs.parent))


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_answers_within_a_second(programs, name, tmp_path):
    command = [programs / "darac", *filter(None, [name]), "--help"]
    seconds = []
    for _ in range(3):  # Other programs may be busy.
        started = time.perf_counter()
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert "darac" in done.stdout and not done.stderr
    assert min(seconds) < 1
