"""What both ways to a server share: where it is, what it asks for, and which failures pass."""

import dataclasses
import re
import ssl

from darac_tf.errors import UserError

DEFAULT_MESSAGE_BYTES = 64 << 20
_HEADER_NAME, _HEADER_VALUE = re.compile(r"[A-Za-z0-9._-]+"), re.compile(r"[ -~]+")


class ServerError(UserError):
    """A request that failed for good.

    Attributes:
        code: What the server called it, such as `"INVALID_ARGUMENT"` or `"HTTP 400"`; None where
            the answer itself was wrong.
    """

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code

    @classmethod
    def refused(cls, server, code, reason):
        """A failure that asking again does not mend."""
        return cls(f"{server} refused the request: {code}: {reason}", code)

    @classmethod
    def unanswered(cls, server, code, reason, attempts):
        """A failure that may pass, and did not."""
        times = "once" if attempts == 1 else f"{attempts} times"
        advice = "check that it runs, or raise --timeout_s or --attempts"
        return cls(f"{server} did not answer, asked {times}: {code}: {reason}; {advice}", code)


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often to ask again, and how long to wait in between.

    The wait doubles from one repetition to the next and is drawn by chance around that, so that
    clients which failed together do not come back together. A server may name another wait
    (`Retry-After`, `grpc-retry-pushback-ms`).
    """

    # How often a request is sent at most, 1 or more; gRPC sends it 5 times at most.
    attempts: int = 5
    first_delay: float = 0.2  # Seconds before the first repetition.
    longest_delay: float = 10.0  # Seconds that the wait grows to.

    def __post_init__(self):
        if self.attempts < 1 or self.first_delay < 0 or self.longest_delay < 0:
            raise ValueError(f"attempts are at least 1, waits 0. Received: {self}")


@dataclasses.dataclass(frozen=True)
class Access:
    """What a server, or the proxy in front of it, asks of its clients.

    Raises:
        UserError: If a file can't be used, one of certificate and key is missing, or a header
            is none.
    """

    tls: bool = False  # Whether to encrypt; any of the files does so too.
    # PEM file of the authorities that are trusted; None for the usual ones.
    ca_certificate: str | None = None
    client_certificate: str | None = None  # PEM file that shows who the client is, or None.
    client_key: str | None = None  # PEM file of its private key.
    # Dictionary of HTTP headers, which are metadata of gRPC.
    headers: dict = dataclasses.field(default_factory=dict, repr=False)
    user_agent: str = "darac_tf"  # What the client calls itself.

    def __post_init__(self):
        for name, value in self.headers.items():
            # The value may be a secret, and is not shown.
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise UserError(f"--header={name}: give NAME: VALUE, both of printable ASCII")
        if bool(self.client_certificate) != bool(self.client_key):
            raise UserError("--client_certificate and --client_key belong together: give both")
        tls = bool(self.tls or self.ca_certificate or self.client_certificate)
        object.__setattr__(self, "tls", tls)
        self.ssl_context()

    def ssl_context(self):
        """`ssl.SSLContext` of the files; None without TLS."""
        if not self.tls:
            return None
        flag, file = "ca_certificate", self.ca_certificate
        try:
            context = ssl.create_default_context(cafile=file)
            flag, file = "client_certificate", self.client_certificate
            if file:
                # An encrypted key is refused, where OpenSSL would ask for its password.
                context.load_cert_chain(file, self.client_key, lambda: "")
        except OSError as error:  # ssl.SSLError is one
            reason = getattr(error, "reason", None) or error.strerror
            raise UserError(
                f"--{flag}={file}: {reason}; give files in PEM, a key without a password"
            ) from error
        return context


class Transport:
    """Connections to one model of a server; any number of threads may use it.

    Args:
        address: `(host, port)`.
        model: Name of the model.
        timeout_s: Seconds that one attempt may take.
        message_bytes: Most bytes of images in a request, and of an answer's numbers.
        retries: `Retries`.
        access: `Access`.

    Attributes:
        name: Of the server, for messages.
    """

    def predict(self, images, signature, version=None):
        """Sends a non-empty list of bytes to a signature whose only input takes them.

        `version` is that of the model, or None for the server's choice. Gives a dictionary of
        output name to array. `ServerError` if the server refuses, does not answer, or its answer is
        none.
        """

    def versions(self, within=None):
        """The model's versions on the server: dictionary of number to state, as `"AVAILABLE"`.

        Gives up after `within` seconds, whatever attempts are left, or with None after as long as a
        prediction may take; raises as `predict`, and where the server has no such model.
        """

    def close(self):
        """Ends the connections."""
