"""
The reactor-looped libtorrent alert poller.

libtorrent writes one byte to a pipe when its alert queue turns non-empty; the reactor wakes, the pipe is
drained *before* the alerts are popped (the other way round loses wake-ups), and each alert goes to the
handler of its type. An alert is dead at the next pop: handlers copy plain values out at once and keep nothing
else.

Source: https://libtorrent.org/reference-Session.html#set_alert_fd
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import libtorrent as lt
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

Handler = Callable[[Any], None]
Handlers = Mapping[type[lt.alert], Handler]

QUEUE_SIZE = 100_000
"""libtorrent drops alerts, answers included, beyond this."""


@implementer(IReadDescriptor)
class AlertPoller:
    """
    Pops one session's alerts in the reactor.

    :param handlers: what to do with each type of alert; the others are ignored.
    """

    log = Logger()

    def __init__(self, reactor: IReactorFDSet, session: lt.session, handlers: Handlers) -> None:
        self._reactor = reactor
        self._session: lt.session | None = session
        self._handlers = handlers
        # non-blocking, or libtorrent's network thread could stall inside its alert lock on a full pipe
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        session.set_alert_fd(self._write_end)
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._read_end

    def logPrefix(self) -> str:
        return "alerts"

    def connectionLost(self, reason: Failure) -> None:
        """Nothing: the pipe is ours at both ends."""

    def doRead(self) -> None:
        """Drain the pipe, then pop and dispatch all alerts."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_end, 4096)
        if self._session is None:
            return
        handlers = self._handlers
        for alert in self._session.pop_alerts():
            handler = handlers.get(type(alert))
            if handler is None:
                continue
            try:
                handler(alert)
            except Exception:
                # never the alert itself: its message() may raise
                self.log.failure("handler of {kind} failed", kind=type(alert).__name__)

    def detach(self) -> None:
        """
        Stop popping. The session must be destroyed before ``close``, or it writes to a closed descriptor.
        """
        self._reactor.removeReader(self)
        if self._session is not None:
            self._session.set_alert_fd(-1)
        self._session = None

    def close(self) -> None:
        """Close the pipe; ``detach`` came first, and the session is gone."""
        os.close(self._read_end)
        os.close(self._write_end)
