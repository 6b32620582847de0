"""TLS, certificates of clients, headers: as of a proxy that encrypts and authenticates."""

import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.serving import Access, Retries, ServerError
from darac_tf.serving.describe import read_headers
from tests.serving.servicer import client_of, serving

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes certificates")
PROTOCOLS = ["grpc", "rest"]
ONCE = Retries(1)
TOKEN = {"Authorization": "Bearer secret"}


def certificate(folder, name):
    """`(key, certificate)`: PEM files of a self-made authority for 127.0.0.1."""
    key, file = str(folder / f"{name}.key"), str(folder / f"{name}.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", file]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return key, file


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    return {name: certificate(folder, name) for name in ("server", "client", "stranger")}


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def server(small_model, certificates, seen):
    """Encrypted; wants the client's certificate and a token."""

    def guard(headers):
        seen.append(headers)
        if headers.get("authorization") != TOKEN["Authorization"]:
            raise tf.errors.UnauthenticatedError(None, None, "who are you?")

    tls = (*certificates["server"], certificates["client"][1])
    with serving(small_model, guard=guard, tls=tls) as server:
        yield server


def access(certificates, trusted="server", client="client", headers=TOKEN):
    key, shown = certificates[client]
    return Access(
        ca_certificate=certificates[trusted][1],
        client_certificate=shown,
        client_key=key,
        headers=headers,
        user_agent="tester/1",
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_vectors_through_tls(server, seen, certificates, images, offline, protocol):
    seen.clear()
    with client_of(server, protocol, access=access(certificates), batch_size=2) as client:
        assert client.wait_until_ready(10) == client.newest_version() == 2
        np.testing.assert_array_equal(client.describe(images).vectors, offline)
    agents = {headers["user-agent"] for headers in seen}
    assert len(seen) == 8 and all(agent.startswith("tester/1") for agent in agents)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_the_token(server, seen, certificates, images, protocol):
    code = {"grpc": "UNAUTHENTICATED", "rest": "HTTP 401"}[protocol]
    for headers in ({}, {"authorization": "Bearer guess"}):
        seen.clear()
        how = access(certificates, headers=headers)
        with (
            client_of(server, protocol, access=how) as client,
            pytest.raises(ServerError, match=f"refused the request: {code}: who are") as caught,
        ):
            client.describe(images[:1])
        assert len(seen) == 1 and "guess" not in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrong", ["trusted", "client", "plain"])
def test_nothing_is_sent_where_one_side_does_not_trust_the_other(
    server, seen, certificates, images, protocol, wrong
):
    seen.clear()
    how = Access(headers=TOKEN) if wrong == "plain" else access(certificates, **{wrong: "stranger"})
    message = "(?i)certificate" if wrong == "trusted" else "refused the request|did not answer"
    client = client_of(server, protocol, access=how, retries=ONCE, timeout_s=5)
    with client, pytest.raises(ServerError, match=message):
        client.describe(images[:1])
    assert not seen


def test_a_certificate_that_is_not_trusted_is_not_tried_again(server, certificates, images):
    how = access(certificates, trusted="stranger")
    client = client_of(server, "rest", access=how, retries=Retries(5, 10))
    with client, pytest.raises(ServerError, match=r"refused the request: TLS: .*CERTIFICATE"):
        client.describe(images[:1])


def test_files_and_headers_that_are_none(certificates, tmp_path):
    key, shown = certificates["client"]
    assert Access().ssl_context() is None and not Access().tls
    assert Access(tls=True).ssl_context() is not None
    assert Access(ca_certificate=shown).tls and "secret" not in repr(Access(headers=TOKEN))
    with pytest.raises(UserError, match="--client_certificate and --client_key belong together"):
        Access(client_certificate=shown)
    (tmp_path / "none.pem").write_text("no certificate")
    for file in (tmp_path / "none.pem", tmp_path / "missing.pem"):
        with pytest.raises(UserError, match=r"--ca_certificate=.*: give files in PEM|; give files"):
            Access(ca_certificate=str(file))
        with pytest.raises(UserError, match="--client_certificate="):
            Access(client_certificate=str(file), client_key=key)
    with pytest.raises(UserError, match=r"--client_certificate=.*(?i:mismatch)"):
        Access(client_certificate=shown, client_key=certificates["stranger"][0])
    encrypted = str(tmp_path / "encrypted.key")
    command = ["openssl", "ec", "-in", key, "-aes128", "-passout", "pass:word", "-out", encrypted]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(UserError, match="a key without a password"):
        Access(client_certificate=shown, client_key=encrypted)
    for name, value in (("", "a"), ("a b", "a"), ("a", ""), ("a", "b\r\nc: d"), ("a", "é")):
        with pytest.raises(UserError, match="--header="):
            Access(headers={name: value})


def test_headers_of_the_command(tmp_path):
    (tmp_path / "secret").write_text("Authorization: Bearer a:b\n\nX-Tenant: 7\n")
    found = read_headers([f"@{tmp_path / 'secret'}", "X-Other:x"])
    assert found == {"Authorization": "Bearer a:b", "X-Tenant": "7", "X-Other": "x"}
    with pytest.raises(UserError, match="--header=@/nowhere: can't read"):
        read_headers(["@/nowhere"])
