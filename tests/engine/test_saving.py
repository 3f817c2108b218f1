"""Resume data: a few at a time, once for each torrent, and nothing is lost when an answer or a write is."""

from types import SimpleNamespace
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.catalogue import Catalogue
from resttorrent.engine.fields import initial_row
from resttorrent.engine.saving import WINDOW, ResumeSaver
from resttorrent.engine.table import StatusTable
from resttorrent.engine.torrent import Torrent
from resttorrent.errors import StateDiskFull
from resttorrent.store.revisions import Revisions

from .fakes import fake_handle, gone, torrent

ONLY_IF_MODIFIED = int(lt.save_resume_flags_t.only_if_modified)


class FakeStore:
    def __init__(self) -> None:
        self.saved: list[tuple[Any, ...]] = []
        self.answers: list[Deferred[None]] = []

    def save_resume(self, *args: Any) -> "Deferred[None]":
        self.saved.append(args)
        self.answers.append(Deferred())
        return self.answers[-1]


class SaverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(lt, "write_resume_data_buf", lambda params: params)
        self.store = FakeStore()
        self.table = StatusTable(Revisions(1, 0))
        self.torrents = Catalogue()
        self.saver = ResumeSaver("s", self.store, self.table, self.torrents.of_handle)  # type: ignore[arg-type]

    def loaded(self, number: int = 1, **changes: Any) -> Torrent:
        made = torrent(number, done=True, **changes)
        self.torrents.add(made)
        self.torrents.loaded(made, fake_handle())
        self.table.put(made.infohash, initial_row(made))
        return made

    def asked(self, made: Torrent) -> int:
        return int(made.live.save_resume_data.call_count)  # type: ignore[attr-defined]

    def give(self, made: Torrent, data: bytes = b"resume") -> None:
        alert: Any = SimpleNamespace(handle=made.handle, params=data)
        self.saver.handlers[lt.save_resume_data_alert](alert)

    def refuse(self, made: Torrent) -> None:
        self.saver.handlers[lt.save_resume_data_failed_alert](SimpleNamespace(handle=made.handle))

    def test_saved(self) -> None:
        made = self.loaded()
        self.saver.want(made)
        idle = self.saver.idle()
        self.give(made)
        self.assertNoResult(idle)
        self.assertEqual(self.store.saved[0][:3], ("s", made.infohash, b"resume"))
        self.store.answers[0].callback(None)
        self.successResultOf(idle)
        self.assertTrue(self.saver.all_stored)

    def test_not_modified(self) -> None:
        made = self.loaded()
        self.saver.want(made, only_if_modified=True)
        made.live.save_resume_data.assert_called_once_with(ONLY_IF_MODIFIED)  # type: ignore[attr-defined]
        idle = self.saver.idle()
        self.refuse(made)
        self.successResultOf(idle)
        self.assertEqual(self.store.saved, [])

    def complete(self) -> Torrent:
        """A torrent that was just finished; it is to be saved."""
        made = self.loaded()
        made.done = False
        self.table.put(made.infohash, initial_row(made, complete=True))
        self.saver.want(made)
        return made

    def flushed(self, made: Torrent) -> None:
        self.saver.handlers[lt.cache_flushed_alert](SimpleNamespace(handle=made.handle))

    def test_complete_when_all_is_written(self) -> None:
        made = self.complete()
        self.assertEqual(self.asked(made), 0)
        self.flushed(made)
        self.flushed(made)
        self.assertEqual(self.asked(made), 1)
        self.give(made)
        self.assertTrue(made.done)
        self.saver.want(made)
        self.assertEqual(self.asked(made), 2, "which is not waited for again")

    def test_complete_but_not_written(self) -> None:
        """libtorrent believes to have what it could not write."""
        made = self.complete()
        made.unwritable = "disk full"
        idle = self.saver.idle()
        self.flushed(made)
        self.successResultOf(idle)
        self.assertEqual((self.asked(made), self.store.saved, made.done), (0, [], False))

    def test_not_written_after_it_was_asked(self) -> None:
        made = self.complete()
        self.flushed(made)
        made.unwritable = "disk full"
        self.give(made)
        self.assertEqual((self.store.saved, made.done), ([], False))

    def test_window(self) -> None:
        many = [self.loaded(number) for number in range(WINDOW + 5)]
        for made in many:
            self.saver.want(made)
        self.assertEqual(sum(self.asked(made) for made in many), WINDOW)
        idle = self.saver.idle()
        for made in many:
            self.refuse(made)
        self.assertEqual([self.asked(made) for made in many], [1] * len(many))
        self.successResultOf(idle)

    def test_wanted_again_while_it_is_asked(self) -> None:
        """Asked once more, after the answer, so that what changed in between is saved too."""
        made = self.loaded()
        self.saver.want(made)
        self.saver.want(made, only_if_modified=True)
        self.saver.want(made)
        self.assertEqual(self.asked(made), 1)
        idle = self.saver.idle()
        self.refuse(made)
        self.assertNoResult(idle)
        self.assertEqual(self.asked(made), 2)
        made.live.save_resume_data.assert_called_with(0)  # type: ignore[attr-defined]
        self.refuse(made)
        self.successResultOf(idle)

    def test_answer_that_nobody_asked_for(self) -> None:
        """It is stored, and counts for nobody else's."""
        first, second = self.loaded(1), self.loaded(2)
        self.saver.want(first)
        idle = self.saver.idle()
        self.refuse(second)
        self.refuse(second)
        self.assertNoResult(idle)
        self.give(second)
        self.store.answers[0].callback(None)
        self.assertNoResult(idle)
        self.refuse(first)
        self.successResultOf(idle)

    def test_answers_that_are_lost(self) -> None:
        made = self.loaded()
        self.saver.want(made, only_if_modified=True)
        idle = self.saver.idle()
        self.saver.ask_again()
        self.assertEqual(self.asked(made), 2)
        # for libtorrent gave it, and would say that nothing changed since
        made.live.save_resume_data.assert_called_with(0)  # type: ignore[attr-defined]
        self.give(made)
        self.store.answers[0].callback(None)
        self.successResultOf(idle)

    def test_store_fails(self) -> None:
        made = self.loaded()
        self.saver.want(made)
        idle = self.saver.idle()
        self.give(made)
        self.store.answers[0].errback(StateDiskFull("full"))
        self.successResultOf(idle)
        self.assertFalse(self.saver.all_stored)
        self.saver.retry()
        self.assertEqual(self.asked(made), 2)
        self.give(made)
        self.store.answers[1].callback(None)
        self.assertTrue(self.saver.all_stored)

    def test_torrent_is_gone(self) -> None:
        removed, unloaded = self.loaded(1), torrent(2, done=True)
        gone(removed.handle)
        self.saver.want(removed)
        self.saver.want(unloaded)
        self.successResultOf(self.saver.idle())

    def test_what_is_not_to_be_saved(self) -> None:
        fleeting, missing = self.loaded(1, memory_only=True), self.loaded(2)
        missing.files_missing = True
        self.saver.want(fleeting)
        self.saver.want(missing)
        self.assertEqual((self.asked(fleeting), self.asked(missing)), (0, 0))
