"""What is asked again and what is not, how often, after which waits; timeouts."""

import http.server
import threading
import time

import grpc
import numpy as np
import pytest

from darac_tf.serving import Retries, ServerError, connect
from darac_tf.serving.retries import TransientError
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
        content, declared = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(declared or len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_):
        pass


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
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    server.content, server.count = (content, declared), 0
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    try:
        client = connect(address, "rest", message_bytes=1000, retries=QUICK)
        with client, pytest.raises(ServerError, match=message):
            client.describe([b"x"])
        assert server.count == attempts
    finally:
        server.shutdown()
        server.server_close()


def test_waits_grow_up_to_a_limit_and_are_spread():
    retries = Retries(attempts=6, first_delay=1, factor=2, longest_delay=5)
    for share, part in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0)):
        waits = [retries.delay(failures, share) for failures in range(1, 6)]
        assert waits == [part * wait for wait in (1, 2, 4, 5, 5)]
    assert retries.delay(10**6, 1.0) == 5
    waits, calls = [], []

    def fail():
        calls.append(1)
        raise TransientError("busy", "UNAVAILABLE")

    with pytest.raises(ServerError, match="asked 6 times"):
        retries.call(fail, "a:1", waits.append, lambda: 0.0)
    assert waits == [0.5, 1, 2, 2.5, 2.5] and len(calls) == 6


def test_settings_out_of_range():
    for wrong in ({"attempts": 0}, {"factor": 0.5}, {"first_delay": -1}, {"longest_delay": -1}):
        with pytest.raises(ValueError, match="Received"):
            Retries(**wrong)


def test_the_codes_that_pass_are_those_of_grpc():
    from darac_tf.serving import grpc_transport

    names = {code.name for code in grpc_transport._PASSING}
    assert names == {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    assert all(isinstance(code, grpc.StatusCode) for code in grpc_transport._PASSING)
