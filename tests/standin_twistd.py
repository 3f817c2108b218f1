"""
twistd with a stand-in for the daemon's service, whose start ends as ``STANDIN`` in the environment says.

``python -m tests.standin_twistd [twistd's arguments]``. It listens and writes ``listening.json`` as the real
one does, but has neither engine nor store, so a start can be made to fail at each of its moments.
"""

import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from resttorrent.errors import StartFailed
from resttorrent.listening import listen_all, remove_listening_json, write_listening_json
from resttorrent.settings import Settings


class StandIn(Service):
    """Holds ports; ``late`` is what happens once the reactor runs."""

    def __init__(self, settings: Settings, reactor: Any, ending: str) -> None:
        self._settings, self._reactor, self._ending = settings, reactor, ending
        self._readiness: Deferred[None] = Deferred()
        self._ports: list[IListeningPort] = []
        self._state = settings.state_dir or Path()

    def when_ready(self) -> Deferred[None]:
        return self._readiness

    def privilegedStartService(self) -> None:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ports = listen_all(self._reactor, self._settings.listen, Factory())

    def startService(self) -> None:
        if self._ending == "fails":
            raise StartFailed("it failed in startService")
        if self._ending == "breaks":
            raise ZeroDivisionError("a mistake\nof ours")
        self._reactor.callWhenRunning(self._late)

    def _late(self) -> None:
        if self._ending == "fails late":
            self._readiness.errback(StartFailed("it failed late " + "and at length " * 20))
        elif self._ending == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._ending == "hangs":
            (self._state / "hangs").touch()
        else:
            write_listening_json(self._state, self._ports)
            self._readiness.callback(None)

    def stopService(self) -> Any:
        remove_listening_json(self._state)
        return self._ports[0].stopListening()


def make_service(settings: Settings, reactor: Any) -> StandIn:
    """Stand in for ``resttorrent.service.make_service``."""
    return StandIn(settings, reactor, os.environ.get("STANDIN", ""))


def main() -> None:
    """Run twistd."""
    module: Any = types.ModuleType("resttorrent.service")
    module.make_service = make_service
    sys.modules[module.__name__] = module
    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
