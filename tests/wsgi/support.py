"""Environs as WSGI servers make them, and a stand-in for the reactor that truly runs in its thread."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from io import BytesIO
from queue import SimpleQueue
from typing import Any
from wsgiref.validate import validator

from twisted.internet.defer import Deferred

from resttorrent.settings import Settings
from resttorrent.wsgi.application import Application
from tests.rest.wire import World

# Seconds; far more than any of this takes, so that only what hangs runs into it.
PATIENCE = 60


def environ(method: str = "GET", path: str = "/v1/things", body: bytes = b"", **more: Any) -> dict[str, Any]:
    """As waitress makes it, without what it tells beyond PEP 3333; ``more`` wins."""
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8080",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": _Errors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
    return {**made, **more}


class _Errors:
    """What the standard asks of ``wsgi.errors``; nothing is to be written there."""

    def flush(self) -> None:
        """Nothing was written."""

    def write(self, text: str) -> None:
        raise AssertionError(text)

    def writelines(self, texts: list[str]) -> None:
        raise AssertionError(texts)


class Answered:
    """What the application answered; the standard library's validator watched both sides."""

    def __init__(self, application: Application, asked: dict[str, Any]) -> None:
        made: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            made.append((status, headers))
            return lambda data: None

        parts = validator(application)(asked, start_response)
        self.body = b"".join(parts)
        parts.close()  # type: ignore[attr-defined]
        ((self.status, headers),) = made
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Loop:
    """A reactor that runs what other threads hand it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self.runs = 0

    def run(self, installSignalHandlers: bool) -> None:
        assert not installSignalHandlers
        self.runs += 1
        while (call := self._calls.get(timeout=PATIENCE)) is not None:
            call()

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        self._calls.put(lambda: function(*args))

    def stop(self) -> None:
        self._calls.put(None)

    def in_turn(self, function: Callable[[], Any]) -> Any:
        """Run ``function`` in the loop's thread; its result."""
        done: Future[Any] = Future()
        self.callFromThread(lambda: done.set_result(function()))
        return done.result(PATIENCE)


class Service:
    """The daemon's service as the bridge sees it; ready when the test says so, or at once."""

    def __init__(self, settings: Settings, world: World, *, ready: bool = True) -> None:
        self.settings, self.world = settings, world
        self.site = world.site
        self.events: list[str] = []
        self.ready: Deferred[None] = Deferred()
        if ready:
            self.ready.callback(None)

    def privilegedStartService(self) -> None:
        self.events.append("bound")

    def startService(self) -> None:
        self.events.append("started")

    def when_ready(self) -> Deferred[None]:
        return self.ready

    def stopService(self) -> None:
        self.events.append("stopped")
        if not self.ready.called:
            self.ready.cancel()
        self.site.door.drain()
        self.site.close_connections()
