"""A headless Chromium, driven over its debugging pipe: what a page prints, holds and looks like at a given width."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_DRAWING = ("--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
_PATIENCE = 60.0  # seconds


class Browser:
    """One browser process; every page gets a tab of its own.

    Args:
      folder: for the browser's profile.
      flags: further command line flags.
    """

    def __init__(self, folder: Path, *flags: str):
        if CHROMIUM is None:
            pytest.skip("no Chromium here (Debian package: chromium)")
        # Pipes above 9, so that none of them is in the way of 3 and 4, where the browser looks for them.
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write)]
        os.close(read)
        os.close(write)
        command = [CHROMIUM, "--headless", "--no-sandbox", *_DRAWING, *_QUIET, "--remote-debugging-pipe", *flags]
        command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
        null = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
        pipes = [(os.POSIX_SPAWN_DUP2, end, place) for end, place in zip(ends, (3, 4), strict=True)]
        self._pid = os.posix_spawn(CHROMIUM, command, os.environ, file_actions=[*null, *pipes])
        for end in ends:
            os.close(end)
        self._ids = itertools.count(1)
        self._pending = b""
        self._pages: dict[str, Page] = {}
        self._targets: list[str] = []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self.call("Browser.close")
        os.close(self._write)
        os.close(self._read)
        until = time.monotonic() + 10
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.02)

    def open(self, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False) -> Page:
        """Open a file and wait until it has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._targets.append(target)
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
        if dark:
            page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        failed = page.call("Page.navigate", url=file.resolve().as_uri()).get("errorText")
        assert not failed, f"{file}: {failed}"
        page.wait("location.protocol === 'file:' && document.readyState === 'complete'")
        return page

    def close_pages(self) -> None:
        """Close every tab that was opened: one that plays would take a core for as long as the browser runs."""
        while self._targets:
            self.call("Target.closeTarget", targetId=self._targets.pop())
        self._pages.clear()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            page = self._pages.get(answer.get("sessionId", ""))
            if page is not None:
                page.note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            if not select.select([self._read], [], [], _PATIENCE)[0]:
                raise TimeoutError(f"the browser is silent for {_PATIENCE} s")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise ConnectionError("the browser has ended")
            self._pending += part
        message, _, self._pending = self._pending.partition(b"\0")
        return json.loads(message)


class Page:
    """A tab.

    Attributes:
      errors: what went wrong in it so far: uncaught exceptions, ``console.error``, blocked and failed requests.
    """

    def __init__(self, browser: Browser, session: str):
        self._browser = browser
        self._session = session
        self.errors: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        return self._browser.call(method, self._session, **parameters)

    def note(self, event: dict[str, Any]) -> None:
        """Keep an event if it tells of an error."""
        what, about = event.get("method"), event.get("params", {})
        if what == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(about["exceptionDetails"]))
        elif what == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(json.dumps(about["args"]))
        elif what == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(json.dumps(about["entry"]))

    def evaluate(self, script: str) -> Any:
        """The value of an expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> Any:
        """The value of an expression once it is true."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < until, f"not so after {seconds} s: {script}"
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """Press the mouse on the middle of the first element that a selector finds."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, selector: str) -> None:
        """Move the mouse over the middle of the first element that a selector finds."""
        x, y = self._middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        """Press a key, such as ``ArrowRight``."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of what is in view, or of the whole page."""
        parameters: dict[str, Any] = {"captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            parameters["clip"] = {**size, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **parameters)["data"])

    def _middle(self, selector: str) -> tuple[float, float]:
        find = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.evaluate(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({find}.getBoundingClientRect())"
        )
        return box[0], box[1]
