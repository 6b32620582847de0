"""Addresses of servers, as a user writes them."""

import ipaddress

from darac_tf.errors import UserError


def parse_address(text):
    """Reads `HOST:PORT`.

    >>> parse_address("127.0.0.1:8500")
    ('127.0.0.1', 8500)

    Raises:
        UserError: If it is something else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or "/" in host or not (port.isascii() and port.isdigit()):
        raise UserError(f"--server={text}: give HOST:PORT, as 127.0.0.1:8500")
    if not 0 < int(port) < 65536:
        raise UserError(f"--server={text}: a port lies between 1 and 65535")
    return host, int(port)


def is_loopback(host):
    """Whether a host is this machine itself, by its name or number alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
