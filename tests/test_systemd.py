"""What the service manager is told, and when the watchdog is fed."""

import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import rmtree
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.errors import EngineTimeout, Stopping
from resttorrent.supervision import Supervision
from resttorrent.systemd import (
    Liveness,
    Notifier,
    Watchdog,
    address_of,
    send_datagram,
    watchdog_of,
    watchdog_patience,
)
from tests.harness import Daemon

HERE = Path(__file__).resolve().parent.parent


class AddressTests(SynchronousTestCase):
    def test_forms(self) -> None:
        self.assertEqual(address_of("/run/systemd/notify"), "/run/systemd/notify")
        self.assertEqual(address_of("@abstract"), "\0abstract")

    def test_others(self) -> None:
        for name in ("notify", "@", "/", "vsock:2:1", "\n"):
            with self.assertRaisesRegex(ValueError, "^NOTIFY_SOCKET: expected a path"):
                address_of(name)

    def test_patience(self) -> None:
        self.assertEqual(watchdog_patience({"WATCHDOG_USEC": "30000000"}, 7), 30.0)
        self.assertEqual(watchdog_patience({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"}, 7), 1.5)
        for odd in ({}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "²"}):
            self.assertIsNone(watchdog_patience(odd, 7))
        # meant for a parent, whose environment we have got
        self.assertIsNone(watchdog_patience({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "8"}, 7))


class NotifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.notifier = Notifier("\0name", lambda address, data: self.sent.append((address, data)))

    def test_states(self) -> None:
        self.notifier.ready("serving")
        self.notifier.alive()
        self.notifier.reloading(12.5)
        self.notifier.stopping()
        self.assertEqual({address for address, _ in self.sent}, {"\0name"})
        self.assertEqual(
            [data for _, data in self.sent],
            [
                b"READY=1\nSTATUS=serving",
                b"WATCHDOG=1",
                b"RELOADING=1\nMONOTONIC_USEC=12500000\nSTATUS=reloading",
                b"STOPPING=1\nSTATUS=stopping",
            ],
        )

    @given(st.text())
    def test_status_can_not_say_more_than_itself(self, text: str) -> None:
        self.sent.clear()
        self.notifier.status(text + "\nMAINPID=1")
        ((_, data),) = self.sent
        self.assertEqual(data.count(b"\n"), 0)
        self.assertTrue(data.startswith(b"STATUS="))

    def test_silent_where_nobody_listens(self) -> None:
        Notifier(None, lambda *_: self.fail("sent")).ready("serving")
        Notifier.of({}).ready("serving")
        Notifier.of({"NOTIFY_SOCKET": ""}).alive()

    def test_manager_that_is_gone(self) -> None:
        tries = []

        def send(address: str, data: bytes) -> None:
            tries.append(data)
            raise ConnectionRefusedError("gone")

        notifier = Notifier("/gone", send)
        notifier.alive()
        notifier.alive()
        self.assertEqual(len(tries), 2)

    def test_real_sockets(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="notify-"))
        self.addCleanup(rmtree, folder)
        for name in (f"@resttorrent-test-{os.getpid()}", str(folder / "notify")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(address_of(name))
                manager.settimeout(10)
                Notifier.of({"NOTIFY_SOCKET": name}).alive()
                self.assertEqual(manager.recv(100), b"WATCHDOG=1")

    def test_full_socket_does_not_block(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            address = f"\0resttorrent-full-{os.getpid()}"
            manager.bind(address)
            with self.assertRaises(BlockingIOError):
                for _ in range(100_000):
                    send_datagram(address, b"WATCHDOG=1")


class Parts:
    """Parts whose answers the test gives."""

    def __init__(self, *names: str) -> None:
        self.asked: dict[str, list[Deferred[Any]]] = {name: [] for name in names}

    def probes(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        return {name: self._asker(name) for name in self.asked}

    def _asker(self, name: str) -> Callable[[], Awaitable[Any]]:
        def ask() -> Awaitable[Any]:
            self.asked[name].append(Deferred())
            return self.asked[name][-1]

        return ask

    def answer(self, *names: str) -> None:
        for name in names:
            self.asked[name][-1].callback(None)


class LivenessTests(SynchronousTestCase):
    def test_who_answered_is_asked_again(self) -> None:
        parts = Parts("store", "session")
        liveness = Liveness(parts.probes)
        self.assertEqual(liveness.beat(), [])
        parts.answer("store")
        self.assertEqual(liveness.beat(), ["session"])
        self.assertEqual(
            {name: len(asked) for name, asked in parts.asked.items()}, {"store": 2, "session": 1}
        )
        parts.answer("store", "session")
        self.assertEqual(liveness.beat(), [])

    def test_refusal_is_an_answer(self) -> None:
        parts = Parts("store")
        liveness = Liveness(parts.probes)
        liveness.beat()
        parts.asked["store"][0].errback(Stopping("no"))
        self.assertEqual(liveness.beat(), [])

    def test_timeout_is_none(self) -> None:
        parts = Parts("session")
        liveness = Liveness(parts.probes)
        liveness.beat()
        parts.asked["session"][0].errback(EngineTimeout("no answer"))
        self.assertEqual(len(parts.asked["session"]), 2)
        self.assertEqual(liveness.beat(), ["session"])
        parts.answer("session")
        self.assertEqual(liveness.beat(), [])

    def test_probe_that_breaks_has_moved(self) -> None:
        def broken() -> Awaitable[Any]:
            raise ValueError("x")

        liveness = Liveness(lambda: {"broken": broken})
        liveness.beat()
        self.assertEqual(liveness.beat(), [])


class WatchdogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.sent = Clock(), list[str]()
        self.notifier = Notifier("@x", lambda _, data: self.sent.append(data.decode()))
        self.parts = Parts("store")
        self.watchdog = Watchdog(self.clock, self.notifier, 30.0, self.parts.probes)

    def pass_by(self, seconds: float) -> list[str]:
        self.sent.clear()
        self.clock.advance(seconds)
        return list(self.sent)

    def test_fed_each_ten_seconds_while_all_move(self) -> None:
        self.watchdog.start()
        self.assertEqual(self.sent, ["WATCHDOG=1"])
        for _ in range(3):
            self.parts.answer("store")
            self.assertEqual(self.pass_by(9), [])
            self.assertEqual(self.pass_by(1), ["WATCHDOG=1"])

    def test_not_fed_while_a_part_is_stuck(self) -> None:
        self.watchdog.start()
        self.assertEqual(self.pass_by(10), ["STATUS=no answer from: store"])
        self.assertEqual(self.pass_by(10), [])
        self.parts.answer("store")
        self.assertEqual(self.pass_by(10), ["WATCHDOG=1", "STATUS=serving"])

    def test_not_fed_while_the_reactor_is_stuck(self) -> None:
        self.watchdog.start()
        self.parts.answer("store")
        # one sign of life for all the time in which the reactor did not turn, not one for each ten seconds
        self.assertEqual(self.pass_by(100), ["WATCHDOG=1"])

    def test_short_patience(self) -> None:
        watchdog = Watchdog(self.clock, self.notifier, 3.0, self.parts.probes)
        watchdog.start()
        self.parts.answer("store")
        self.assertEqual(self.pass_by(1), ["WATCHDOG=1"])

    def test_fed_while_all_is_closed(self) -> None:
        self.watchdog.start()
        self.watchdog.rest()
        self.assertEqual(self.pass_by(10), ["WATCHDOG=1"])
        self.assertEqual(len(self.parts.asked["store"]), 1)
        self.watchdog.stop()
        self.assertEqual(self.pass_by(10), [])

    def test_only_where_it_is_asked_for(self) -> None:
        self.assertIsNone(watchdog_of({}, self.clock, self.notifier, self.parts.probes))
        environ = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
        self.assertIsInstance(watchdog_of(environ, self.clock, self.notifier, self.parts.probes), Watchdog)


class SupervisionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sent = list[str]()
        notifier = Notifier("@x", lambda _, data: self.sent.append(data.decode().partition("=")[0]))
        self.clock = Clock()
        watchdog = Watchdog(self.clock, notifier, 30.0, dict)
        self.supervision = Supervision(notifier, watchdog, self.reload)

    def reload(self) -> None:
        self.sent.append("reload")

    def test_life(self) -> None:
        self.supervision.ready()
        self.supervision.reload()
        self.supervision.stopping()
        self.clock.advance(10)
        self.supervision.stopped()
        self.clock.advance(10)
        self.assertEqual(
            self.sent, ["READY", "WATCHDOG", "RELOADING", "reload", "READY", "STOPPING", "WATCHDOG"]
        )

    def test_reload_before_it_is_ready(self) -> None:
        self.supervision.reload()
        self.assertEqual(self.sent, ["reload"])

    def test_reload_while_it_stops(self) -> None:
        self.supervision.stopping()
        self.supervision.reload()
        self.assertEqual(self.sent, ["STOPPING"])

    def test_reload_that_breaks_is_over_all_the_same(self) -> None:
        def broken() -> None:
            raise ZeroDivisionError

        notifier = Notifier("@x", lambda _, data: self.sent.append(data.decode().partition("=")[0]))
        supervision = Supervision(notifier, None, broken)
        supervision.ready()
        with self.assertRaises(ZeroDivisionError):
            supervision.reload()
        self.assertEqual(self.sent, ["READY", "RELOADING", "READY"])


class ProcessTests(SynchronousTestCase):
    """A real daemon and a socket that stands for systemd's."""

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="systemd-"))
        self.addCleanup(rmtree, self.home)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        name = f"resttorrent-{os.getpid()}-{self.id()}"
        self.manager.bind(f"\0{name}")
        self.manager.settimeout(30)
        environ = mock.patch.dict(
            os.environ,
            {
                "NOTIFY_SOCKET": f"@{name}",
                "WATCHDOG_USEC": "1500000",
                "PYTHONPATH": f"{self.home}:{HERE}",
            },
        )
        environ.start()
        self.addCleanup(environ.stop)
        self.config = self.home / "config.toml"
        self.daemon = Daemon(self.home, "--config", str(self.config))
        self.addCleanup(self.end)

    def end(self) -> None:
        if self.daemon.is_running:
            self.daemon.kill()

    def hear(self) -> str:
        """The next notification that is no sign of life."""
        while True:
            said = self.manager.recv(4096).decode()
            if said != "WATCHDOG=1":
                return said

    def test_life(self) -> None:
        self.config.write_text("")
        self.daemon.start()
        self.assertEqual(self.hear(), "READY=1\nSTATUS=serving")
        client = self.daemon.client()
        self.addCleanup(client.close)
        self.assertEqual(client.call("GET", "/health").status, 200)
        client.session()
        for _ in range(3):
            # with a session of libtorrent's that has to answer, and the store
            self.assertEqual(self.manager.recv(4096), b"WATCHDOG=1")
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(self.hear(), "STOPPING=1\nSTATUS=stopping")
        self.assertEqual(self.daemon.tracebacks(), [])

    def test_stuck_store_starves_the_watchdog(self) -> None:
        self.config.write_text("")
        # what Python runs before all else
        (self.home / "sitecustomize.py").write_text(
            "import pathlib, threading\n"
            "from resttorrent.store.database import Database\n"
            "read = Database.read\n"
            "def read_or_hang(self, task):\n"
            f"    if pathlib.Path({str(self.home / 'stuck')!r}).exists():\n"
            "        threading.Event().wait()\n"
            "    read(self, task)\n"
            "Database.read = read_or_hang\n"
        )
        self.daemon.start()
        self.assertEqual(self.hear(), "READY=1\nSTATUS=serving")
        (self.home / "stuck").touch()
        self.assertEqual(self.hear(), "STATUS=no answer from: store")
        self.manager.settimeout(3)
        with self.assertRaises(TimeoutError):
            self.manager.recv(4096)
