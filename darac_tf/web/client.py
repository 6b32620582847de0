"""Asks a page that runs, so that a query need not load the network; without TensorFlow."""

import contextlib
import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from darac_tf.errors import UserError

ADDRESS_FILE = "web.json"
_SECONDS, _LONG = 2, 120


class Client:
    """A page that answers; see `running`.

    Args:
        address: The page's address, with its token.
    """

    def __init__(self, address):
        self._address = urlsplit(address)

    def state(self, take_in=False):
        """What the page says of its index, see `app`; with `take_in`, once it is up to date."""
        return self._ask("POST", "take_in", b"") if take_in else self._ask("GET", "state")

    def describe(self, data, part=None):
        """The part of a query that stands for a picture: bytes, or a part of them, four shares."""
        box = "" if part is None else "?part=" + ",".join(map(repr, part))
        return self._ask("POST", f"describe{box}", data, _LONG)

    def search(self, plus, count):
        """The results for the `plus` of a query, as a list of dictionaries, see `app`."""
        query = {"generation": self.state()["generation"], "plus": plus, "count": count}
        return self._ask("POST", "search", json.dumps(query).encode(), _LONG)["results"]

    def _ask(self, method, name, data=None, seconds=_SECONDS):
        connection = HTTPConnection(self._address.hostname, self._address.port, timeout=seconds)
        with contextlib.closing(connection):
            headers = {} if name.startswith("describe") else {"Content-Type": "application/json"}
            connection.request(method, self._address.path + name, data, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status != 200:
            raise UserError(answer["error"])
        return answer


def running(folder):
    """The `Client` of the page of an index, with its state, or `(None, None)` if none answers."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, HTTPException, UserError):
        text = (Path(folder) / ADDRESS_FILE).read_text(encoding="utf-8")
        client = Client(json.loads(text)["address"])
        state = client.state()
        return client, client.state(take_in=True) if state["is_changed"] else state
    return None, None
