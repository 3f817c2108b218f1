"""
The service's side of systemd's notification protocol, and the watchdog that is fed by it.

A notification is one datagram of ``NAME=value`` lines to the socket in ``NOTIFY_SOCKET``. What is said when
is decided here without any I/O but the sending, which is an argument.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from .errors import EngineTimeout
from .printable import one_line, shortened

Probes = Mapping[str, Callable[[], Awaitable[Any]]]
"""Questions by the name of the part that has to move to answer them."""

LONGEST_BEAT = 10.0
"""Seconds between two looks at the parts, at most; a third of the watchdog's patience if that is less."""
_LONGEST_STATUS = 200


def address_of(name: str) -> str:
    """
    The address of the socket that ``NOTIFY_SOCKET`` names.

    :raises ValueError: it is neither a path nor an abstract name; the message says so.
    """
    if name[:1] not in ("/", "@") or len(name) < 2:
        raise ValueError(f"NOTIFY_SOCKET: expected a path or an abstract name, not {name[:200]!a}")
    return "\0" + name[1:] if name.startswith("@") else name


def watchdog_patience(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds without a sign of life after which systemd ends this process; ``None`` if it never does."""
    text, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (text.isascii() and text.isdigit()) or int(text) == 0 or whose not in ("", str(pid)):
        return None
    return int(text) / 1_000_000


def send_datagram(address: str, data: bytes) -> None:
    """
    Send, and wait for nothing.

    :raises OSError: nobody took it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifier:
        notifier.sendto(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, address)


class Notifier:
    """
    Tells systemd how the daemon fares; without an address it keeps silent.

    What can't be told is logged once: a service manager that is gone must not take the daemon along.
    """

    _log = Logger()

    def __init__(self, address: str | None, send: Callable[[str, bytes], None] = send_datagram) -> None:
        self._address = address
        self._send = send
        self._failing = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Notifier":
        """
        The one that the environment asks for.

        :raises ValueError: as ``address_of``.
        """
        name = environ.get("NOTIFY_SOCKET", "")
        return cls(address_of(name) if name else None)

    def ready(self, status: str) -> None:
        """The daemon serves requests."""
        self._tell("READY=1", _status(status))

    def reloading(self, monotonic: float) -> None:
        """
        The configuration is being read again; ``ready`` follows.

        :param monotonic: seconds of CLOCK_MONOTONIC.
        """
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}", _status("reloading"))

    def stopping(self) -> None:
        """The daemon has begun to stop."""
        self._tell("STOPPING=1", _status("stopping"))

    def alive(self) -> None:
        """The watchdog may wait again."""
        self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say what ``systemctl status`` shows."""
        self._tell(_status(text))

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            self._send(self._address, "\n".join(lines).encode())
        except OSError as error:
            if not self._failing:
                self._log.warn("systemd can't be told: {error}", error=error)
            self._failing = True
        else:
            self._failing = False


def _status(text: str) -> str:
    return f"STATUS={one_line(shortened(text, _LONGEST_STATUS))}"


class Liveness:
    """
    Finds out which parts have stopped to move, by asking each a question and asking no other before it has
    answered.

    :param probes: gives the parts that there are now.
    """

    def __init__(self, probes: Callable[[], Probes]) -> None:
        self._probes = probes
        self._unanswered: set[str] = set()

    def beat(self) -> list[str]:
        """Ask again; the parts that have not answered what they were asked at the last beat."""
        stuck = sorted(self._unanswered)
        for name, ask in self._probes().items():
            if name not in self._unanswered:
                self._ask(name, ask)
        return stuck

    def _ask(self, name: str, ask: Callable[[], Awaitable[Any]]) -> None:
        async def asked() -> None:
            await ask()

        self._unanswered.add(name)
        Deferred.fromCoroutine(asked()).addBoth(self._answered, name, ask)

    def _answered(self, result: object, name: str, ask: Callable[[], Awaitable[Any]]) -> None:
        """Any answer is one, a refusal too; but not what a clock of ours says in place of the part."""
        if isinstance(result, Failure) and result.check(EngineTimeout):
            self._ask(name, ask)
        else:
            self._unanswered.discard(name)


class Watchdog:
    """
    Feeds systemd's watchdog while the reactor turns and all parts answer.

    :param patience: seconds, as ``watchdog_patience``.
    """

    _log = Logger()

    def __init__(self, clock: Any, notifier: Notifier, patience: float, probes: Callable[[], Probes]) -> None:
        self._notifier = notifier
        self._probes = probes
        self._liveness = Liveness(self._parts)
        self._interval = min(LONGEST_BEAT, patience / 3)
        self._stuck: list[str] = []
        self._loop = LoopingCall(self._beat)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin, with the first sign of life."""
        self._loop.start(self._interval).addErrback(self._failed)

    def rest(self) -> None:
        """Ask the parts no more, they are being closed; while the reactor turns, the stop goes on."""
        self._probes = dict
        self._liveness = Liveness(self._parts)

    def stop(self) -> None:
        """Give no more signs of life."""
        if self._loop.running:
            self._loop.stop()

    def _parts(self) -> Probes:
        return self._probes()

    def _beat(self) -> None:
        stuck, before = self._liveness.beat(), self._stuck
        self._stuck = stuck
        if not stuck:
            self._notifier.alive()
        if stuck != before:
            self._say(stuck)

    def _say(self, stuck: list[str]) -> None:
        if stuck:
            message = f"no answer from: {', '.join(stuck)}"
            self._log.error("{message}; the watchdog is not fed", message=message)
        else:
            message = "serving"
            self._log.info("all parts answer again; the watchdog is fed")
        self._notifier.status(message)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("the watchdog can't be fed any more", failure)


def watchdog_of(
    environ: Mapping[str, str], clock: Any, notifier: Notifier, probes: Callable[[], Probes]
) -> Watchdog | None:
    """The watchdog that the environment asks this process to feed, or ``None``."""
    patience = watchdog_patience(environ, os.getpid())
    return None if patience is None else Watchdog(clock, notifier, patience, probes)
