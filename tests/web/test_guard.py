"""Who is answered: each test fails without what it tests."""

import asyncio
import os

import pytest

from darac_tf.web.guard import Guard
from tests.web.conftest import TOKEN


@pytest.mark.parametrize(
    "path", ["/", "/state", "/wrong/state", f"/{TOKEN}x/state", f"//{TOKEN}/state", "/%00/state"]
)
def test_without_the_token_nothing_is_answered(place, path):
    answer = place.client.get(path)
    assert answer.status_code == 404 and "whole address" in answer.json()["error"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8000", "8.8.8.8", "", "[::"]
)
def test_a_foreign_name_that_points_here_is_refused(place, host):
    place.ask("state", headers={"Host": host}, status=421)


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_own_names_are_answered_by_any_port(place, host):
    place.ask("state", headers={"Host": host})


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:8001"]
)
def test_requests_of_other_pages_are_refused(place, origin):
    place.ask("take_in", {}, 403, headers={"Origin": origin})
    place.ask("take_in", {}, headers={"Origin": "http://127.0.0.1:8000"})


def test_on_all_interfaces_addresses_are_answered_and_foreign_names_are_not():
    answered = {}
    own = os.uname().nodename

    async def app(scope, receive, send):
        answered[name] = True

    async def ignore(message):
        pass

    for name in ("192.168.0.7:80", "[fe80::1]", own, "evil.example", "localhost"):
        headers = [(b"host", name.encode())]
        scope = {"type": "http", "path": "/t/", "scheme": "http", "headers": headers}
        asyncio.run(Guard(app, "t", "0.0.0.0", 1)(scope, None, ignore))
    assert answered.keys() == {"192.168.0.7:80", "[fe80::1]", own, "localhost"}


def test_a_request_for_no_path_is_refused():
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    scope = {"type": "http", "path": "*", "scheme": "http", "headers": [(b"host", b"localhost")]}
    asyncio.run(Guard(None, "t", "localhost", 1)(scope, None, send))
    assert statuses[0] == 404


def test_every_answer_forbids_what_is_not_of_the_page(place):
    for path in ("", "state", "absent", "static/page.js", "../wrong"):
        headers = place.client.get(f"/{TOKEN}/{path}").headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "script-src 'self';" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
    page = place.ask("").decode()
    assert "<script>" not in page and "style=" not in page and "onclick" not in page


@pytest.mark.parametrize("kind", ["file", "picture", "thumbnail"])
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "-1", "0/0", "1.5"]
)
def test_files_are_asked_for_by_number_only(place, kind, name):
    generation = place.collection.snapshot.generation
    answer = place.client.get(f"/{TOKEN}/{kind}/{generation}/{name}")
    assert answer.status_code in (404, 410) and b"root:" not in answer.content
    static = place.client.get(f"/{TOKEN}/static/..%2F..%2Fapp.py")
    assert static.status_code == 404


@pytest.mark.parametrize("is_announced", [True, False])
def test_large_uploads_are_refused(place, is_announced):
    data = bytes(2 << 20)
    content = data if is_announced else (data[n : n + 65536] for n in range(0, len(data), 65536))
    assert "1 MB" in place.ask("describe", content=content, status=413)["error"]


def test_only_so_many_requests_are_answered_at_a_time():
    async def both():
        started, may_end = asyncio.Event(), asyncio.Event()
        statuses = []

        async def app(scope, receive, send):
            started.set()
            await may_end.wait()

        async def send(message):
            statuses.append(message.get("status"))

        scope = {"type": "http", "path": "/t/", "scheme": "http"}
        scope["headers"] = [(b"host", b"localhost")]
        guard = Guard(app, "t", "localhost", 1)
        first = asyncio.create_task(guard(dict(scope), None, send))
        await started.wait()
        await guard(dict(scope), None, send)
        refused = list(statuses)
        may_end.set()
        await first
        started.clear()
        await guard(dict(scope), None, send)
        return refused, started.is_set()

    refused, is_free_again = asyncio.run(both())
    assert refused == [503, None] and is_free_again
