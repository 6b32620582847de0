"""The REST client against a server that others wrote: kserve, in an environment of its own."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from darac_tf.serving import ServerError, connect
from tests.serving.servicer import QUICK

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(small_model):
    python = os.environ.get("KSERVE_PYTHON")
    if not python:
        pytest.skip("KSERVE_PYTHON names no python with kserve and tensorflow (docs/serving.md)")
    command = [python, Path(__file__).with_name("kserve_model.py"), small_model / "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stdout if line.startswith("port "))
            yield f"127.0.0.1:{line.split()[1]}"
        finally:
            process.terminate()


def test_vectors_and_bad_images(address, images, offline):
    with connect(address, "rest", retries=QUICK, batch_size=4) as client:
        found = client.describe([*images, b"no image"])
    np.testing.assert_array_equal(found.vectors[:-1], offline)
    assert found.valid.tolist() == [True] * len(images) + [False]
    with connect(address, "rest", signature="serving_default", retries=QUICK) as client:
        np.testing.assert_array_equal(client.describe(images).vectors, offline)
        with pytest.raises(ServerError, match="HTTP 400"):
            client.describe([images[0], b"no image"])
    client = connect(address, "rest", model="other", retries=QUICK)
    with client, pytest.raises(ServerError, match="HTTP 404"):
        client.describe(images[:1])
