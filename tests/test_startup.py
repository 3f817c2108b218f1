"""How a start ends, with every part of the process replaced."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock, patch

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import StartFailed
from resttorrent.settings import Settings
from resttorrent.signals import ECHO, Stopper
from resttorrent.start_report import StartReport
from resttorrent.startup import (
    STOP_LIMIT,
    Ending,
    StartGuard,
    leave,
    load_service,
    require_libtorrent,
)


class FakeReactor(Clock):
    """A reactor that is started by hand and counts how often it was stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.running, self.stops, self.waiting = False, 0, list[Callable[..., Any]]()

    def callWhenRunning(self, callable: Callable[..., Any]) -> None:
        if self.running:
            callable()
        else:
            self.waiting.append(callable)

    def callFromThread(self, callable: Callable[..., Any]) -> None:
        callable()

    def run(self) -> None:
        self.running = True
        for each in self.waiting:
            each()

    def stop(self) -> None:
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning()


class FakeReport(StartReport):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.is_ready = False

    def say(self, message: str) -> None:
        self.said.append(message)

    def ready(self) -> None:
        self.is_ready = True


class Inner:
    """A service that records its calls and fails where it is told to."""

    def __init__(self, **failures: Exception) -> None:
        self.failures, self.calls, self.readiness = failures, list[str](), Deferred[None]()
        self.umask = -1

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failures:
            raise self.failures[name]

    def privilegedStartService(self) -> None:
        self.umask = os.umask(0o077)
        os.umask(self.umask)
        self._call("bind")

    def startService(self) -> None:
        self._call("start")

    def stopService(self) -> None:
        self._call("stop")

    def when_ready(self) -> Deferred[None]:
        return self.readiness


class GuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(os.umask, os.umask(0o077))
        self.reactor, self.report = FakeReactor(), FakeReport()
        self.at_exit, self.alarms, self.codes = list[Callable[[], Any]](), list[int](), list[int]()
        self.ending = Ending(
            self.reactor,
            self.report,
            at_exit=self.at_exit.append,
            alarm=self.alarms.append,
            leave=self.codes.append,
        )
        self.handled: dict[int, Any] = {}

    def guard(self, **failures: Exception) -> StartGuard:
        self.inner = Inner(**failures)
        stopper = Stopper(self.reactor, self.ending.stop, handle=self.handled.__setitem__)
        return StartGuard(self.reactor, self.inner, 0o022, self.report, self.ending, stopper)

    def start(self, **failures: Exception) -> StartGuard:
        guard = self.guard(**failures)
        guard.privilegedStartService()
        guard.startService()
        return guard

    def assert_died(self, message: str) -> None:
        self.assertEqual(self.report.said, [message])
        self.assertFalse(self.report.is_ready)
        self.assertEqual(self.reactor.stops, 1)
        self.assertEqual(self.alarms, [STOP_LIMIT])
        for each in self.at_exit:
            each()
        self.assertEqual(self.codes, [1])

    def test_start_and_stop(self) -> None:
        guard = self.start()
        self.reactor.run()
        self.assertEqual(self.inner.umask, 0o022)
        self.assertFalse(self.report.is_ready)
        self.inner.readiness.callback(None)
        self.assertTrue(self.report.is_ready)
        self.successResultOf(guard.stopService())
        self.assertEqual(self.inner.calls, ["bind", "start", "stop"])
        self.assertEqual((self.report.said, self.at_exit), ([], []))
        self.assertEqual(set(self.handled), {signal.SIGTERM, signal.SIGINT})

    def test_twistd_is_answered_when_its_reactor_runs(self) -> None:
        self.start()
        self.inner.readiness.callback(None)
        self.assertFalse(self.report.is_ready)
        self.reactor.run()
        self.assertTrue(self.report.is_ready)

    def test_twist_does_not_call_the_privileged_half(self) -> None:
        self.guard().startService()
        self.assertEqual(self.inner.calls, ["bind", "start"])

    def test_port_taken(self) -> None:
        guard = self.start(bind=StartFailed("cannot listen"))
        self.assertEqual(self.reactor.stops, 0)
        self.reactor.run()
        self.successResultOf(guard.stopService())
        self.assertEqual(self.inner.calls, ["bind"])
        self.assert_died("cannot listen")

    def test_failed_start_is_stopped(self) -> None:
        guard = self.start(start=StartFailed("no"))
        self.reactor.run()
        self.successResultOf(guard.stopService())
        self.assertEqual(self.inner.calls, ["bind", "start", "stop"])
        self.assert_died("no")

    def test_failure_after_the_start(self) -> None:
        guard = self.start()
        self.reactor.run()
        self.inner.readiness.errback(StartFailed("from the future"))
        self.successResultOf(guard.stopService())
        self.assert_died("from the future")

    def test_unexpected_failure_keeps_its_traceback(self) -> None:
        self.start(bind=ZeroDivisionError("x"))
        self.reactor.run()
        self.assert_died("cannot start: ZeroDivisionError('x')")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopped_before_it_was_ready(self) -> None:
        guard = self.start()
        self.reactor.run()
        self.successResultOf(guard.stopService())
        self.inner.readiness.errback(StartFailed("stopped"))
        self.assertEqual(self.report.said, ["stopped before it was ready"])
        self.assertEqual((self.report.is_ready, self.at_exit), (False, []))

    def test_stop_that_fails_is_logged(self) -> None:
        guard = self.start(stop=RuntimeError("x"))
        self.successResultOf(guard.stopService())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_first_death_counts(self) -> None:
        self.reactor.run()
        self.ending.die("one")
        self.ending.die("two")
        self.assert_died("one")

    def test_death_while_stopping(self) -> None:
        self.reactor.run()
        self.reactor.stop()
        self.ending.die("late")
        self.assertEqual(self.report.said, ["late"])


class SignalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.handlers: dict[int, Any] = {signal.SIGINT: lambda *_: self.seen.append("Twisted's")}
        self.seen: list[str] = []
        self.stopper = Stopper(
            self.reactor,
            lambda: self.seen.append("stop"),
            handle=self.handle,
            strike=lambda number: self.seen.append(f"struck by {number}"),
        )
        self.stopper.install()

    def handle(self, number: int, handler: Any) -> Any:
        before, self.handlers[number] = self.handlers.get(number), handler
        return before

    def send(self, number: int) -> None:
        self.handlers[number](number, None)

    def test_term_stops(self) -> None:
        self.send(signal.SIGTERM)
        self.assertEqual(self.seen, ["stop"])

    def test_interrupt_is_left_to_twisted(self) -> None:
        self.send(signal.SIGINT)
        self.assertEqual(self.seen, ["Twisted's"])

    def test_ignored_interrupt_stays_ignored(self) -> None:
        self.handlers[signal.SIGINT] = signal.SIG_IGN
        self.stopper.install()
        self.assertEqual(self.handlers[signal.SIGINT], signal.SIG_IGN)

    def test_echo_is_ignored(self) -> None:
        self.send(signal.SIGTERM)
        self.reactor.advance(ECHO / 2)
        self.send(signal.SIGTERM)
        self.assertEqual(self.seen, ["stop"])

    def test_second_ends_at_once(self) -> None:
        self.send(signal.SIGTERM)
        self.reactor.advance(ECHO)
        self.send(signal.SIGINT)
        self.assertEqual(self.seen, ["stop", f"struck by {int(signal.SIGINT)}"])
        self.assertIs(self.handlers[signal.SIGINT], signal.SIG_DFL)


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hooks: list[Callable[[], None]] = []
        self.codes: list[int] = []
        self.read_end, stderr = os.pipe()
        self.addCleanup(os.close, self.read_end)
        self.report = StartReport(
            True,
            at_fork=lambda after_in_parent: self.hooks.append(after_in_parent),
            leave=self.codes.append,
            stderr=stderr,
        )
        self.stderr = stderr
        assert self.report._reader is not None
        self.addCleanup(os.close, self.report._reader)

    def first_process_hears(self) -> tuple[bytes, list[int]]:
        """Play twistd's first process after the second, which is this one too, has spoken."""
        self.hooks[0]()
        os.close(self.stderr)
        return os.read(self.read_end, 65536), self.codes

    def as_second_process(self, *messages: str, ready: bool) -> None:
        writer = self.report._writer
        assert writer is not None
        own = os.dup(writer)
        for message in messages:
            self.report.say(message)
        if ready:
            self.report.ready()
            self.report._writer = own
        else:
            os.close(own)

    def test_ready(self) -> None:
        self.as_second_process(ready=True)
        self.assertEqual(self.first_process_hears(), (b"", [0]))

    def test_failed(self) -> None:
        self.as_second_process("a\nb", ready=False)
        self.assertEqual(self.first_process_hears(), (b"resttorrent: a\\nb\n", [1]))

    def test_killed(self) -> None:
        self.as_second_process(ready=False)
        said, codes = self.first_process_hears()
        self.assertIn(b"died while it started", said)
        self.assertEqual(codes, [1])

    def test_foreground(self) -> None:
        StartReport(False, stderr=self.stderr).say("x")
        self.as_second_process(ready=True)
        self.assertEqual(self.first_process_hears(), (b"resttorrent: x\n", [0]))

    def test_nobody_waits_any_more(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        StartReport(False, stderr=writer).say("x")
        os.close(writer)
        self.as_second_process(ready=True)
        self.first_process_hears()


class VersionTests(SynchronousTestCase):
    def test_new_enough(self) -> None:
        for version in ("2.1.1", "2.1.1.0", "2.10.0", "3.0"):
            require_libtorrent(version)

    def test_too_old(self) -> None:
        for version in ("2.1.0", "2.0.11.0", "1.2.19", "2.1"):
            error = self.assertRaises(StartFailed, require_libtorrent, version)
            self.assertEqual(str(error), f"libtorrent {version} is too old, at least 2.1.1 is needed")

    def test_service_is_not_loaded_with_the_wrong_libtorrent(self) -> None:
        settings = Settings(listen=(), state_dir=None, roots=())
        for module, said in ((None, "cannot be imported"), (Mock(__version__="2.0.9"), "2.0.9 is too old")):
            with patch.dict(sys.modules, {"libtorrent": module}):
                error = self.assertRaises(StartFailed, load_service, settings, None)
            self.assertIn(said, str(error))

    def test_leaving(self) -> None:
        self.assertEqual(self.assertRaises(SystemExit, leave, "a\nb").code, r"resttorrent: a\nb")
