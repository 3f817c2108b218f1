"""Questions to one libtorrent session and their answers, with a session that is a stand-in."""

from types import SimpleNamespace
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.link import ADD_TIMEOUT, REMOVE_TIMEOUT, WORKER_TIMEOUT, Link
from resttorrent.engine.web_seeds import WebSeeds
from resttorrent.errors import EngineError, EngineTimeout, Stopping, TorrentExists
from tests.harness import tiny_torrent

from .fakes import error_code, fake_handle, fake_session


class InlineWorker:
    """A worker whose calls return at once, and which ends when it is told to."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def call(self, function: Any, *args: Any) -> "Deferred[Any]":
        answer: Deferred[Any] = Deferred()
        answer.callback(function(*args))
        return answer

    def stop(self) -> "Deferred[None]":
        return self.ended


class FakePoller:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def detach(self) -> None:
        self.calls.append("detach")

    def close(self) -> None:
        self.calls.append("close")


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dropped = 0
        self.link = Link(
            self.clock, "test", discovery=False, loopback=True, dropped=self.drop, web_seeds=WebSeeds()
        )
        self.session: Any = fake_session()
        self.worker, self.poller = InlineWorker(), FakePoller()
        self.link._session, self.link._poller = self.session, self.poller  # type: ignore[assignment]
        self.link.worker = self.worker  # type: ignore[assignment]
        self.params = lt.load_torrent_buffer(tiny_torrent(1))

    def drop(self) -> None:
        self.dropped += 1

    def added(self, handle: Any, error: int = 0) -> None:
        alert: Any = SimpleNamespace(params=self.params, handle=handle, error=error_code(error))
        self.link._on_added(alert)

    def remove(self, handle: Any) -> "Deferred[None]":
        return Deferred.fromCoroutine(self.link.remove(handle))

    def hear(self, handle: Any, *words: str) -> None:
        alert: Any = SimpleNamespace(handle=handle)
        handlers: Any = {"removed": self.link._on_removed, "closed": self.link._on_closed}
        for word in words:
            handlers[word](alert)

    def close(self, grace: float = 0.0) -> "Deferred[None]":
        return Deferred.fromCoroutine(self.link.close(Stopping("end"), grace=grace))

    # -- adding ----------------------------------------------------------

    def test_add(self) -> None:
        handle = fake_handle()
        added = self.link.add(self.params)
        self.assertRaises(TorrentExists, self.link.add, self.params)
        self.added(handle)
        self.assertIs(self.successResultOf(added), handle)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_web_seeds_that_nobody_may_bring(self) -> None:
        self.params.url_seeds = ["http://192.168.0.1/reboot", "http://seed.example/"]
        self.link.add(self.params)
        (given,) = self.session.async_add_torrent.call_args.args
        self.assertEqual(given.url_seeds, ["http://seed.example/"])

    def test_add_refused(self) -> None:
        for number, kind in ((19, TorrentExists), (5, EngineError)):
            added = self.link.add(self.params)
            self.added(fake_handle(), number)
            self.failureResultOf(added, kind)

    def test_add_refused_at_once(self) -> None:
        for error in (RuntimeError("no [libtorrent:1]"), ValueError("no save path")):
            self.session.async_add_torrent.side_effect = error
            self.failureResultOf(self.link.add(self.params), EngineError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_added_too_late(self) -> None:
        """Its asker heard that it failed: libtorrent must not keep it. It can be added again."""
        handle = fake_handle()
        added = self.link.add(self.params)
        self.clock.advance(ADD_TIMEOUT)
        self.failureResultOf(added, EngineTimeout)
        self.added(handle)
        self.session.remove_torrent.assert_called_once_with(handle)
        added = self.link.add(self.params)
        self.added(handle)
        self.assertIs(self.successResultOf(added), handle)
        self.session.remove_torrent.assert_called_once()

    def test_answered_twice(self) -> None:
        """Once from the list after a loss of alerts, once by the alert that was not lost after all."""
        handle = fake_handle()
        handle.info_hashes.return_value = self.params.info_hashes
        self.session.get_torrents.return_value = [handle]
        added = self.link.add(self.params)
        self.link._on_dropped(None)  # type: ignore[arg-type]
        self.assertIs(self.successResultOf(added), handle)
        self.added(handle)
        self.session.remove_torrent.assert_not_called()
        self.assertEqual(self.dropped, 1)

    # -- removing --------------------------------------------------------

    def test_remove(self) -> None:
        for words in (("removed", "closed"), ("closed", "removed")):
            handle = fake_handle()
            removal = self.remove(handle)
            self.hear(handle, words[0])
            self.assertNoResult(removal)
            self.hear(handle, words[1])
            self.successResultOf(removal)
        self.assertEqual((self.clock.getDelayedCalls(), self.link._unheard), ([], {}))

    def test_remove_times_out(self) -> None:
        handle = fake_handle()
        removal = self.remove(handle)
        self.hear(handle, "removed")
        self.clock.advance(REMOVE_TIMEOUT)
        self.failureResultOf(removal, EngineTimeout)
        self.hear(handle, "closed")
        self.assertEqual((self.clock.getDelayedCalls(), self.link._unheard), ([], {}))

    def test_remove_refused(self) -> None:
        self.session.remove_torrent.side_effect = RuntimeError("invalid torrent handle used [libtorrent:20]")
        self.failureResultOf(self.remove(fake_handle()), EngineError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_removal_is_heard_of_by_its_absence(self) -> None:
        there, gone = fake_handle(), fake_handle()
        gone.is_valid.return_value = False
        self.session.get_torrents.return_value = []
        removals = [self.remove(there), self.remove(gone)]
        self.link._on_dropped(None)  # type: ignore[arg-type]
        self.assertNoResult(removals[0])
        self.successResultOf(removals[1])
        self.hear(there, "removed", "closed")
        self.successResultOf(removals[0])

    # -- barriers --------------------------------------------------------

    def test_barriers_in_order(self) -> None:
        first, second = self.link.barrier(), self.link.barrier()
        self.link._on_barrier(None)  # type: ignore[arg-type]
        self.successResultOf(first)
        self.assertNoResult(second)
        self.link._on_barrier(None)  # type: ignore[arg-type]
        self.successResultOf(second)

    def test_lost_answer_does_not_delay_the_next_ones(self) -> None:
        lost = self.link.barrier()
        self.clock.advance(ADD_TIMEOUT)
        self.failureResultOf(lost, EngineTimeout)
        later = self.link.barrier()
        self.link._on_barrier(None)  # type: ignore[arg-type]
        self.successResultOf(later)

    # -- closing ---------------------------------------------------------

    def test_close_in_a_later_turn(self) -> None:
        """Never inside the handler of an alert, which would die with the session."""
        added, barrier = self.link.add(self.params), self.link.barrier()
        closed = self.close()
        self.failureResultOf(added, Stopping)
        self.failureResultOf(barrier, Stopping)
        self.assertTrue(self.link.is_open)
        self.worker.ended.callback(None)
        self.clock.advance(0)
        self.successResultOf(closed)
        self.assertFalse(self.link.is_open)
        self.assertEqual(self.poller.calls, ["detach", "close"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertRaises(Stopping, self.link.barrier)
        self.assertRaises(Stopping, self.link.add, self.params)
        self.failureResultOf(self.remove(fake_handle()), Stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_waits_for_announces_and_the_worker(self) -> None:
        closed = self.close(2.5)
        self.worker.ended.callback(None)
        self.clock.advance(2.4)
        self.assertTrue(self.link.is_open)
        self.clock.advance(0.2)
        self.successResultOf(closed)

    def test_worker_that_does_not_end(self) -> None:
        """The session is left alone: destroying it could freeze the reactor for ever."""
        closed = self.close()
        self.clock.advance(0)
        self.clock.advance(WORKER_TIMEOUT)
        self.failureResultOf(closed, EngineTimeout)
        self.assertTrue(self.link.is_open)
        self.assertEqual(self.poller.calls, [])
