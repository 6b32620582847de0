"""The client against the stand-in, over both protocols: vectors, order, limits, bad images."""

import doctest
import threading

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.serving import ServerError, connect
from darac_tf.serving import client as client_module
from tests.serving.servicer import Faults, client_of, serving

PROTOCOLS = ["grpc", "rest"]


@pytest.fixture(scope="module")
def faults():
    return Faults()


@pytest.fixture(scope="module")
def server(small_model, faults):
    with serving(small_model, faults, only_newest=False) as server:
        yield server


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("signature", ["robust", "serving_default"])
def test_same_vectors_as_offline_in_order(server, faults, images, offline, protocol, signature):
    before = faults.count
    with client_of(server, protocol, signature=signature, batch_size=2, in_flight=3) as client:
        found = client.describe(images)
    assert found.vectors.dtype == np.float32 and found.vectors.shape == offline.shape
    np.testing.assert_array_equal(found.vectors, offline)
    assert found.valid.dtype == bool and found.valid.all()
    assert faults.count - before == 6


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_requests_are_bounded_in_bytes(server, faults, images, offline, protocol):
    before = faults.count
    with client_of(server, protocol, batch_bytes=1) as client:
        np.testing.assert_array_equal(client.describe(images[:5]).vectors, offline[:5])
    assert faults.count - before == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_image_larger_than_a_request_is_refused_before_it_is_sent(
    server, faults, images, protocol
):
    before, limit = faults.count, max(map(len, images[:3]))
    with client_of(server, protocol, message_bytes=limit) as client:
        client.describe(images[:3])
        assert faults.count > before
        before = faults.count
        with pytest.raises(ServerError, match=rf"image 1 has {limit + 1} bytes.*--message_bytes"):
            client.describe([images[0], b"x" * (limit + 1)])
    assert faults.count == before


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bad_images(server, faults, images, offline, protocol):
    bad = [b"", b"no image", images[1][:40]]
    mixed = [images[0], bad[0], bad[1], images[1], bad[2]]
    with client_of(server, protocol) as client:
        found = client.describe(mixed)
    assert found.valid.tolist() == [True, False, False, True, False]
    np.testing.assert_array_equal(found.vectors[[0, 3]], offline[:2])
    assert not found.vectors[[1, 2, 4]].any()
    before = faults.count
    code = {"grpc": "INVALID_ARGUMENT", "rest": "HTTP 400"}[protocol]
    with client_of(server, protocol, signature="serving_default") as client:
        for data in bad:
            with pytest.raises(ServerError, match=f"refused the request: {code}: ") as caught:
                client.describe([images[0], data])
            assert caught.value.code == code and isinstance(caught.value, UserError)
    assert faults.count - before == len(bad)  # never asked again


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_images(server, protocol):
    with client_of(server, protocol) as client:
        found = client.describe([])
    assert found.vectors.shape[0] == 0 and found.valid.shape == (0,)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_versions(server, images, offline, protocol):
    with client_of(server, protocol) as client:
        assert client.versions() == {1: "AVAILABLE", 2: "AVAILABLE"}
        assert client.newest_version() == client.wait_until_ready(1) == 2
    for version, sign in ((1, -1), (2, 1)):
        with client_of(server, protocol, version=version) as client:
            found = client.describe(images[:3])
        np.testing.assert_array_equal(found.vectors, sign * offline[:3])
    code = {"grpc": "NOT_FOUND", "rest": "HTTP 404"}[protocol]
    with client_of(server, protocol, version=3) as client, pytest.raises(ServerError, match=code):
        client.describe(images[:1])
    with client_of(server, protocol, model="other") as client:
        # The server's reason in words, not the JSON that REST has it in.
        with pytest.raises(ServerError, match=rf"{code}: [^{{]*no model 'other'"):
            client.versions()
        with pytest.raises(ServerError, match=f"{code}.*no model 'other'"):
            client.describe(images[:1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unknown_signature(server, images, protocol):
    client = client_of(server, protocol, signature="labels")
    with client, pytest.raises(ServerError, match="no signature 'labels'"):
        client.describe(images[:1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_batches_are_read_no_further_ahead_than_requests_are_under_way(server, images, protocol):
    read = []

    def batches():
        for number in range(10):
            read.append(number)
            yield [images[number]]

    with client_of(server, protocol, in_flight=2) as client:
        for done, _ in enumerate(client.describe_each(batches()), start=1):
            assert len(read) <= done + 1  # one more is under way
    assert len(read) == 10


def test_requests_are_under_way_at_the_same_time(small_model, images, offline):
    # Each prediction waits until three are there: one after another, none would end.
    together = threading.Barrier(3, timeout=10)

    def wait(number):
        together.wait()

    with (
        serving(small_model, Faults(wait)) as server,
        client_of(server, "grpc", batch_size=3, in_flight=3) as client,
    ):
        np.testing.assert_array_equal(client.describe(images[:9]).vectors, offline[:9])


def test_a_message_too_long_for_the_server_is_not_sent_again(small_model, images):
    faults = Faults()
    with (
        serving(small_model, faults, message_bytes=100) as server,
        client_of(server, "grpc") as client,
    ):
        with pytest.raises(ServerError, match=r"RESOURCE_EXHAUSTED.*lower --batch_bytes"):
            client.describe(images[:1])
        with client_of(server, "rest") as rest, pytest.raises(ServerError, match="HTTP 413"):
            rest.describe(images[:1])
    assert faults.count == 0


@pytest.mark.parametrize(
    "text", ["localhost", "127.0.0.1:", ":8500", "127.0.0.1:x", "http://a:1", "a:0", "a:65536"]
)
def test_wrong_addresses(text):
    with pytest.raises(UserError, match="--server="):
        connect(text)


def test_the_example_of_requests():
    result = doctest.testmod(client_module)
    assert result.attempted and not result.failed
    with pytest.raises(ValueError, match="Received: 0, 5"):
        client_module.split_images([1], 0, 5)


def test_wrong_arguments():
    with pytest.raises(UserError, match="--protocol=soap"):
        connect("127.0.0.1:8500", "soap")
    with pytest.raises(ValueError, match="in_flight"):
        connect("127.0.0.1:8500", in_flight=0)
