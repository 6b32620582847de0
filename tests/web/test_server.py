"""The program behind the page: its port, its word to `darac query`, how it ends."""

import json
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import uvicorn
from PIL import Image

from darac_tf.commands import query
from darac_tf.commands.main import main
from darac_tf.errors import UserError
from darac_tf.web import server
from darac_tf.web.client import Client, running
from darac_tf.web.settings import WebSettings
from tests.search.small_model import vector_of


@pytest.fixture
def serving(own_place, served, monkeypatch):
    """The address of a page that is served, and a function that ends it."""
    monkeypatch.setattr(uvicorn.Config, "configure_logging", lambda self: None)
    monkeypatch.setattr(server, "_GRACE_SECONDS", 0.1)
    return served(own_place.collection)


def test_a_query_asks_the_page_that_runs(own_place, serving, capsys):
    address, end = serving
    word = own_place.index / "web.json"
    assert json.loads(word.read_text()) == {"address": address}
    assert stat.S_IMODE(word.stat().st_mode) == 0o600
    client, state = running(own_place.index)
    assert state["images"] == 12
    path = own_place.photos / "a" / "2.png"
    (own_place.folder / "none.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"none\.png: cannot be decoded"):
        client.query(own_place.folder / "none.png")
    with pytest.raises(UserError, match=r"absent\.png: No such file"):
        client.query("absent.png")
    arguments = [f"--index={own_place.index}", "--json", "--top_k=3"]
    status = main(["query", str(path), *arguments])
    output, errors = capsys.readouterr()
    assert status == 0 and "Asked the page that runs, among 12 images" in errors
    (answer,) = json.loads(output)
    assert answer["results"][0] == {"rank": 1, "similarity": 1.0, "path": str(path)}
    assert [each["rank"] for each in answer["results"]] == [1, 2, 3]
    assert main(["query", str(path), "--box=0,0,99,9", *arguments]) == 1
    assert "it must be xmin,ymin,xmax,ymax within the 40 x 32 pixels" in capsys.readouterr().err
    end()
    assert not word.exists() and running(own_place.index) == (None, None)


def test_a_box_of_a_query_is_that_of_the_page(own_place, serving, capsys):
    path = own_place.photos / "b" / "5.png"
    whole, boxed = f"--index={own_place.index}", "--box=3,5,31,29"
    assert main(["query", str(path), whole, boxed, "--json", "--top_k=30"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    with Image.open(path) as image:
        cut = tf.io.encode_png(np.asarray(image.crop((3, 5, 31, 29)))).numpy()
    for each in answer["results"]:
        with open(each["path"], "rb") as file:  # noqa: PTH123 - any bytes
            expected = float(vector_of(file.read()) @ vector_of(cut))
        assert each["similarity"] == pytest.approx(expected, abs=1e-6)


def test_a_query_does_without_a_page_that_fails(own_place, serving, monkeypatch):
    monkeypatch.setattr(own_place.collection, "describe", None)
    values = SimpleNamespace(index=own_place.index, top_k=3)
    assert not query._ask_page(values, [own_place.photos / "a" / "2.png"], None)


def test_it_ends_in_one_line_while_it_describes(own_place, serving, monkeypatch, caplog):
    address, end = serving
    has_begun = threading.Event()

    def describe(*_):
        has_begun.set()
        time.sleep(1)

    monkeypatch.setattr(own_place.collection, "describe", describe)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(Client(address).query, own_place.photos / "a" / "2.png")
        assert has_begun.wait(20)
        end()
        with pytest.raises(ConnectionError, match="status 503"):
            answer.result(20)
    (line,) = [each for each in caplog.records if each.name == "uvicorn.error"]
    assert line.exc_info is None


def test_a_port_in_use_is_said(own_place, serving):
    port = int(serving[0].split(":")[2].split("/")[0])
    with pytest.raises(UserError, match=rf"--port={port}: Address already in use; name another"):
        server.serve(own_place.collection, WebSettings(), port=port, is_opened=False)
    with pytest.raises(UserError, match=r"--host=203\.0\.113\.1 .*; name another"):
        server.serve(own_place.collection, WebSettings(), "203.0.113.1", is_opened=False)


def test_a_word_of_a_page_that_is_gone_is_none(own_place):
    for text in ('{"address": "http://127.0.0.1:9/x/"}', "[]", "{}", "no JSON"):
        (own_place.index / "web.json").write_text(text)
        assert running(own_place.index) == (None, None)


def test_mistakes_are_one_line(tmp_path, capsys):
    (tmp_path / "index.json").write_text("{")
    for arguments, text in (
        ([f"--index={tmp_path / 'absent'}"], "no index in"),
        ([f"--index={tmp_path}"], "is damaged or of another version"),
        ([f"--index={tmp_path}", "--port=70000"], "port"),
        ([f"--index={tmp_path}", "--max_upload_mb=0"], "max_upload_mb"),
        ([f"--index={tmp_path}", "word"], "word"),
    ):
        assert main(["web", *arguments]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and text in error and error.count("\n") == 1


def test_a_file_that_may_not_be_written_is_said(own_place, monkeypatch, caplog):
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "denied")))
    with server._word(own_place.index, "http://x/"):
        assert not (own_place.index / "web.json").exists()
    assert "`darac query` won't find this page" in caplog.text
