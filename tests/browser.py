"""A real Chromium for the tests of pages; they skip where there is none."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import time
from base64 import b64decode

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")


class Browser:
    """A headless Chromium, spoken to over its debugging pipe: no port, no package."""

    def __init__(self, profile):
        (theirs, self._write), (self._read, ours) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs, ours)]
        command = [CHROMIUM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        # The browser reads from descriptor 3 and writes to 4.
        handed = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(high, 3)]
        quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        self._process = os.posix_spawn(CHROMIUM, command, os.environ, file_actions=quiet + handed)
        for fd in (theirs, ours, *high):
            os.close(fd)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.requests = []
        self._loads = 0
        pages = self("Target.getTargets", session=None)["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self._session = None
        self._session = self("Target.attachToTarget", session=None, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self(f"{domain}.enable")

    def __call__(self, method, session="page", **params):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session and self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self):
        while b"\0" not in self._buffer:
            data = os.read(self._read, 1 << 20)
            assert data, "the browser went away"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        self._loads += message.get("method") == "Page.loadEventFired"
        return message

    def open(self, place, fragment=""):
        """Load a file or an address."""
        self._load("about:blank")
        self.requests.clear()
        self._load(f"{place if isinstance(place, str) else place.as_uri()}{fragment}")

    def _load(self, address):
        loads = self._loads
        self.evaluate("window.before = true")
        self("Page.navigate", url=address)
        while self._loads == loads:
            self._next()
        # the event may be that of the page before, which came late
        self.wait_for("!window.before && document.readyState == 'complete'")

    def evaluate(self, expression):
        result = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def point_at(self, selector, seconds=10.0):
        """Put the mouse over an element, again where the page moves under it: pictures load when they are in view."""
        found = f"document.querySelector({selector!r})"
        until = time.monotonic() + seconds
        while True:
            self.evaluate(f"{found}.scrollIntoView({{block: 'center'}})")
            box = self.evaluate(
                f"(() => {{ const b = {found}.getBoundingClientRect();"
                " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
            )
            self("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
            if self.evaluate(f"{found}.matches(':hover') || !!{found}.closest('g')?.matches(':hover')"):
                return
            assert time.monotonic() < until, f"the mouse is never over {selector}"
            time.sleep(0.05)

    def wait_for(self, expression, seconds=10.0):
        """Until an expression is true."""
        until = time.monotonic() + seconds
        while not self._is_true(expression):
            assert time.monotonic() < until, f"never true: {expression}"
            time.sleep(0.05)

    def _is_true(self, expression):
        """Whether it is; not while the page is just being left for another."""
        try:
            return self.evaluate(f"!!({expression})")
        except AssertionError as error:
            if "navigated or closed" in str(error) or "context" in str(error):
                return False
            raise

    def press(self, key, text=None):
        """A key, pressed and released."""
        self("Input.dispatchKeyEvent", type="keyDown", key=key, text=text if text is not None else key)
        self("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, file=None, width=1280, height=900):
        """The window as a PNG."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        data = b64decode(self("Page.captureScreenshot", format="png")["data"])
        if file is not None:
            file.write_bytes(data)
        return data

    def close(self):
        self("Browser.close", session=None)
        os.waitpid(self._process, 0)


def start(profile):
    """A browser; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    return Browser(profile)
