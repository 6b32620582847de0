"""`darac push`, and `darac query --from`."""

import pytest

from darac_tf import databases
from darac_tf.commands.main import main
from tests.databases.memory import Memory
from tests.helpers import write_image


@pytest.fixture
def place(tmp_path, model, capsys):
    for number in range(6):
        write_image(tmp_path / "photos" / f"{number}.png", seed=number)
    index = ["index", str(tmp_path / "photos"), f"--model={model.folder}"]
    assert main([*index, f"--index={tmp_path / 'index'}"]) == 0
    capsys.readouterr()
    return tmp_path


def test_what_was_pushed_is_found_there(place, capsys, monkeypatch):
    memory = Memory()
    monkeypatch.setattr(databases, "connect", lambda text, collection: memory)
    index = f"--index={place / 'index'}"
    assert main(["push", "--to=memory:", index, "--batch_rows=2"]) == 0
    assert capsys.readouterr().out == "memory: (darac): 6 images: 6 put, 0 deleted\n"
    query = ["query", str(place / "photos" / "2.png"), index, "--top_k=3"]
    assert main(query) == 0
    exact = capsys.readouterr().out
    assert main([*query, "--from=memory:"]) == 0
    output, errors = capsys.readouterr()
    assert output == exact
    assert errors.endswith(
        "Search in memory: (darac), which finds 100.0 % of the exact first 3, among 6 images\n"
    )
    del memory.rows[next(row.id for row in memory.rows.values() if row.path.endswith("2.png"))]
    assert main([*query, "--from=memory:"]) == 0
    assert "finds 66.7 % of" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["push", "--to=other:x", index]) == 1
    assert "error: 'other:x' names no database" in capsys.readouterr().err
