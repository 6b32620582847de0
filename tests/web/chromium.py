"""A headless Chromium that is driven through a pipe, by the Chrome DevTools Protocol.

It is looked for as in `tests/reports/test_ranking_page_browser.py`.
"""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Chromium(contextlib.AbstractContextManager):
    """One page of a browser of its own; skips the test where there is none.

    Args:
        folder: For its profile.

    Attributes:
        faults: Texts of what scripts failed with, and of what the policy of a page stopped.
    """

    def __init__(self, folder):
        named = os.environ.get("DARAC_BROWSER")
        program = next(filter(None, map(shutil.which, [named] if named else NAMES)), None)
        if program is None:
            pytest.skip(f"no browser: install one of {', '.join(NAMES)} or set DARAC_BROWSER")
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()

        def use_pipes():
            # The browser reads from 3 and writes to 4, which may be among the numbers taken.
            ends = [os.dup(os.dup(end)) for end in (to_read, to_write)]
            for number, end in zip((3, 4), ends, strict=True):
                os.dup2(end, number)

        # Its sandbox does not work for root; the page under test is our own.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments = [program, *sandbox, "--headless", "--disable-gpu", "--remote-debugging-pipe"]
        arguments += ["--no-first-run", f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            arguments, preexec_fn=use_pipes, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._numbers, self._rest, self._session = itertools.count(1), b"", None
        self.faults = []
        pages = self.call("Target.getTargets")["targetInfos"]
        (target,) = [page["targetId"] for page in pages if page["type"] == "page"]
        how = {"targetId": target, "flatten": True}
        self._session = self.call("Target.attachToTarget", **how)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            os.close(self._to)
        self._process.terminate()
        self._process.wait(30)
        os.close(self._from)

    def call(self, method, **params):
        """Calls a method of the protocol, and returns its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._message()
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def open(self, address, width=1300, height=900, scheme="light"):
        """Loads a page in a window of a size, with a light or a dark scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script):
        """The value of a JavaScript expression, which may be a promise."""
        how = {"expression": script, "returnByValue": True, "awaitPromise": True}
        result = self.call("Runtime.evaluate", **how)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script, seconds=20):
        """Waits until an expression holds."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, (script, self.faults)
            time.sleep(0.03)

    def key(self, key, text=None):
        """Presses a key."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **extra)

    def drag(self, first, last):
        """Draws with the mouse from one point of the window to another."""
        for kind, (x, y) in (("Pressed", first), ("Moved", last), ("Released", last)):
            how = {"x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", **how)

    def drop(self, *paths):
        """Drops files on the page."""
        data = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=300, y=300, data=data)

    def paste(self, path):
        """Copies a PNG to the clipboard, and pastes it by the keyboard."""
        origin = self.run("location.origin")
        kinds = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.call("Browser.grantPermissions", origin=origin, permissions=kinds)
        self.call("Page.bringToFront")
        data = list(path.read_bytes())
        item = f"{{'image/png': new Blob([new Uint8Array({data})], {{type: 'image/png'}})}}"
        self.run(f"navigator.clipboard.write([new ClipboardItem({item})])")
        how = {"key": "v", "code": "KeyV", "modifiers": 2, "commands": ["paste"]}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, **how)

    def choose(self, selector, *paths):
        """Chooses files for an input of the page, as the dialog of the system does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=list(map(str, paths)))

    def screenshot(self, path, kind="png"):
        """Writes what is seen to a file."""
        shot = self.call("Page.captureScreenshot", format=kind)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _message(self):
        while b"\0" not in self._rest:
            data = os.read(self._from, 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        if event.get("method") == "Runtime.exceptionThrown":
            self.faults.append(str(event["params"]["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.faults.append(event["params"]["entry"]["text"])
