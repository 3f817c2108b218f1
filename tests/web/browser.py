"""
Chromium without a window, driven over the DevTools protocol: a page is opened, asked and looked at.

Source: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import websocket

from tests.harness import until

T = TypeVar("T")

# Without them it would ask for updates of its own parts at each start.
_SILENT = (
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-domain-reliability", "--disable-sync", "--disable-quic", "--no-first-run", "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
PATIENCE = 60.0
"""Seconds; only what hangs runs into it."""


def find_chromium() -> str | None:
    """Where the program is, if it is installed."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


class Browser:
    """One process with one page."""

    def __init__(self, program: str) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="browser-"))
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        self._process = subprocess.Popen(
            [
                program, "--headless", "--disable-gpu", "--disable-dev-shm-usage", *sandbox, *_SILENT,
                "--remote-debugging-port=0", f"--user-data-dir={self._home}", "about:blank",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._number = 0
        self.messages: list[dict[str, Any]] = []
        try:
            self._socket = self._connect()
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.ask(f"{domain}.enable")
        except BaseException:
            self._end()
            raise

    def _connect(self) -> Any:
        announced = self._home / "DevToolsActivePort"
        until(lambda: announced.exists() and len(announced.read_text().split()) == 2, "the browser", PATIENCE)
        port, path = announced.read_text().split()
        url = f"ws://127.0.0.1:{port}{path}"
        return websocket.create_connection(url, timeout=PATIENCE, suppress_origin=True)

    def _ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        order: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            order["sessionId"] = session
        self._socket.send(json.dumps(order))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") != self._number:
                self.messages.append(message)
            elif "error" in message:
                raise AssertionError(f"{method}: {message['error']}")
            else:
                result: dict[str, Any] = message["result"]
                return result

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """What answers a method of the protocol, asked of the page."""
        return self._ask(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        answer = self.ask("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        self.until("[location.href, document.readyState]", lambda at: at == [url, "complete"], url)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, by way of JSON."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, condition: Callable[[Any], T], what: str) -> T:
        """What ``condition`` makes of the expression's value, once that is true."""
        value: Any = None

        def look() -> T:
            nonlocal value
            value = self.evaluate(expression)
            return condition(value)

        try:
            found: T = until(look, what, PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page had {value!r}") from None
        return found

    def complaints(self) -> list[str]:
        """Errors of scripts, and what the browser refused or logged as one."""
        self.evaluate("0")
        found = []
        for message in self.messages:
            params = message.get("params", {})
            if message["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(params["exceptionDetails"]))
            elif message["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
        return found

    def urls(self) -> list[str]:
        """All that the page has asked for, WebSockets too."""
        self.evaluate("0")
        requests = [m["params"]["request"]["url"] for m in self._of("Network.requestWillBeSent")]
        return requests + [m["params"]["url"] for m in self._of("Network.webSocketCreated")]

    def frames(self) -> list[str]:
        """What has come by WebSocket, oldest first."""
        self.evaluate("0")
        return [m["params"]["response"]["payloadData"] for m in self._of("Network.webSocketFrameReceived")]

    def _of(self, method: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["method"] == method]

    def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Have the page this size (CSS pixels), and a scheme of colours."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(websocket.WebSocketException, OSError):
            self._ask("Browser.close")
        self._socket.close()
        self._end()

    def _end(self) -> None:
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)
