"""The daemon's life inside a WSGI server's process, with a stand-in for the reactor and for the service."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import StartFailed
from resttorrent.settings import Settings
from resttorrent.wsgi.application import Application
from resttorrent.wsgi.host import Host
from tests.harness import until
from tests.rest.wire import World

from .support import PATIENCE, Answered, Loop, Service, environ

TOGETHER = 10


class HostCase(SynchronousTestCase):
    """One application; ``outcomes`` says how its next starts go: an exception, or ready or not."""

    def setUp(self) -> None:
        old = os.umask(0o077)
        self.addCleanup(os.umask, old)
        self.loop = Loop()
        self.world = World()
        self.outcomes: list[Exception | bool] = []
        self.services: list[Service] = []
        self.logs: list[tuple[str, str]] = []
        self.at_end: list[Callable[[], object]] = []
        self.environ = {"RESTTORRENT_STATE_DIR": ":memory:", "RESTTORRENT_ROOT": "/r"}
        self.host = Host(
            self.environ,
            install=lambda: self.loop,
            load=self.load,
            begin_logging=lambda level, form: self.logs.append((level, form)),
            at_end=self.at_end.append,
        )
        self.application = Application(self.host)
        self.pool = ThreadPoolExecutor(TOGETHER)
        self.addCleanup(self.pool.shutdown)
        self.addCleanup(self.host.close)
        self.log: list[str] = []
        self.patch(Host, "_log", self)

    # what the host asks of its logger
    def info(self, text: str, **values: object) -> None:
        self.log.append(text.format(**values))

    error = critical = info

    def failure(self, text: str, failure: object = None) -> None:
        self.log.append(f"{text}: {failure!r}")

    def load(self, settings: Settings, reactor: object) -> Service:
        assert reactor is self.loop
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, Exception):
            raise outcome
        self.services.append(Service(settings, self.world, ready=outcome))
        return self.services[-1]

    def ask(self, *args: Any, **more: Any) -> Answered:
        return Answered(self.application, environ(*args, **more))

    def ask_in_thread(self, *args: Any, **more: Any) -> "Future[Answered]":
        return self.pool.submit(self.ask, *args, **more)

    def held(self) -> Deferred[None]:
        """The next request that waits inside a command."""
        waiting: Deferred[None] = until(lambda: self.world.context.held, "a request to wait", PATIENCE)[-1]
        return waiting


class StartTests(HostCase):
    """How the first request starts the daemon."""

    def test_serves(self) -> None:
        self.assertEqual(self.ask().status, "200 OK")
        self.assertEqual(self.ask("POST", body=b'{"note":"n"}').json["thing"]["note"], "n")
        self.assertEqual(self.ask("HEAD").body, b"")
        self.assertEqual(self.services[0].events, ["bound", "started"])
        self.assertEqual(self.log, [f"process {os.getpid()} serves the API through its WSGI server"])
        self.assertEqual(self.logs, [("info", "text")])

    def test_first_requests_race(self) -> None:
        self.outcomes = [False]
        gate = threading.Barrier(TOGETHER, timeout=PATIENCE)

        def ask() -> Answered:
            gate.wait()
            return self.ask()

        answers = [self.pool.submit(ask) for _ in range(TOGETHER)]
        until(lambda: self.services, "the start", PATIENCE)
        self.assertFalse(any(answer.done() for answer in answers))
        self.loop.in_turn(lambda: self.services[0].ready.callback(None))
        self.assertEqual({answer.result(PATIENCE).status for answer in answers}, {"200 OK"})
        self.assertEqual((len(self.services), self.loop.runs, len(self.at_end)), (1, 1, 1))

    def test_settings(self) -> None:
        self.environ.update(
            RESTTORRENT_PORT="nonsense",
            RESTTORRENT_INTERFACE="0.0.0.0",
            RESTTORRENT_LISTEN="tcp:80",
            RESTTORRENT_UMASK="0027",
            RESTTORRENT_LOG_LEVEL="warn",
            RESTTORRENT_LOG_FORMAT="json",
        )
        self.ask()
        settings = self.services[0].settings
        self.assertEqual((settings.listen, settings.state_dir), ((), None))
        self.assertEqual([str(root) for root in settings.roots], ["/r"])
        self.assertEqual(os.umask(0), 0o027)
        self.assertEqual(self.logs, [("warn", "json")])

    def test_start_without_request(self) -> None:
        self.application.start()
        until(lambda: self.log, "the daemon to serve", PATIENCE)
        self.ask()
        self.assertEqual(len(self.services), 1)

    def test_import_starts_nothing(self) -> None:
        # a reactor made before the server forks would be shared by all its processes
        look = (
            "import sys, resttorrent.wsgi, threading;"
            "bad = {'twisted.internet.reactor', 'libtorrent'} & set(sys.modules);"
            "sys.exit(repr(bad) if bad or threading.active_count() > 1 else 0)"
        )
        subprocess.run([sys.executable, "-c", look], check=True, timeout=PATIENCE)


class RefusalTests(HostCase):
    """Starts that fail."""

    def refusal(self, *args: Any, **more: Any) -> str:
        answer = self.ask(*args, **more)
        self.assertEqual(answer.status, "503 Service Unavailable")
        self.assertEqual((answer.json["status"], answer.json["code"]), ("fail", "unhealthy"))
        return str(answer.json["message"])

    def test_takes_over(self) -> None:
        in_use = StartFailed("The state directory /s is in use by process 7.")
        self.outcomes = [in_use, in_use]
        for _ in range(2):
            self.assertEqual(
                self.refusal("POST", body=b"note=n"), f"the daemon cannot start in this process: {in_use}"
            )
        self.assertEqual(self.log, [f"process {os.getpid()} answers 503: {in_use}"])
        self.assertEqual(self.ask().status, "200 OK")
        self.assertEqual(self.loop.runs, 1)

    def test_fails_late(self) -> None:
        self.outcomes = [False]
        answer = self.ask_in_thread()
        until(lambda: self.services and self.services[0].events[1:], "the start", PATIENCE)
        self.loop.in_turn(lambda: self.services[0].ready.errback(StartFailed("no luck")))
        self.assertIn("no luck", answer.result(PATIENCE).json["message"])
        self.assertEqual(self.services[0].events, ["bound", "started", "stopped"])

    def test_bad_option(self) -> None:
        self.environ["RESTTORRENT_DURABILITY"] = "none"
        said = "RESTTORRENT_DURABILITY: expected normal or full; not 'none'"
        for _ in range(2):
            self.assertIn(said, self.refusal())
        self.assertEqual(self.log, [f"process {os.getpid()} answers 503: {said}"])
        self.assertEqual(self.logs, [("info", "text")])

    def test_mistake(self) -> None:
        self.outcomes = [ZeroDivisionError("secret"), ZeroDivisionError("secret")]
        for _ in range(2):
            self.assertEqual(self.refusal(), "the daemon cannot start in this process: its log says why")
        failed, line = self.log
        self.assertIn("the start failed: ", failed)
        self.assertIn("cannot start: ZeroDivisionError('secret')", line)

    def test_forked(self) -> None:
        self.ask()
        mine = os.getpid()
        self.patch(os, "getpid", lambda: mine + 1)
        self.assertIn("forked", self.refusal())
        self.host.close()  # a copy must not stop what isn't there
        self.patch(os, "getpid", lambda: mine)
        self.assertEqual(self.services[0].events, ["bound", "started"])
        self.assertEqual(self.ask().status, "200 OK")

    def test_no_threads_left(self) -> None:
        def refuse(function: object) -> None:
            raise RuntimeError("can't register atexit after shutdown")

        self.patch(self.host, "_at_end", refuse)
        self.assertIn("can't register", self.refusal())
        self.assertEqual(self.loop.runs, 0)


class StopTests(HostCase):
    """The end of the interpreter."""

    def stopping(self, answer: Answered) -> None:
        self.assertEqual((answer.status[:3], answer.json["code"]), ("503", "stopping"))

    def test_in_order(self) -> None:
        waiting = self.ask_in_thread(path="/v1/wait")
        self.held()
        (close,) = self.at_end
        close()
        self.stopping(waiting.result(PATIENCE))
        self.assertEqual(self.services[0].events[2:], ["stopped"])
        self.assertNotIn("resttorrent-reactor", {thread.name for thread in threading.enumerate()})
        self.stopping(self.ask())
        close()
        self.assertEqual(self.services[0].events[2:], ["stopped"])

    def test_never_started(self) -> None:
        self.host.close()
        self.assertEqual(self.loop.runs, 0)

    def test_while_starting(self) -> None:
        self.outcomes = [False]
        first = self.ask_in_thread()
        until(lambda: self.services and self.services[0].events[1:], "the start", PATIENCE)
        self.host.close()
        self.stopping(first.result(PATIENCE))
        self.assertEqual(self.services[0].events[2:], ["stopped"])
        self.assertEqual(self.log, [])

    def test_service_that_cannot_stop(self) -> None:
        self.ask()

        def fail() -> None:
            raise ZeroDivisionError

        self.patch(self.services[0], "stopService", fail)
        self.host.close()
        self.assertIn("could not stop in order", self.log[-1])
        self.assertNotIn("resttorrent-reactor", {thread.name for thread in threading.enumerate()})

    def test_reactor_dies(self) -> None:
        seen: list[Any] = []
        self.patch(threading, "excepthook", seen.append)
        waiting = self.ask_in_thread("POST", "/v1/work")
        self.held()
        self.loop._calls.put(lambda: 1 / 0)
        self.stopping(waiting.result(PATIENCE))
        self.stopping(self.ask())
        self.assertEqual([arguments.exc_type for arguments in seen], [ZeroDivisionError])

    def test_at_shutdown(self) -> None:
        # before threads are joined, and while threads can still be started
        script = (
            "import threading\n"
            "from resttorrent.wsgi.host import at_shutdown\n"
            "done = threading.Event()\n"
            "def stop():\n"
            "    thread = threading.Thread(target=done.set)\n"
            "    thread.start()\n"
            "    thread.join()\n"
            "at_shutdown(stop)\n"
            f"threading.Thread(target=lambda: print(done.wait({PATIENCE}))).start()\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=2 * PATIENCE)
        self.assertEqual((ended.stdout, ended.stderr), (b"True\n", b""))
