"""
How a start ends: with a ready daemon, or with one line on stderr and an exit code that is not 0.

A start can fail before twistd forks, while the service starts, or later, when the store's thread reports.
Of the second twistd makes a traceback, and of the last nothing; ``StartGuard`` treats both alike, in the
foreground and daemonised.
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from .errors import StartFailed
from .printable import one_line
from .settings import Settings
from .signals import HangUp, Stopper
from .start_report import StartReport
from .supervision import Supervision
from .systemd import Probes

# Seconds that an orderly stop after a failure may take, its own timeouts included, before the kernel ends it.
STOP_LIMIT = 90
OLDEST_LIBTORRENT = (2, 1, 1)


class Startable(Protocol):
    """What ``StartGuard`` asks of the daemon's service."""

    def privilegedStartService(self) -> None:
        """
        Take what another process may hold: ports, the state's lock.

        :raises StartFailed: something can't be had; nothing is held any more, ``stopService`` isn't called.
        """

    def startService(self) -> None:
        """
        Begin to work.

        :raises StartFailed: it can't; ``stopService`` is called.
        """

    def stopService(self) -> Any:
        """Stop in order, at any moment after ``privilegedStartService`` returned; may return a Deferred."""

    def when_ready(self) -> Deferred[None]:
        """Return a Deferred that fires at readiness, or fails when that can't be reached any more."""


class Supervised(Startable, Protocol):
    """What is asked of the daemon's service once it runs."""

    def probes(self) -> Probes:
        """Return a question to each part that must move for the daemon to be alive."""

    def reload(self, settings: Settings) -> None:
        """Put settings into effect of which only ``reloading.RELOADABLE`` ones changed."""


class Reactor(Protocol):
    """What is used of the reactor."""

    def seconds(self) -> float: ...
    def callWhenRunning(self, callable: Callable[..., Any]) -> Any: ...
    def callFromThread(self, callable: Callable[..., Any]) -> Any: ...
    def stop(self) -> None: ...


class Ending:
    """
    Ends the process with exit code 1 after an orderly stop.

    twistd ends with 0 whenever its reactor has stopped, so the code is set where the interpreter ends.

    :param at_exit: as ``atexit.register``; :param alarm: as ``signal.alarm``; :param leave: as ``os._exit``.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        report: StartReport,
        *,
        at_exit: Callable[[Callable[[], Any]], Any] = atexit.register,
        alarm: Callable[[int], Any] = signal.alarm,
        leave: Callable[[int], Any] = os._exit,
    ) -> None:
        self._reactor, self._report = reactor, report
        self._at_exit, self._alarm, self._leave = at_exit, alarm, leave
        self.dying = False

    def die(self, message: str) -> None:
        """
        Stop the reactor and end with 1. The first message is printed too, all are logged.

        May be called before the reactor runs, and while it stops; after readiness only the log has the line.
        """
        self._log.critical("{message}", message=message)
        if self.dying:
            return
        self.dying = True
        self._report.say(message)
        self._at_exit(self._exit)
        # The default action of SIGALRM needs no Python to run, so a stop that hangs ends as well.
        self._alarm(STOP_LIMIT)
        self._reactor.callWhenRunning(self.stop)

    def stop(self) -> None:
        """Stop the reactor, unless it is stopping already."""
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            self._log.debug("the reactor is stopping already")

    def _exit(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        self._leave(1)


class StartGuard(Service):
    """
    Starts the daemon's service and sees that a failure ends the process.

    :param umask: of the process from here on; twistd sets 077 when it daemonises.
    :param supervision: is told how it fares; with ``hang_up``, which asks it to reload.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        inner: Startable,
        umask: int,
        report: StartReport,
        ending: Ending,
        stopper: Stopper,
        supervision: Supervision | None = None,
        hang_up: HangUp | None = None,
    ) -> None:
        self._reactor, self._inner, self._umask = reactor, inner, umask
        self._report, self._ending, self._stopper = report, ending, stopper
        self._supervision, self._hang_up = supervision, hang_up
        self._begun = self._holds = self._ready = False

    def privilegedStartService(self) -> None:
        """Take ports and lock, still as the user that started the process."""
        Service.privilegedStartService(self)
        self._begun = True
        os.umask(self._umask)
        self._holds = self._attempt(self._inner.privilegedStartService)

    def startService(self) -> None:
        """Start what has threads of its own; ``twist``, unlike ``twistd``, has called nothing before."""
        if not self._begun:
            self.privilegedStartService()
        Service.startService(self)
        self._reactor.callWhenRunning(self._stopper.install)
        if self._hang_up is not None:
            self._reactor.callWhenRunning(self._hang_up.install)
        if self._holds and self._attempt(self._inner.startService):
            self._inner.when_ready().addCallbacks(self._became_ready, self._will_not_be_ready)

    async def _stop(self) -> None:
        if self._holds:
            self._holds = False
            await maybeDeferred(self._inner.stopService)
            if self._supervision is not None:
                self._supervision.stopped()

    def stopService(self) -> Deferred[None]:
        """Stop the service, if it holds anything."""
        Service.stopService(self)
        if not self._ready and not self._ending.dying:
            self._report.say("stopped before it was ready")
        if self._supervision is not None:
            self._supervision.stopping()
        # MultiService drops failures: this is the last place that can tell of one.
        return Deferred.fromCoroutine(self._stop()).addErrback(
            lambda why: self._log.failure("could not stop in order", failure=why)
        )

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception:
            self._give_up(Failure())
            return False
        return True

    def _became_ready(self, _: object) -> None:
        self._ready = True
        if not self._ending.dying:
            # twistd tells the first process, on a pipe of its own, before its reactor runs.
            self._reactor.callWhenRunning(self._report.ready)
            if self._supervision is not None:
                self._supervision.ready()

    def _will_not_be_ready(self, why: Failure) -> None:
        if self.running:
            self._give_up(why)
        else:
            self._log.debug("stopped before it was ready: {why}", why=why.value)

    def _give_up(self, why: Failure) -> None:
        if why.check(StartFailed):
            self._ending.die(why.getErrorMessage())
        else:
            self._log.failure("the start failed", failure=why)
            self._ending.die(f"cannot start: {why.value!r}")


def load_service(settings: Settings, reactor: Any) -> Supervised:
    """
    Import what needs libtorrent, and make the daemon's service; nothing is started yet.

    :raises StartFailed: there is no libtorrent, or it is too old.
    """
    try:
        import libtorrent
    except ImportError as error:
        raise StartFailed(f"libtorrent cannot be imported: {error}") from None
    require_libtorrent(libtorrent.__version__)
    # hardly anything that imports make is garbage, and looking for it costs a tenth of their time
    gc.disable()
    try:
        from .service import make_service
    finally:
        gc.enable()
    return make_service(settings, reactor)


def require_libtorrent(version: str) -> None:
    """
    Check libtorrent's version.

    :param version: as ``libtorrent.__version__`` has it, for instance ``2.1.1``.
    :raises StartFailed: it is too old; the message names both.
    """
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    if numbers < OLDEST_LIBTORRENT:
        oldest = ".".join(map(str, OLDEST_LIBTORRENT))
        raise StartFailed(f"libtorrent {version} is too old, at least {oldest} is needed")


def leave(message: str) -> NoReturn:
    """End the process before it has begun, with one line on stderr and exit code 1."""
    raise SystemExit(f"resttorrent: {one_line(message)}")
