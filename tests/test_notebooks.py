"""The notebooks of examples/, run as they are but for their first cell of code."""

import nbclient
import nbformat
import pytest

from darac_tf.models import build_descriptor
from tests.conftest import REPOSITORY
from tests.helpers import write_backbone, write_collection

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    write_collection(folder / "photos", classes=5, images=3)
    backbone = write_backbone(folder / "small.keras")
    build_descriptor(backbone).save(folder / "descriptor.keras")
    return folder


SMALL = {
    "own_photographs": {"BACKBONE": "small.keras", "SIZE": 40},
    "training": {
        **{"BACKBONE": "small.keras", "VAL_CLASSES": 2, "SIZE": 32},
        **{"POOLING_STEPS": 2, "STEPS": 4},
    },
    "serving": {"MODEL": "descriptor.keras", "RESOLUTIONS": "32,48"},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_runs_on_other_photographs(place, monkeypatch, name):
    notebook = nbformat.read(REPOSITORY / "examples" / f"{name}.ipynb", 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs for cell in cells)
    lines = [f"{key} = {value!r}" for key, value in SMALL[name].items()]
    cells[0].source = "\n".join([cells[0].source, *lines])
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(place)}}
    ).execute()
    texts = [str(output) for cell in cells for output in cell.outputs]
    assert not any("error: " in text for text in texts)
    assert sum("image/png" in text for text in texts) == (name != "serving")
