"""What is asked again and what is not, how often, after which waits; timeouts."""

import contextlib
import http.server
import random
import threading
import time

import grpc
import numpy as np
import pytest
from urllib3.exceptions import MaxRetryError, ProtocolError

from darac_tf.errors import UserError
from darac_tf.serving import Retries, ServerError, connect
from darac_tf.serving.rest_transport import SpreadRetry
from tests.serving.servicer import QUICK, Faults, client_of, free_port, serving

PROTOCOLS = ["grpc", "rest"]
REST_CODES = {
    "UNAVAILABLE": "HTTP 503",
    "DEADLINE_EXCEEDED": "HTTP 504",
    "RESOURCE_EXHAUSTED": "HTTP 429",
    "INVALID_ARGUMENT": "HTTP 400",
    "INTERNAL": "HTTP 500",
}


@pytest.fixture(scope="module")
def faults():
    return Faults()


@pytest.fixture(scope="module")
def server(small_model, faults):
    with serving(small_model, faults) as server:
        yield server


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"])
def test_failures_that_pass(server, faults, images, offline, protocol, code):
    first = faults.count + 1
    faults.fail = lambda number: code if number < first + 3 else None
    with client_of(server, protocol) as client:
        found = client.describe(images[:2])
    np.testing.assert_array_equal(found.vectors, offline[:2])
    assert faults.count == first + 3  # three failures and the answer


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_failure_that_stays(server, faults, images, protocol):
    before, faults.fail = faults.count, lambda number: "UNAVAILABLE"
    code = "UNAVAILABLE" if protocol == "grpc" else REST_CODES["UNAVAILABLE"]
    asked = pytest.raises(ServerError, match=f"asked 4 times: {code}: injected")
    with client_of(server, protocol) as client, asked as caught:
        client.describe(images[:2])
    assert caught.value.code == code and faults.count - before == QUICK.attempts


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL"])
def test_failures_that_do_not_pass(server, faults, images, protocol, code):
    before, faults.fail = faults.count, lambda number: code
    shown = code if protocol == "grpc" else REST_CODES[code]
    with client_of(server, protocol) as client, pytest.raises(ServerError, match=shown):
        client.describe(images[:2])
    assert faults.count - before == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_failed_request_of_several_ends_the_call(server, faults, images, protocol):
    first = faults.count + 1
    faults.fail = lambda number: "INVALID_ARGUMENT" if number == first else time.sleep(0.05)
    client = client_of(server, protocol, batch_size=1, in_flight=1)
    with client, pytest.raises(ServerError, match="injected"):
        client.describe(images)
    assert faults.count - first < 3  # the rest was given up


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_server_is_left_and_asked_again(server, faults, images, offline, protocol):
    first = faults.count + 1
    faults.fail = lambda number: time.sleep(1.5 if number == first else 0)
    begin = time.monotonic()
    with client_of(server, protocol, timeout_s=0.5) as client:
        np.testing.assert_array_equal(client.describe(images[:1]).vectors, offline[:1])
    assert 0.5 <= time.monotonic() - begin < 1.4
    assert faults.count - first == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_listens(images, protocol):
    retries = Retries(attempts=2, first_delay=0.01)
    with connect(f"127.0.0.1:{free_port()}", protocol, retries=retries) as client:
        with pytest.raises(ServerError, match="asked 2 times: UNAVAILABLE"):
            client.describe(images[:1])
        begin = time.monotonic()
        with pytest.raises(ServerError, match=r"not ready after 0\.3 s"):
            client.wait_until_ready(0.3, interval=0.05)
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_comes_later(small_model, images, offline, protocol):
    port = free_port()
    server = []

    def start():
        time.sleep(0.4)
        server.append(serving(small_model, **{f"{protocol}_port": port}))
        server[0].__enter__()

    thread = threading.Thread(target=start)
    thread.start()
    with connect(f"127.0.0.1:{port}", protocol) as client:
        assert client.wait_until_ready(10, interval=0.05) == 2
        np.testing.assert_array_equal(client.describe(images[:1]).vectors, offline[:1])
    thread.join()
    server[0].__exit__(None, None, None)


class _Odd(http.server.BaseHTTPRequestHandler):
    """Answers with whatever the server's `content` is."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.count += 1
        status, headers = self.server.first if self.server.count == 1 else (200, {})
        self.send_response(status)
        content = self.server.content
        self.send_header("Content-Length", str(self.server.declared or len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(content), 1 if self.server.pause else len(content)):
            self.wfile.write(content[start:] if not self.server.pause else content[:1])
            time.sleep(self.server.pause)
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def odd_server(content, declared=None, first=(200, {}), pause=0):
    """A server of this content, byte by byte with a pause; `first` is its first status."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.handle_error = lambda *_: None  # clients go away
    server.content, server.declared, server.first, server.pause = content, declared, first, pause
    server.count, server.address = 0, f"127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("content", "declared", "attempts", "message"),
    [
        (b"<html>", None, 1, "refused the request: HTTP 200: <html>"),
        (b"[1]", None, 1, "HTTP 200"),
        (b"{}", None, 1, "no predictions"),
        (b'{"predictions": [[1, 2], [3]]}', None, 1, "not rows of numbers"),
        (b'{"predictions": [[1, 2], [3, 4]]}', None, 1, "not one vector for each"),
        (b'{"predictions": [{"descriptor": [NaN], "valid": true}]}', None, 1, "NaN or infinity"),
        (b'{"predictions": [{"descriptor": [1], "valid": 1}]}', None, 1, "not one vector"),
        (b'{"predictions": [{"scores": [1]}]}', None, 1, "no 'descriptor'"),
        (b'{"predictions": [[1]', 100, 4, "asked 4 times: UNAVAILABLE"),
        (b" " * 20000, None, 1, "more than 8000 bytes"),
    ],
)
def test_answers_that_are_none(images, content, declared, attempts, message):
    with odd_server(content, declared) as server:
        client = connect(server.address, "rest", message_bytes=1000, retries=QUICK)
        with client, pytest.raises(ServerError, match=message):
            client.describe([b"x"])
        assert server.count == attempts


def test_waits_grow_up_to_a_limit_and_are_spread(monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    for chance, part in ((lambda low, high: low, 0.5), (lambda low, high: high, 1.0)):
        monkeypatch.setattr(random, "uniform", chance)
        retry = SpreadRetry(5, backoff_factor=1, backoff_max=5, status_forcelist=[503])
        waits.clear()
        for _ in range(5):
            retry = retry.increment("GET", "/", error=ProtocolError())
            retry.sleep()
        assert waits == [part * wait for wait in (1, 2, 4, 5, 5)]
        with pytest.raises(MaxRetryError):
            retry.increment("GET", "/", error=ProtocolError())
    history = (None,) * 10**6
    assert SpreadRetry(5, backoff_factor=1, backoff_max=5, history=history).get_backoff_time() == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_first_repetition_waits_too(server, faults, images, protocol):
    first, at = faults.count + 1, []

    def fail(number):
        at.append(time.monotonic())
        return "UNAVAILABLE" if number == first else None

    faults.fail = fail
    retries = Retries(attempts=2, first_delay=0.4)
    with client_of(server, protocol, retries=retries) as client:
        client.describe(images[:1])
    assert 0.2 <= at[1] - at[0] < 1.5


def test_a_server_names_the_wait(images):
    content = b'{"predictions": [[1.0]]}'
    with odd_server(content, first=(503, {"Retry-After": "1"})) as server:
        begin = time.monotonic()
        with connect(server.address, "rest", retries=QUICK) as client:
            client.describe([b"x"])
        assert 1 <= time.monotonic() - begin < 3 and server.count == 2
    with (
        odd_server(content, first=(503, {"Retry-After": "soon"})) as server,
        connect(server.address, "rest", retries=QUICK) as client,
        pytest.raises(ServerError, match="asked once: HTTP 503"),
    ):
        client.describe([b"x"])


def test_an_answer_that_drips_is_bounded_in_time(images):
    retries = Retries(attempts=1)
    with odd_server(b" " * 100, pause=0.1) as server:
        begin = time.monotonic()
        with (
            connect(server.address, "rest", timeout_s=0.5, retries=retries) as client,
            pytest.raises(ServerError, match="asked once: DEADLINE_EXCEEDED"),
        ):
            client.describe([b"x"])
        assert 0.5 <= time.monotonic() - begin < 1.5


def test_a_message_is_sent_again_however_large_it_is(server, faults):
    first = faults.count + 1
    faults.fail = lambda number: "UNAVAILABLE" if number == first else None
    with client_of(server, "grpc") as client:
        found = client.describe([b"no image" + bytes(3 << 20)])
    assert not found.valid.any() and faults.count == first + 1


def test_settings_out_of_range():
    for wrong in ({"attempts": 0}, {"first_delay": -1}, {"longest_delay": -1}):
        with pytest.raises(ValueError, match="Received"):
            Retries(**wrong)
    with pytest.raises(UserError, match=r"--attempts=6: gRPC sends a request 5 times"):
        connect("127.0.0.1:1", "grpc", retries=Retries(6))
    connect("127.0.0.1:1", "rest", retries=Retries(6)).close()


def test_the_codes_that_pass_are_those_of_grpc():
    from darac_tf.serving import grpc_transport

    assert set(grpc_transport.PASSING) == {
        "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED",
    }  # fmt: skip
    assert all(name in grpc.StatusCode.__members__ for name in grpc_transport.PASSING)
