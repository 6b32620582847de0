"""Asks a page that runs, so that a query need not load the network; without TensorFlow."""

import contextlib
import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

from darac_tf.errors import UserError

ADDRESS_FILE = "web.json"
# How errors name a picture that was sent, and how many results a request may ask for.
UPLOAD, MOST_RESULTS = "the picture", 1000
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
        return self.ask("POST", "take_in", b"") if take_in else self.ask("GET", "state")

    def query(self, image, box=None, top_k=20):
        """What `search.find_similar` gives for one `Query(image, box)`, in objects like `Result`.

        `UserError` if the image can't be read, or the page can't; `OSError` as of `ask`.
        """
        try:
            data = Path(image).read_bytes()
        except OSError as error:
            raise UserError(f"{image}: {error.strerror}; name another image") from error
        part = "" if box is None else f"?box={','.join(map(str, box))}"
        described = self.ask("POST", f"describe{part}", data, _LONG, image)
        files = []
        query = {"generation": self.state()["generation"], "plus": [described], "offset": 0}
        while len(files) < top_k:
            query["count"] = min(top_k, MOST_RESULTS)
            answer = self.ask("POST", "search", json.dumps(query).encode(), _LONG)
            for each in answer["results"]:
                files += [(each["similarity"], path) for path in each["paths"]]
            query["offset"] = answer["next"]
            if answer["next"] >= answer["total"]:
                break
        return [
            SimpleNamespace(rank=rank, similarity=similarity, path=path)
            for rank, (similarity, path) in enumerate(files[:top_k], 1)
        ]

    def ask(self, method, name, data=None, seconds=_SECONDS, image=UPLOAD, is_json=True):
        """The answer to a request, see `app`: JSON, or bytes.

        Args:
            method: "GET" or "POST".
            name: What stands behind the token in its address.
            data: Bytes that are sent, or None.
            seconds: How long to wait for each part of the answer.
            image: How errors name the picture that is sent.
            is_json: Whether the answer is JSON.

        Raises:
            UserError: If what is asked for is wrong.
            OSError: If it doesn't answer, or only because of its limits or of what happens there.
        """
        connection = HTTPConnection(self._address.hostname, self._address.port, timeout=seconds)
        headers = {} if name.startswith("describe") else {"Content-Type": "application/json"}
        try:
            with contextlib.closing(connection):
                connection.request(method, self._address.path + name, data, headers)
                response = connection.getresponse()
                answer = response.read()
        except HTTPException as error:
            raise ConnectionError(f"no answer: {error!r}") from error
        if response.status == 400:
            raise UserError(json.loads(answer)["error"].replace(UPLOAD, str(image)))
        if response.status != 200:
            raise ConnectionError(f"status {response.status}")
        return json.loads(answer) if is_json else answer


def running(folder):
    """The `Client` of the page of an index, with its state, or `(None, None)` if none answers."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        text = (Path(folder) / ADDRESS_FILE).read_text(encoding="utf-8")
        client = Client(json.loads(text)["address"])
        state = client.state()
        return client, client.state(take_in=True) if state["is_changed"] else state
    return None, None
