"""A headless Chromium that tests steer by the DevTools protocol, over a pair of pipes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PATIENCE = 120.0


class Browser:
    """One page in a window of a width; use it in ``with``.

    :param profile: a folder of its own
    """

    def __init__(self, profile: Path, *, width: int = 1200, dark: bool = False) -> None:
        low_in, self._in = os.pipe()
        self._out, low_out = os.pipe()
        # The protocol's pipes are descriptors 3 and 4 of the browser: ours must be others.
        theirs_in, theirs_out = (fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (low_in, low_out))
        os.close(low_in)
        os.close(low_out)
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        words = [
            *("bash", "-c", script, "bash", str(CHROMIUM), "--headless", "--no-sandbox"),
            *("--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={profile}", "about:blank"),
        ]
        self._process = subprocess.Popen(
            words,
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest, self._last, self._session = b"", 0, ""
        self.console: list[str] = []
        """What the page has complained of: exceptions, and errors and warnings in its log"""
        (page,) = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=features)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *args: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._out], [], [], PATIENCE)[0], "the browser does not answer"
            read = os.read(self._out, 1 << 20)
            assert read, "the browser has ended"
            self._rest += read
        text, self._rest = self._rest.split(b"\0", 1)
        answer = json.loads(text)
        params = answer.get("params", {})
        if answer.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"])[:500])
        elif answer.get("method") == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif answer.get("method") == "Runtime.consoleAPICalled" and params["type"] != "log":
            self.console.append(str(params["args"])[:500])
        return answer

    def open(self, page: Path, ready: str) -> None:
        """Open a page and wait until an expression of JavaScript is true."""
        self.ask("Page.navigate", url=page.as_uri())
        self.wait_for(ready)

    def wait_for(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true."""
        end = time.monotonic() + PATIENCE
        while not self.evaluate(f"document.readyState === 'complete' && Boolean({expression})"):
            assert time.monotonic() < end, (expression, self.console)
            time.sleep(0.1)

    def choose(self, name: str, value: str) -> None:
        """Choose a value of the selection with an id."""
        self.evaluate(
            f"""(() => {{
              const select = document.getElementById('{name}');
              select.value = '{value}';
              select.dispatchEvent(new Event('change'));
            }})()"""
        )

    def evaluate(self, expression: str) -> Any:
        """Value of an expression of JavaScript in the page."""
        params = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = self.ask("Runtime.evaluate", expression=expression, **params)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float) -> None:
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased`` at a place of the window."""
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def key(self, name: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
