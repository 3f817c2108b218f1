"""Ports: the first that is free for TCP and uTP both, believed only when libtorrent says so."""

import errno
import socket
from types import SimpleNamespace
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine import ports
from resttorrent.engine.ports import PortBinder, is_address, listen_interfaces, seems_free
from resttorrent.errors import BadParameter, EngineTimeout, PortInUse
from tests.swarm.network import free_ports, hold, release

from .fakes import error_code

HOST = ("127.0.0.1",)


class WritingTests(SynchronousTestCase):
    def test_listen_interfaces(self) -> None:
        self.assertEqual(listen_interfaces((), 1), "0.0.0.0:1,[::]:1")
        self.assertEqual(listen_interfaces(("::1", "eth0"), 2), "[::1]:2,eth0:2")

    def test_is_address(self) -> None:
        self.assertEqual([is_address(word) for word in ("::1", "127.0.0.1", "eth0")], [True, True, False])


class SeemsFreeTests(SynchronousTestCase):
    def test_either_kind_takes_it(self) -> None:
        port = free_ports(1)
        self.assertTrue(seems_free(HOST, port))
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            held = hold(port, kind)
            self.assertFalse(seems_free(HOST, port))
            release(held)

    def test_what_only_libtorrent_can_tell(self) -> None:
        # a device, and an address that this machine lacks (RFC 5737)
        self.assertTrue(seems_free(("no-such-device",), 1))
        self.assertTrue(seems_free(("192.0.2.1",), 40000))


class BinderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(ports, "seems_free", lambda interfaces, port: port not in self.seen_taken)
        self.seen_taken: set[int] = set()
        self.applied: list[str] = []
        self.answers: dict[str, list[tuple[str, Any]]] = {}
        self.barrier: Deferred[None] | None = None
        self.binder = PortBinder(self.apply, lambda: self.barrier or succeed(None))

    def apply(self, settings: dict[str, Any]) -> None:
        self.applied.append(settings["listen_interfaces"])
        for word, detail in self.answers.get(self.applied[-1], []):
            if word == "ok":
                alert: Any = SimpleNamespace(address="127.0.0.1", socket_type=detail)
                self.binder.handlers[lt.listen_succeeded_alert](alert)
            else:
                alert = SimpleNamespace(error=error_code(detail))
                self.binder.handlers[lt.listen_failed_alert](alert)

    def bind(self, *candidates: int) -> "Deferred[int]":
        return Deferred.fromCoroutine(self.binder.bind(HOST, iter(candidates)))

    def both(self, port: int) -> None:
        kinds = (lt.socket_type_t.tcp, lt.socket_type_t.utp)
        self.answers[f"127.0.0.1:{port}"] = [("ok", kind) for kind in kinds]

    def test_first_free(self) -> None:
        self.seen_taken = {1}
        self.both(2)
        self.assertEqual(self.successResultOf(self.bind(1, 2, 3)), 2)
        self.assertEqual(self.applied, ["127.0.0.1:2"])

    def test_libtorrent_finds_it_taken(self) -> None:
        self.answers["127.0.0.1:1"] = [("ok", lt.socket_type_t.tcp), ("failed", errno.EADDRINUSE)]
        self.both(2)
        self.assertEqual(self.successResultOf(self.bind(1, 2)), 2)

    def test_one_kind_is_not_enough(self) -> None:
        self.answers["127.0.0.1:1"] = [("ok", lt.socket_type_t.tcp)]
        self.failureResultOf(self.bind(1), PortInUse)

    def test_none_is_free(self) -> None:
        self.seen_taken = {1, 2}
        self.failureResultOf(self.bind(1, 2), PortInUse)
        self.assertEqual(self.applied, [""])

    def test_address_of_another_machine(self) -> None:
        self.answers["127.0.0.1:1"] = [("failed", errno.EADDRNOTAVAIL)]
        self.failureResultOf(self.bind(1, 2), BadParameter)
        self.assertEqual(self.applied, ["127.0.0.1:1", ""])

    def test_libtorrent_is_silent(self) -> None:
        self.barrier = Deferred()
        bound = self.bind(1)
        self.assertNoResult(bound)
        self.barrier.errback(EngineTimeout("silent"))
        self.failureResultOf(bound, EngineTimeout)
