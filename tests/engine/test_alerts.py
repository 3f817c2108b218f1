"""The poller: drains the pipe first, dispatches by type, survives its handlers, writes to no stranger."""

import os
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from resttorrent.engine.alerts import AlertPoller

from .fakes import fake_session


class A: ...


class B: ...


class FakeReactor:
    def __init__(self) -> None:
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


class PollerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.session = fake_session()
        self.session.pop_alerts.return_value = []
        self.seen: list[Any] = []
        self.reactor = FakeReactor()
        handlers: Any = {A: self.seen.append}
        self.poller = AlertPoller(self.reactor, self.session, handlers)  # type: ignore[arg-type]
        self.closed = False
        self.addCleanup(self.close)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.poller.detach()
            self.poller.close()

    @property
    def write_end(self) -> int:
        return int(self.session.set_alert_fd.call_args_list[0].args[0])

    def test_interface(self) -> None:
        verifyObject(IReadDescriptor, self.poller)
        self.assertEqual(self.reactor.readers, {self.poller})

    def test_neither_end_blocks(self) -> None:
        self.assertFalse(os.get_blocking(self.write_end))
        self.assertFalse(os.get_blocking(self.poller.fileno()))

    def test_dispatch_by_type(self) -> None:
        a = A()
        self.session.pop_alerts.return_value = [B(), a]
        self.poller.doRead()
        self.assertEqual(self.seen, [a])

    def test_drains_before_it_pops(self) -> None:
        """A byte that comes during the pop must stay, or the alert behind it waits for ever."""
        os.write(self.write_end, b"x" * 10)

        def pop() -> list[Any]:
            os.write(self.write_end, b"y")
            return []

        self.session.pop_alerts.side_effect = pop
        self.poller.doRead()
        self.assertEqual(os.read(self.poller.fileno(), 100), b"y")

    def test_handler_that_fails(self) -> None:
        first, second = A(), A()
        self.session.pop_alerts.return_value = [first, second]
        calls: list[Any] = []

        def handler(alert: Any) -> None:
            calls.append(alert)
            raise ZeroDivisionError

        self.poller._handlers = {A: handler}  # type: ignore[dict-item]
        self.poller.doRead()
        self.assertEqual(calls, [first, second])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_detached(self) -> None:
        write_end = self.write_end
        self.poller.detach()
        self.session.set_alert_fd.assert_called_with(-1)
        self.assertEqual(self.reactor.readers, set())
        self.session.pop_alerts.reset_mock()
        self.poller.doRead()
        self.session.pop_alerts.assert_not_called()
        self.closed = True
        self.poller.close()
        self.assertRaises(OSError, os.fstat, write_end)
