"""
What signals do to a running daemon.

SIGTERM is how a daemon is stopped, so after an orderly stop the exit code is 0; Twisted would die by the
signal. After Ctrl-C it does, so that a shell's loop ends too. A second signal ends the process at once.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

# Seconds within which a second signal is the echo of the first: timeout(1) signals its child, then the group.
ECHO = 1.0


class Reactor(Protocol):
    """What is used of the reactor."""

    def seconds(self) -> float: ...
    def callFromThread(self, callable: Callable[[], Any]) -> Any: ...


class Stopper:
    """
    Handles SIGTERM and SIGINT.

    :param stop: stops the reactor; called in its thread.
    :param handle: as ``signal.signal``; :param strike: as ``signal.raise_signal``.
    """

    def __init__(
        self,
        reactor: Reactor,
        stop: Callable[[], None],
        *,
        handle: Callable[..., Any] = signal.signal,
        strike: Callable[[int], Any] = signal.raise_signal,
    ) -> None:
        self._reactor, self._stop, self._handle, self._strike = reactor, stop, handle, strike
        self._since: float | None = None
        self._interrupt: Any = None

    def install(self) -> None:
        """Take the signals over; to be called when the reactor, which sets its own, runs."""
        self._handle(signal.SIGTERM, self._received)
        self._interrupt = self._handle(signal.SIGINT, self._received)
        if self._interrupt == signal.SIG_IGN:  # a shell's background job, which Ctrl-C is not meant for
            self._handle(signal.SIGINT, signal.SIG_IGN)

    def _received(self, number: int, frame: FrameType | None) -> None:
        now = self._reactor.seconds()
        if self._since is None:
            self._since = now
            if number == signal.SIGINT and callable(self._interrupt):
                self._interrupt(number, frame)
            else:
                self._reactor.callFromThread(self._stop)
        elif now - self._since >= ECHO:
            self._handle(number, signal.SIG_DFL)
            self._strike(number)


class HangUp:
    """
    Handles SIGHUP, by which a service manager asks a daemon to read its settings again.

    A kernel sends the same signal when the terminal is closed in which a daemon ran: then it is to stop, and
    not to live on where nobody sees it. Where SIGHUP was ignored at the start (``nohup``), it stays so.

    :param reload, stop: called in the reactor's thread.
    :param has_terminal: whether the process has a terminal that can be opened.
    :param handle: as ``signal.signal``.
    """

    def __init__(
        self,
        reactor: Reactor,
        reload: Callable[[], None],
        stop: Callable[[], None],
        *,
        has_terminal: Callable[[], bool] | None = None,
        handle: Callable[..., Any] = signal.signal,
    ) -> None:
        self._reactor, self._reload, self._stop, self._handle = reactor, reload, stop, handle
        self._has_terminal = _has_terminal if has_terminal is None else has_terminal
        self._had_terminal = False

    def install(self) -> None:
        """Take the signal over."""
        self._had_terminal = self._has_terminal()
        if self._handle(signal.SIGHUP, self._received) == signal.SIG_IGN:
            self._handle(signal.SIGHUP, signal.SIG_IGN)

    def _received(self, number: int, frame: FrameType | None) -> None:
        gone = self._had_terminal and not self._has_terminal()
        self._reactor.callFromThread(self._stop if gone else self._reload)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
