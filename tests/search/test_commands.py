"""`darac index`, `query`, `duplicates` and `forget` as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from darac_tf.commands.main import COMMANDS, main
from darac_tf.describing import feature_table
from darac_tf.parts.part_files import write_part
from tests.conftest import REPOSITORY
from tests.helpers import write_image
from tests.parts.part_helpers import columns_of, layout_of
from tests.search.collection import assert_same, damage, entries, write_file


@pytest.fixture
def place(tmp_path, model):
    for number in range(6):
        write_image(tmp_path / "my photos" / f"bild {number} ü.png", seed=number)
    write_file(tmp_path / "my photos" / "broken \x1b[2J.png", b"broken")
    return tmp_path


@pytest.fixture
def command(capsys):
    """Runs a command; returns exit status, standard output and standard error."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


def test_index_query_duplicates_forget(place, model, command):
    photos, index = place / "my photos", f"--index={place / 'index'}"
    status, output, errors = command("index", photos, f"--model={model.folder}", index)
    assert status == 0, errors
    first, second, *_ = output.splitlines()
    assert first == "7 images: 7 new, 0 changed, 0 removed, 1 unreadable"
    assert second.startswith("7 described in ") and second.endswith(" images/s")
    assert "broken \\x1b[2J.png: cannot be decoded" in errors and "\x1b[2J" not in errors
    # The index knows its model.
    status, output, _ = command("index", index, "--batch_images=2", photos)
    assert status == 0 and output == "7 images: 0 new, 0 changed, 0 removed, 1 unreadable\n"

    query, page = photos / "bild 2 ü.png", place / "out" / "results.html"
    status, output, errors = command("query", query, "--top_k=3", f"--out={page}", index)
    assert status == 0, errors
    lines = output.splitlines()
    assert lines[:2] == [f"most like {query}:", "rank  similarity  path"]
    assert lines[2].split(None, 2) == ["1", "1.0000", str(query)] and len(lines) == 5
    assert errors.splitlines()[-1] == "Exact search among 6 images"
    assert page.read_text().count("<figure") == 3

    status, output, _ = command("query", index, "--json", query, photos / "bild 1 ü.png")
    answers = json.loads(output)
    assert [answer["query"] for answer in answers] == [str(query), str(photos / "bild 1 ü.png")]
    assert [len(answer["results"]) for answer in answers] == [6, 6]
    assert answers[0]["results"][0]["path"] == str(query) and answers[0]["box"] is None

    shutil.copy(query, photos / "copy.png")
    command("index", photos, index)
    status, output, _ = command("duplicates", index, "--threshold=0.999")
    assert output.split("\t") == ["1.0000", str(query), f"{photos / 'copy.png'}\n"]
    status, output, _ = command("forget", photos, index)
    assert (status, output) == (0, "8 images dropped from the index\n")
    status, _, errors = command("query", query, index)
    assert status == 1 and errors == f"error: {place / 'index'} holds no image yet: index again\n"


def test_damaged_vectors_are_said_and_made_again(place, model, command, monkeypatch):
    monkeypatch.setattr(feature_table, "_CHECKED_AT_ONCE", 1)
    photos, index = place / "my photos", f"--index={place / 'index'}"
    command("index", photos, f"--model={model.folder}", index)
    before = entries(place / "index")
    damage(place / "index", 0, before[str(photos / "bild 3 ü.png")])
    status, output, errors = command("query", photos / "bild 3 ü.png", "--top_k=1", index)
    assert status == 0 and "bild 3" in output.splitlines()[-1]
    assert "1 damaged vectors were found: `index --verify` describes them again" in errors
    status, output, errors = command("index", photos, index, "--verify")
    assert f"{photos / 'bild 0 ü.png'}: its vector was lost" in errors
    assert output.splitlines()[1].startswith("1 described in ")
    assert_same(entries(place / "index"), before)


def test_box_and_faiss(place, model, command):
    pytest.importorskip("faiss")
    photos, index = place / "my photos", f"--index={place / 'index'}"
    command("index", photos, f"--model={model.folder}", index, "--faiss_index=Flat")
    assert len(list((place / "index").glob("faiss-*"))) == 1
    query = photos / "bild 3 ü.png"
    exact = json.loads(command("query", query, index, "--json", "--box=0,0,30,30")[1])
    assert exact[0]["box"] == [0, 0, 30, 30]
    for kind in ("Flat", "HNSW32"):  # the second is made for the query, and kept
        arguments = ("query", query, index, "--json", "--box=0,0,30,30", f"--faiss_index={kind}")
        status, output, errors = command(*arguments)
        assert status == 0 and json.loads(output) == exact
        assert f"Approximate search ({kind}) among 6 images" in errors
    assert len(list((place / "index").glob("faiss-*"))) == 2
    status, _, errors = command("query", query, index, "--faiss_index=NoSuchKind")
    assert status == 1 and "can't make an index 'NoSuchKind'" in errors.splitlines()[-1]


def test_parts_are_indexed_whitened_and_searched(place, model, other_model, command):
    photos = sorted((place / "my photos").glob("bild*"))
    vectors, _ = model([path.read_bytes() for path in photos])
    parts, index = place / "parts", f"--index={place / 'index'}"
    layout = layout_of(len(photos), 4, model.dimension, model=model.fingerprint)
    layout.begin(parts)
    for part, own in enumerate((photos[:4], photos[4:])):
        columns = columns_of(range(len(own)), model.dimension)
        columns |= {"id": [str(path) for path in own], "vector": vectors[4 * part :][:4]}
        write_part(parts, layout, part, columns)
    wrong = command("index", f"--parts={parts}", f"--model={other_model.folder}", index)
    assert wrong[0] == 1 and f"was described by another model ({model.fingerprint})" in wrong[2]
    status, output, errors = command("index", f"--parts={parts}", index)
    assert status == 0 and output == f"{place / 'index'}: 6 x 48, exact search, without an index\n"
    status, _, errors = command("query", photos[2], index)
    assert status == 1 and "does not know where its model is: name it" in errors
    named = f"--model={model.folder}"
    status, output, errors = command("query", photos[2], index, named, "--json")
    assert status == 0 and errors.splitlines()[-1] == "Exact search among 6 images"
    (answer,) = json.loads(output)
    scores = vectors.astype(np.float64) @ vectors[2]
    order = np.argsort(-scores)
    assert [each["path"] for each in answer["results"]] == [str(photos[i]) for i in order]
    np.testing.assert_allclose(
        [e["similarity"] for e in answer["results"]], scores[order], atol=1e-6
    )
    status, _, errors = command("duplicates", index)
    assert status == 1 and "it is one of parts, for darac query only" in errors

    whitened, index = place / "whitened", f"--index={place / 'of whitened'}"
    status, output, _ = command("whiten", f"--parts={parts}", "--dim=5", f"--out={whitened}")
    assert (status, output) == (0, f"{whitened}: 6 x 5\n")
    command("index", f"--parts={whitened}", index, named, "--faiss_index=Flat", "--shards=2")
    page = place / "page.html"
    status, output, errors = command("query", photos[2], index, "--top_k=1", f"--out={page}")
    assert status == 0 and "Approximate search (Flat) among 6 images" in errors
    assert output.splitlines()[2].split(None, 2) == ["1", "1.0000", str(photos[2])]
    assert page.read_text().count("<figure") == 1


MISTAKES = [
    (["find"], "unknown command 'find': choose from demo, train"),
    (["index", "--index=I"], "name at least one folder of images"),
    (["index", "PHOTOS", "--index=I", "--model=no"], "--model: no saved_model.pb in "),
    (["index", "absent", "--index=I", "--model=MODEL"], "no such folder: "),
    (["index", "PHOTOS", "--index=I", "--model=MODEL", "--tok_k=3"], "Unknown command line flag"),
    (["index", "PHOTOS", "--index=I", "--model=MODEL", "--batch_images=0"], "batch_images=0"),
    (["index", "PHOTOS", "--index=I", "--memory=much"], "--memory=much: give a size such as 8GiB"),
    (["index", "PHOTOS", "--index=I", "--shards=2"], "--shards is for --parts"),
    (["index", "--parts=absent", "--index=I"], "absent holds no parts: "),
    (["index", "PHOTOS", "--index=PHOTOS", "--model=MODEL"], "holds other files, such as "),
    (["index", "PHOTOS", "--index=PHOTOS/broken \x1b[2J.png", "--model=MODEL"], "can't write"),
    (["query", "a.png", "--index=I"], "--index: no index in "),
    (["query", "--index=DONE"], "name at least one image"),
    (["query", "absent.png", "--index=DONE"], "absent.png: no such image"),
    (["query", "a.png", "b.png", "--box=1,2,3,4", "--index=DONE"], "--box: name one image only"),
    (["query", "a.png", "--box=1,2,3", "--index=DONE"], "--box=1,2,3: give four whole numbers"),
    (["query", "a.png", "--index=DONE", "--model=OTHER"], "was made with another model"),
    (["index", "PHOTOS", "--index=DONE", "--model=OTHER"], "was made with another model"),
    (["duplicates", "a.png", "--index=DONE"], "unexpected argument 'a.png'"),
    (["duplicates", "--index=I"], "--index: no index in "),
    (["forget", "PHOTOS", "--index=I"], "--index: no index in "),
    (["forget", "--index=DONE"], "name at least one folder"),
]


@pytest.fixture(scope="module")
def done(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("done")
    write_image(folder / "photos" / "a.png")
    arguments = [str(folder / "photos"), f"--model={model.folder}", f"--index={folder / 'index'}"]
    assert main(["index", *arguments]) == 0
    return folder / "index"


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_one_line(
    arguments, message, place, model, done, other_model, command, monkeypatch
):
    monkeypatch.chdir(place)
    names = {
        "PHOTOS": place / "my photos",
        "MODEL": model.folder,
        "DONE": done,
        "OTHER": other_model.folder,
    }
    for name, path in names.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
    status, output, errors = command(*arguments)
    assert status == 1 and output == ""
    (line,) = [line for line in errors.splitlines() if "images/s" not in line]
    assert line.startswith("error: ") and message in line
    assert not (place / "I" / "index.json").exists() or "no such folder" in message


def test_help(command):
    for words, wanted in ((["--help"], 0), ([], 1)):
        status, output, _ = command(*words)
        assert status == wanted and output.count("\n  ") == len(COMMANDS)


def _start(*arguments):
    command = [sys.executable, "-m", "darac_tf.commands", *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_the_program_killed_again_and_again(place, model):
    photos = place / "my photos"
    for number in range(400):
        write_image(photos / f"more {number}.png", 200, 200, seed=number)
    arguments = ("index", photos, f"--model={model.folder}", "--batch_images=8")
    assert _start(*arguments, f"--index={place / 'whole'}").wait() == 0
    rows = place / "index" / "vectors-1" / "rows.f32"
    kills = 0
    while True:
        before = rows.stat().st_size if rows.exists() else 0
        process = _start(*arguments, f"--index={place / 'index'}")
        # Once it has begun to describe, and a little later each time.
        while process.poll() is None and not (rows.exists() and rows.stat().st_size > before):
            time.sleep(0.005)
        time.sleep(0.02 * kills)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        assert entries(place / "index").keys() <= entries(place / "whole").keys()
    assert process.returncode == 0 and kills > 2
    assert_same(entries(place / "index"), entries(place / "whole"))
