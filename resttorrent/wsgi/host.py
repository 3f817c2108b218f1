"""
The daemon inside a process that belongs to a WSGI server.

Its reactor runs in a thread of its own, from the first request until the interpreter ends. It can't be
started twice, so it runs on when the daemon can't start; the next request tries again, and a process that was
refused because another held the state takes over once that one is gone.

Who runs what: ``_run``, ``_try``, ``_stop`` and what they call, the reactor's thread; all else, any thread.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure

from ..errors import CommandError, StartFailed, Stopping, Unhealthy
from ..logs import stream_observer
from ..options import OptionError, settings_from
from ..settings import Settings
from ..startup import STOP_LIMIT, load_service
from ..steady import make_steady
from .channel import Outgoing, deliver
from .incoming import Incoming

if TYPE_CHECKING:
    from ..rest.site import DoorSite

# The server listens, whatever these say.
_NOT_OURS = ("RESTTORRENT_PORT", "RESTTORRENT_INTERFACE", "RESTTORRENT_LISTEN")


def installed_reactor() -> Any:
    """Twisted's reactor; the first call makes it, which must not be before the server forked."""
    from twisted.internet import reactor

    make_steady(reactor)
    return reactor


def log_to_stderr(level: str, form: Literal["text", "json"]) -> None:
    """Write the log where WSGI servers have theirs."""
    observer = stream_observer(sys.stderr, level, form)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


def at_shutdown(function: Callable[[], object]) -> None:
    """
    Have ``function`` called when the interpreter begins to end.

    What ``atexit`` registers comes after the join of all threads that are no daemons: a server's thread that
    waits for a long poll would hold it up, and since CPython 3.12 it may start no thread any more, which an
    orderly stop does. ``concurrent.futures`` has the same need, and CPython this function for it.
    """
    register: Callable[[Callable[[], object]], object] = getattr(
        threading, "_register_atexit", atexit.register
    )
    register(function)


class Host:
    """
    Runs one daemon in this process.

    :param environ: the settings, as ``RESTTORRENT_…``, read when it starts.
    :param install: gives the reactor; :param load: as ``startup.load_service``.
    :param begin_logging: called once, with level and format; :param at_end: as ``at_shutdown``.
    """

    _log = Logger()

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        install: Callable[[], Any] = installed_reactor,
        load: Callable[[Settings, Any], Any] = load_service,
        begin_logging: Callable[[str, Literal["text", "json"]], None] = log_to_stderr,
        at_end: Callable[[Callable[[], object]], object] = at_shutdown,
    ) -> None:
        self._environ, self._install, self._load = environ, install, load
        self._begin_logging, self._at_end = begin_logging, at_end
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._reactor: Any = None
        self._thread: threading.Thread | None = None
        self._attempt: Future[DoorSite] = Future()
        self._unanswered: set[Future[Any]] = set()
        self._closing = self._ended = self._logging = False
        self._service: Any = None
        self._said: str | None = None

    # -- any thread ------------------------------------------------------

    def begin(self) -> "Future[DoorSite]":
        """
        Begin to start the daemon, unless it runs or somebody has begun already.

        :return: the site to ask; fails with CommandError if the daemon can't start.
        :raises CommandError: the process is at its end, or not the one that began.
        """
        if self._pid not in (None, os.getpid()):
            raise Unhealthy("this process was forked from the one in which the daemon runs")
        with self._lock:
            if self._closing or self._ended:
                raise Stopping("the daemon is stopping")
            if self._thread is None:
                self._launch()
                self._begin_attempt()
            elif self._attempt.done() and self._attempt.exception() is not None:
                self._begin_attempt()
            return self._attempt

    def site(self) -> "DoorSite":
        """
        Wait until the daemon runs.

        :raises CommandError: as ``begin``, or because it can't start.
        """
        return self.begin().result()

    def ask(self, site: "DoorSite", incoming: Incoming, body: bytes) -> Outgoing:
        """
        Wait for the answer to a request.

        :raises Stopping: the daemon has ended before there was one.
        """
        answer: Future[Outgoing] = Future()
        with self._lock:
            if self._ended:
                raise Stopping("the daemon is stopping")
            self._unanswered.add(answer)
        try:
            self._reactor.callFromThread(deliver, site, incoming, body, answer.set_result)
            return answer.result()
        finally:
            with self._lock:
                self._unanswered.discard(answer)

    def close(self) -> None:
        """Stop the daemon in order and end the thread; gives up after ``STOP_LIMIT`` seconds."""
        if self._pid != os.getpid():
            return  # never started, or a fork's copy
        with self._lock:
            first, self._closing = not self._closing, True
            thread = self._thread
        if thread is not None:
            if first:
                self._reactor.callFromThread(self._stop)
            thread.join(STOP_LIMIT)
            if thread.is_alive():
                self._log.error("the daemon did not stop within {limit} s", limit=STOP_LIMIT)

    def _launch(self) -> None:
        try:
            self._at_end(self.close)
            self._reactor = self._install()
            thread = threading.Thread(target=self._run, name="resttorrent-reactor", daemon=True)
            thread.start()
        except RuntimeError as error:  # the interpreter is at its end, or there are no threads left
            raise Unhealthy(f"the daemon cannot start in this process: {error}") from None
        self._thread, self._pid = thread, os.getpid()

    def _begin_attempt(self) -> None:
        self._attempt = Future()
        self._unanswered.add(self._attempt)
        self._reactor.callFromThread(self._try, self._attempt)

    # -- the reactor's thread --------------------------------------------

    def _run(self) -> None:
        try:
            self._reactor.run(installSignalHandlers=False)
        finally:
            with self._lock:
                self._ended = True
                left = [future for future in self._unanswered if not future.done()]
            for future in left:
                future.set_exception(Stopping("the daemon is stopping"))

    def _try(self, attempt: "Future[DoorSite]") -> None:
        started = Deferred.fromCoroutine(self._start())
        started.addCallbacks(self._serving, self._refused, (attempt,), errbackArgs=(attempt,))

    async def _start(self) -> "DoorSite":
        settings = self._settings()
        service = self._load(settings, self._reactor)
        os.umask(settings.umask)
        service.privilegedStartService()
        self._service = service
        try:
            service.startService()
            await service.when_ready()
        except BaseException:
            await self._stop_service()
            raise
        site: DoorSite = service.site
        return site

    def _settings(self) -> Settings:
        environ = {name: value for name, value in self._environ.items() if name not in _NOT_OURS}
        try:
            settings = replace(settings_from([], environ), listen=())
        except OptionError:
            self._log_from_now("info", "text")
            raise
        self._log_from_now(settings.log_level, settings.log_format)
        return settings

    def _log_from_now(self, level: str, form: Literal["text", "json"]) -> None:
        if not self._logging:
            self._logging = True
            self._begin_logging(level, form)

    def _serving(self, site: "DoorSite", attempt: "Future[DoorSite]") -> None:
        self._said = None
        self._log.info("process {pid} serves the API through its WSGI server", pid=os.getpid())
        self._settle(attempt, lambda: attempt.set_result(site))

    def _refused(self, why: Failure, attempt: "Future[DoorSite]") -> None:
        error: CommandError = Stopping("the daemon is stopping")
        if not self._closing:
            foreseen = why.check(StartFailed, OptionError)
            self._say(why, why.getErrorMessage() if foreseen else f"cannot start: {why.value!r}")
            reason = why.getErrorMessage() if foreseen else "its log says why"
            error = Unhealthy(f"the daemon cannot start in this process: {reason}")
        self._settle(attempt, lambda: attempt.set_exception(error))

    def _say(self, why: Failure, message: str) -> None:
        """Log why this process can't serve, once: each request tries again."""
        if message == self._said:
            return
        self._said = message
        if not why.check(StartFailed, OptionError):
            self._log.failure("the start failed", failure=why)
        self._log.critical("process {pid} answers 503: {message}", pid=os.getpid(), message=message)

    def _settle(self, attempt: "Future[DoorSite]", settle: Callable[[], None]) -> None:
        with self._lock:
            self._unanswered.discard(attempt)
        settle()

    def _stop(self) -> None:
        Deferred.fromCoroutine(self._stop_service()).addBoth(lambda _: self._reactor.stop())

    async def _stop_service(self) -> None:
        """Stop the service, unless somebody does already."""
        service, self._service = self._service, None
        if service is None:
            return
        try:
            await maybeDeferred(service.stopService)
        except Exception:
            self._log.failure("could not stop in order")
