import json
import os
import shutil
import subprocess

import cv2
import keras
import numpy as np
import pytest
import sklearn
import tensorflow as tf

from darac_tf.reports import environment as module
from darac_tf.reports.environment import cpu_name, environment, git_revision


def test_environment_says_what_ran_and_where():
    found = environment()
    assert found["tensorflow"] == tf.__version__
    assert found["keras"] == keras.__version__
    assert found["numpy"] == np.__version__
    # The distribution's version has one more part than the library's.
    assert found["opencv"].startswith(cv2.__version__)
    assert found["scikit_learn"] == sklearn.__version__
    assert found["python"].startswith("3.")
    assert found["cpu_count"] == os.cpu_count()
    assert found["memory_bytes"] > 1 << 28
    assert len(found["gpus"]) == len(tf.config.list_physical_devices("GPU"))
    assert set(found) >= {"platform", "darac_git_revision", "faiss", "cpu"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_names_gpus_and_says_none_for_libraries_that_are_absent(monkeypatch):
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["first", "second"])
    details = {"first": {"device_name": "Some GPU"}, "second": {}}
    monkeypatch.setattr(config.experimental, "get_device_details", details.get)
    monkeypatch.setitem(module._DISTRIBUTIONS, "faiss", ("no-such-distribution",))
    found = environment()
    assert found["gpus"] == ["Some GPU", "unknown GPU"]
    assert found["faiss"] is None


def test_reads_the_cpu_name_or_asks_python(tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel\t\t: 1\nmodel name\t: Some CPU @ 2: GHz\n" * 2)
    assert cpu_name(file) == "Some CPU @ 2: GHz"
    file.write_text("processor\t: 0\n")
    for found, expected in [("arm", "arm"), ("", None)]:
        monkeypatch.setattr(module.platform, "processor", lambda found=found: found)
        assert cpu_name(file) == cpu_name(tmp_path / "absent") == expected


def test_revision_is_none_outside_a_checkout_and_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    assert git_revision(tmp_path / "absent") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tmp_path) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_revision_is_that_of_the_own_checkout_only(tmp_path, monkeypatch):
    # In a git hook these name the project's own repository, which must stay untouched.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "package"
    vendored = package / "other" / "package"
    vendored.mkdir(parents=True)
    git("init", "--quiet")
    assert git_revision(package) is None  # no commit yet
    git("commit", "--quiet", "--allow-empty", "--no-verify", "--message", "first")
    assert git_revision(package) == git("rev-parse", "HEAD")
    assert git_revision(vendored) is None
