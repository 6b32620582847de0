"""The small model, its images and their vectors, made once."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.helpers import write_collection
from tests.serving.servicer import versions
from tests.serving.small_model import write_small_model


def image_bytes(seed, form="JPEG", size=(30, 40)):
    """A small image of large random patches, encoded."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (3, 4, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(patches).resize(size[::-1], Image.NEAREST).save(out, form)
    return out.getvalue()


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """Folder of versions 1 and 2, whose vectors have opposite signs."""
    folder = tmp_path_factory.mktemp("small_model")
    write_small_model(folder, 1, sign=-1.0)
    return write_small_model(folder, 2)


@pytest.fixture(scope="session")
def images():
    """List of 11 images of several formats and sizes."""
    forms = ("JPEG", "PNG", "GIF", "BMP")
    return [image_bytes(i, forms[i % 4], (20 + 3 * i, 50 - 2 * i)) for i in range(11)]


@pytest.fixture(scope="session")
def offline(small_model, images):
    """Their vectors by version 2, one image a run: float32 (11, 48)."""
    model = versions(small_model)[2]
    found = [
        model.run("serving_default", {"image_bytes": np.array([image], object)})["descriptor"]
        for image in images
    ]
    return np.concatenate(found)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Twelve images, one more of the same content, and one that is none."""
    folder = write_collection(tmp_path_factory.mktemp("photos") / "set", 4, 3)
    shutil.copy(folder / "class_0" / "0.jpg", folder / "class_3" / "copy.jpg")
    (folder / "class_2" / "bad.jpg").write_bytes(b"\xff\xd8\xff no image")
    return folder
