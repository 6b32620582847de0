"""Ray itself, two machines of one processor on loopback: a machine, the driver, all are killed.

Skipped where Ray is not installed: `make test-ray`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from darac_tf.commands.main import main
from darac_tf.parts.manifest import write_manifest
from darac_tf.parts.part_files import Parts, dead_letters
from darac_tf.parts.verification import verify
from darac_tf.search import ExportedModel
from tests.conftest import REPOSITORY
from tests.helpers import write_image
from tests.parts.image_server import image_server
from tests.search.small_model import write_model

# Else Ray takes 127.0.0.1 for this machine's address in its network, where no cluster here listens.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
# Ray's workers give way to all else on a machine: on a busy one they would not start in time.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as Ray spells it
# Warnings of Ray are not for here to see to.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
pytest.importorskip("ray", reason="Ray is not installed: make test-ray")

IMAGES, PART_ROWS, SECONDS = 96, 4, 0.4


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Contents of images by their paths on a server, a few of them bad."""
    folder = tmp_path_factory.mktemp("images")
    files = {
        f"/{row}.png": Path(write_image(folder / f"{row}.png", seed=row)).read_bytes()
        for row in range(IMAGES)
    }
    files["/7.png"], files["/50.png"] = b"broken", b""
    del files["/90.png"]
    return files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("export") / "1")


@pytest.fixture
def start_cluster(monkeypatch):
    """Starts a cluster: a head without processors, and two machines of one; ended with the test."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), *sys.path]))
    monkeypatch.setenv("no_proxy", "*")
    started = []

    def start():
        head = {"num_cpus": 0, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        started.append(cluster)
        nodes = [cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1") for _ in range(2)]
        cluster.wait_for_nodes()
        return cluster, nodes

    yield start
    for cluster in started:
        cluster.shutdown()


def finished(out):
    """`{name: when it was written}` of the parts that are there."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}


def wait_for(out, parts, driver, seconds=240):
    end = time.monotonic() + seconds
    while len(finished(out)) < parts:
        if driver.poll() is not None or time.monotonic() > end:
            driver.kill()
            pytest.fail(f"{len(finished(out))} parts of {parts}: {driver.communicate()[1]}")
        time.sleep(0.05)
    return finished(out)


def test_whoever_is_killed_each_image_is_described_once(images, model, tmp_path, start_cluster):
    out, path = tmp_path / "out", tmp_path / "M.parquet"
    with image_server(images, SECONDS) as (url, _):
        rows = [(f"id {row}", f"{url}/{row}.png") for row in range(IMAGES)]
        rows[20] = ("id 20", f"{url}/never")
        write_manifest(path, rows)
        words = [f"--manifest={path}", f"--model={model}", f"--out={out}", "--engine=ray"]
        words += [f"--part_rows={PART_ROWS}", "--threads=1", "--timeout=2", "--retries=1"]

        def start(cluster):
            command = [sys.executable, "-m", "darac_tf.commands", "describe", *words]
            how = {"cwd": REPOSITORY, "stderr": subprocess.PIPE, "text": True}
            return subprocess.Popen([*command, f"--address={cluster.address}"], **how)

        cluster, nodes = start_cluster()
        driver = start(cluster)
        wait_for(out, 3, driver)
        cluster.remove_node(nodes[0], allow_graceful=False)
        wait_for(out, 8, driver)
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        driver = start(cluster)
        before = wait_for(out, 10, driver)
        cluster.shutdown()  # everything
        driver.kill()
        driver.communicate()
        before |= finished(out)
        assert 10 <= len(before) < IMAGES // PART_ROWS
        driver = start(start_cluster()[0])
        _, errors = driver.communicate(timeout=120)
        assert driver.returncode == 0, errors
        assert "failed=" in errors and f"{IMAGES}/{IMAGES}" in errors

    after = finished(out)
    assert {name: after[name] for name in before} == before
    assert verify(out, show=False) == (IMAGES - 4, 4, [])
    letters = {name: reason for part in range(24) for name, _, reason in dead_letters(out, part)}
    assert sorted(letters) == ["id 20", "id 50", "id 7", "id 90"]
    assert letters["id 50"] == "is empty (0 bytes)"
    assert letters["id 90"] == "HTTP status 404 Not Found"
    parts, here = Parts.open(out), ExportedModel(model)
    names = [name for part in range(len(parts)) for name in parts.ids(part)]
    assert names == [name for name, _ in rows if name not in letters]
    contents = [images[f"/{name.removeprefix('id ')}.png"] for name in names]
    expected, _ = here(contents)
    np.testing.assert_allclose(parts.read(range(parts.rows)), expected, atol=1e-6)


def test_what_fails_in_a_worker_is_said_in_one_line(model, tmp_path, start_cluster, capsys):
    path, out = tmp_path / "M.csv", tmp_path / "out"
    write_manifest(path, [("a", "gone.jpg"), ("b", "gone too.jpg")])
    address = f"--address={start_cluster()[0].address}"
    command = ["describe", f"--manifest={path}", f"--model={model}", f"--out={out}", "--engine=ray"]
    for words, fault in (
        (["--worker_gpus=1"], "--worker_gpus=1: Ray has 2 CPU, 0 GPU in all"),
        ([], "part 0: 2 of 2 images can't be described, the first: gone.jpg: no such image"),
    ):
        assert main([*command, address, *words]) == 1
        assert fault in capsys.readouterr().err.splitlines()[-1]
    assert main([*command, "--address=127.0.0.1:1"]) == 1
    assert "--address=127.0.0.1:1: no Ray there" in capsys.readouterr().err.splitlines()[-1]
