"""Files by their URIs: paths, a web server, a store of fsspec, ranges; what fails and how long."""

import os
import time

import pytest

from darac_tf.errors import UserError
from darac_tf.parts import fetching
from darac_tf.parts.fetching import Fetcher, UnreadableError, byte_range, store_of
from tests.parts.image_server import image_server

CONTENT = bytes(range(256)) * 8


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0.001)
    monkeypatch.setenv("no_proxy", "*")


def reason(fetch, uri):
    with pytest.raises(UnreadableError) as caught:
        fetch(uri)
    return str(caught.value)


def test_paths(tmp_path):
    odd = os.fsdecode(b"caf\xe9.jpg")
    for name in ("a.jpg", "with space#1.jpg", odd):
        (tmp_path / name).write_bytes(CONTENT)
    fetch = Fetcher(tmp_path)
    for uri in ("a.jpg", str(tmp_path / "a.jpg"), "with space#1.jpg", "caf\\udce9.jpg"):
        assert fetch(uri) == CONTENT
    assert fetch(byte_range("a.jpg", 100, 7)) == CONTENT[100:107]
    assert reason(fetch, "a.jpg#bytes=2000-2100") == "has 48 of the 101 bytes of its range"
    assert reason(fetch, "gone.jpg") == "no such image"
    assert "is no file" in reason(fetch, ".")
    (tmp_path / "empty.jpg").touch()
    assert "0 bytes" in reason(fetch, "empty.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "is no file" in reason(fetch, "pipe.jpg")


def test_a_web_server(monkeypatch):
    statuses = {"/busy": [503, 429], "/down": [500] * 9, "/no": [403] * 9}
    files = {"/a": CONTENT, "/busy": CONTENT, "/empty": b""}
    with image_server(files, statuses=statuses) as (url, asked):
        fetch = Fetcher(".", timeout=5, retries=2)
        assert fetch(f"{url}/a") == CONTENT
        assert fetch(byte_range(f"{url}/a", 5, 10)) == CONTENT[5:15]
        assert fetch(f"{url}/busy") == CONTENT and asked.count("/busy") == 3
        assert reason(fetch, f"{url}/down").startswith("HTTP status 500")
        assert reason(fetch, f"{url}/no").startswith("HTTP status 403")
        assert reason(fetch, f"{url}/gone").startswith("HTTP status 404")
        assert [asked.count(path) for path in ("/down", "/no", "/gone")] == [3, 1, 1]
        assert reason(fetch, f"{url}/empty") == "is empty (0 bytes)"
        monkeypatch.setattr(fetching, "MOST_BYTES", 1 << 10)
        assert reason(fetch, f"{url}/a") == "has more than 0 MiB"
    assert "refused" in reason(fetch, f"{url}/a")


def test_what_never_answers_takes_no_longer_than_allowed():
    with image_server({}) as (url, asked):
        fetch = Fetcher(".", timeout=0.2, retries=1)
        start = time.monotonic()
        for path in ("/never", "/drip"):  # a limit of each read alone would not end the second
            assert reason(fetch, url + path) in ("no answer within 0.2 s", "timed out")
        assert time.monotonic() - start < 2 and asked == ["/never"] * 2 + ["/drip"] * 2


def test_a_store_of_fsspec():
    store, _ = store_of("memory://bucket/a")
    store.pipe("/bucket/a.jpg", CONTENT)
    fetch = Fetcher(".", retries=0)
    assert fetch("memory://bucket/a.jpg") == CONTENT
    assert fetch(byte_range("memory://bucket/a.jpg", 3, 4)) == CONTENT[3:7]
    assert "gone.jpg" in reason(fetch, "memory://bucket/gone.jpg")
    for uri, package in (("s3://bucket/a", "s3fs"), ("gs://bucket/a", "gcsfs")):
        if not pytest.importorskip("importlib.util").find_spec(package):
            with pytest.raises(UserError, match=f"can't be read here: pip install .*{package}"):
                fetch(uri)
    with pytest.raises(UserError, match=r"nosuch:// can't be read here: Protocol not known"):
        fetch("nosuch://bucket/a")
