"""What happens by itself: one look for many alerts, saving what matters, one bad row alone."""

from types import SimpleNamespace
from typing import Any

import libtorrent as lt
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine import upkeep
from resttorrent.engine.catalogue import Catalogue
from resttorrent.engine.eventlog import EventLog
from resttorrent.engine.fields import initial_row
from resttorrent.engine.pace import Pace
from resttorrent.engine.parts import Parts
from resttorrent.engine.table import StatusTable
from resttorrent.engine.upkeep import SAVE_INTERVAL, Upkeep
from resttorrent.errors import PathOutsideRoots, StateDiskFull
from resttorrent.store.revisions import Revisions
from resttorrent.turns import TurnMeter

from .fakes import error_code, fake_handle, torrent


class FakeStore:
    def __init__(self) -> None:
        self.info_saved: list[Any] = []
        self.answers: list[Deferred[None]] = []
        self.stopped: list[Any] = []

    def save_info(self, *args: Any) -> "Deferred[None]":
        self.info_saved.append(args)
        self.answers.append(Deferred())
        return self.answers[-1]

    def set_stopped(self, *args: Any) -> "Deferred[None]":
        self.stopped.append(args)
        return succeed(None)


class FakeLink:
    def __init__(self) -> None:
        self.posted = 0

    def post_updates(self) -> None:
        self.posted += 1


class FakeConfinement:
    error: Exception | None = None

    async def check(self, save_path: str, info: Any) -> None:
        if self.error is not None:
            raise self.error


class UpkeepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.store, self.link = Clock(), FakeStore(), FakeLink()
        self.confinement = FakeConfinement()
        self.table, self.torrents = StatusTable(Revisions(1, 0)), Catalogue()
        self.log = EventLog(self.clock, lambda: 0.0)
        shared: Any = SimpleNamespace(
            reactor=self.clock,
            store=self.store,
            pace=Pace(self.clock, TurnMeter(lambda: 0.0)),
            now=lambda: 0.0,
            log=self.log,
        )
        parts: Any = (self.link, self.confinement, self.table, self.torrents)
        self.upkeep = Upkeep(Parts("s", shared, *parts))
        # a status is a torrent and its state here
        self.patch(upkeep, "read_row", lambda status, made, now: initial_row(made, **status.values))
        self.made = torrent(stopped=False, done=True)
        self.torrents.add(self.made)
        self.torrents.loaded(self.made, fake_handle())
        self.table.put(self.made.infohash, initial_row(self.made))

    def hear(self, kind: Any, **values: Any) -> None:
        alert = SimpleNamespace(**({"handle": self.made.handle} | values))
        self.upkeep.handlers[kind](alert)

    def status(self, **values: Any) -> Any:
        return SimpleNamespace(handle=self.made.handle, values=values)

    def answer(self, *statuses: Any) -> None:
        self.hear(lt.state_update_alert, status=list(statuses))

    def saves(self) -> int:
        return int(self.made.live.save_resume_data.call_count)  # type: ignore[attr-defined]

    def test_one_look_for_many_alerts(self) -> None:
        for kind in (lt.state_changed_alert, lt.torrent_resumed_alert, lt.torrent_checked_alert):
            self.hear(kind)
        self.assertEqual(self.link.posted, 0)
        self.clock.advance(0)
        self.assertEqual(self.link.posted, 1)

    def test_saved_when_the_table_shows_it(self) -> None:
        self.hear(lt.torrent_finished_alert)
        self.clock.advance(0)
        self.assertEqual(self.saves(), 0)
        self.answer(self.status(complete=True))
        self.assertEqual(self.saves(), 1)

    def test_removed_before_it_is_shown(self) -> None:
        self.hear(lt.torrent_finished_alert)
        self.clock.advance(0)
        self.torrents.remove(self.made)
        self.table.remove(self.made.infohash)
        self.answer(self.status(complete=True))
        self.assertEqual(self.saves(), 0)
        self.assertNotIn(self.made.infohash, self.table)

    def test_row_that_can_not_be_read(self) -> None:
        """The others are seen, and the next answer too."""

        def read(status: Any, made: Any, now: float) -> Any:
            if status.values.get("bad"):
                raise OverflowError
            return initial_row(made, **status.values)

        self.patch(upkeep, "read_row", read)
        asked = self.upkeep.refresher.recent()
        self.answer(self.status(bad=True), self.status(total=7))
        self.successResultOf(asked)
        self.assertEqual(self.table.value(self.made.infohash, "total"), 7)
        self.assertEqual(len(self.flushLoggedErrors(OverflowError)), 1)
        asked = self.upkeep.refresher.recent()
        self.answer()
        self.successResultOf(asked)

    def test_once_a_minute(self) -> None:
        self.upkeep.start()
        for _ in range(2):
            self.table.put(self.made.infohash, initial_row(self.made, total=self.table.rev))
            self.clock.advance(SAVE_INTERVAL)
            self.answer()
        self.assertEqual(self.saves(), 1, "one question at a time")
        self.hear(lt.save_resume_data_failed_alert)
        self.assertEqual(self.saves(), 2)
        self.upkeep.stop()
        self.upkeep.refresher.stop(StateDiskFull("end"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_before_it_was_started(self) -> None:
        self.upkeep.stop()
        self.upkeep.start()
        self.hear(lt.state_changed_alert)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    # -- the event log ---------------------------------------------------

    def logged(self) -> list[tuple[str, str, str]]:
        return [(e.level, e.event, e.message) for e in self.log.newest(100).entries]

    def test_errors_are_logged(self) -> None:
        self.made.name = "a"
        self.hear(lt.file_error_alert, error=error_code(28, "disk full"), filename=lambda: "/d/f")
        self.hear(lt.torrent_error_alert, error=error_code(28, "disk full"))
        self.hear(lt.torrent_error_alert, error=error_code(5, "other"))
        self.assertEqual(
            self.logged(),
            [("error", "file_error", "a: disk full: /d/f"), ("error", "torrent_error", "a: other")],
        )
        (entry, _) = self.log.newest(100).entries
        self.assertEqual((entry.session_id, entry.infohash), ("s", self.made.infohash))
        self.clock.advance(0)
        self.assertEqual(self.link.posted, 1)

    # -- files that can't be written -------------------------------------

    def fail_to_write(self) -> Any:
        """What libtorrent's handle is then."""
        self.hear(lt.file_error_alert, error=error_code(28, "disk full"), filename=lambda: "/d/f")
        return self.made.live

    def held_up(self, **values: Any) -> Any:
        """A status of a torrent that downloads no more."""
        held = self.status(**values)
        held.flags = lt.torrent_flags.upload_mode
        return held

    def test_unwritten_pieces_do_not_count(self) -> None:
        self.made.done = False
        handle = self.fail_to_write()
        self.answer(self.held_up(complete=True))
        row = [self.table.value(self.made.infohash, name) for name in ("state", "complete")]
        self.assertEqual(row, ["error", False])
        self.hear(lt.torrent_finished_alert)
        self.clock.advance(1)
        self.answer(self.held_up(complete=True))
        self.assertEqual((self.saves(), handle.force_recheck.call_count), (0, 0))

    def test_checked_when_it_is_resumed(self) -> None:
        self.made.done = False
        handle = self.fail_to_write()
        self.made.apply_stopped()
        handle.force_recheck.assert_called_once_with()

    def test_checked_when_libtorrent_tries_again(self) -> None:
        self.made.done = False
        handle = self.fail_to_write()
        for _ in range(2):
            tries = self.status()
            tries.flags = 0
            self.answer(tries)
        handle.force_recheck.assert_called_once_with()

    def test_complete_torrent_is_not_checked(self) -> None:
        """A file that can't be read says nothing against what was written."""
        handle = self.fail_to_write()
        self.made.apply_stopped()
        handle.force_recheck.assert_not_called()

    def test_finished_is_logged_once(self) -> None:
        """libtorrent says it again of torrents that were complete when they were loaded or are checked."""
        self.hear(lt.torrent_finished_alert)
        self.assertEqual(self.logged(), [], "complete when it was saved")
        self.made.finished = False
        for state in ("checking", "seeding", "stopped"):
            self.hear(lt.torrent_finished_alert)
            self.answer(self.status(state=state))
            self.assertEqual([event for _, event, _ in self.logged()], ["torrent_finished"])

    def test_finished_again_is_logged_again(self) -> None:
        """What was complete was not, after all, and is downloaded anew."""
        self.answer(self.status(state="downloading"))
        self.hear(lt.torrent_finished_alert)
        self.assertEqual(len(self.logged()), 1)

    def test_what_was_removed_is_not_logged(self) -> None:
        self.made.finished = False
        self.torrents.remove(self.made)
        self.hear(lt.torrent_finished_alert)
        self.hear(lt.torrent_error_alert, error=error_code(28))
        self.hear(lt.file_error_alert, error=error_code(28), filename=lambda: "/d/f")
        self.assertEqual(self.logged(), [])

    # -- metadata --------------------------------------------------------

    def learn(self) -> None:
        info: Any = SimpleNamespace(
            is_valid=lambda: True,
            num_files=lambda: 1,
            num_pieces=lambda: 1,
            name=lambda: "name",
            layout=lambda: SimpleNamespace(file_path=lambda index: "name"),
            info_section=lambda: b"info",
            info_hashes=lambda: lt.info_hash_t(lt.sha1_hash(bytes.fromhex(self.made.infohash))),
        )
        self.made.live.torrent_file.return_value = info  # type: ignore[attr-defined]
        self.hear(lt.metadata_received_alert)

    def test_metadata_is_stored(self) -> None:
        self.learn()
        self.assertEqual(
            self.store.info_saved, [("s", self.made.infohash, b"info", self.made.infohash, None)]
        )
        self.assertEqual((self.made.name, self.made.content_path), ("name", "/d/name"))
        self.assertEqual([event for _, event, _ in self.logged()], ["metadata_received"])

    def test_metadata_that_was_not_stored(self) -> None:
        """It is tried again with the next minute."""
        self.upkeep.start()
        self.learn()
        self.store.answers[0].errback(StateDiskFull("full"))
        self.clock.advance(SAVE_INTERVAL)
        self.assertEqual(len(self.store.info_saved), 2)
        self.store.answers[1].callback(None)
        self.answer()
        self.clock.advance(SAVE_INTERVAL)
        self.assertEqual(len(self.store.info_saved), 2)

    def test_metadata_is_tried_again_before_resume_data(self) -> None:
        """A download that is stored as complete is worth nothing without it."""
        self.learn()
        self.store.answers[0].errback(StateDiskFull("full"))
        self.hear(lt.torrent_finished_alert)
        self.clock.advance(1)
        self.assertEqual(len(self.store.info_saved), 1)
        self.answer(self.status(complete=True))
        self.assertEqual((len(self.store.info_saved), self.saves()), (2, 1))

    def test_metadata_is_tried_again_at_the_end(self) -> None:
        self.learn()
        self.store.answers[0].errback(StateDiskFull("full"))
        for refused, number in ((True, 1), (False, 2)):
            tried = self.upkeep.save_unstored()
            self.assertNoResult(tried)
            if refused:
                self.store.answers[number].errback(StateDiskFull("full"))
            else:
                self.store.answers[number].callback(None)
            self.successResultOf(tried)
            self.assertEqual(self.upkeep.all_stored, not refused)

    def test_metadata_that_leads_out_of_the_roots(self) -> None:
        self.confinement.error = PathOutsideRoots("out")
        self.learn()
        self.assertTrue(self.made.stopped)
        self.made.live.pause.assert_called_once_with()  # type: ignore[attr-defined]
        self.assertEqual(self.store.stopped, [("s", self.made.infohash, True, None)])
        self.assertEqual(self.logged()[-1], ("error", "torrent_stopped", "name: stopped: out"))

    # -- files that are missing ------------------------------------------

    def test_complete_torrent_is_held(self) -> None:
        self.hear(lt.fastresume_rejected_alert)
        self.made.live.pause.assert_called_once_with()  # type: ignore[attr-defined]
        self.assertEqual([event for _, event, _ in self.logged()], ["torrent_error"])
        self.answer(self.status(state="stopped"))
        self.assertEqual(self.table.value(self.made.infohash, "state"), "missing_files")
        self.made.apply_stopped()
        self.answer(self.status(state="checking"))
        self.assertEqual(self.table.value(self.made.infohash, "state"), "checking")

    def test_others_are_checked(self) -> None:
        for done, stopped in ((False, False), (True, True)):
            self.made.done, self.made.stopped = done, stopped
            self.hear(lt.fastresume_rejected_alert)
            self.assertFalse(self.made.files_missing)
        self.made.live.pause.assert_not_called()  # type: ignore[attr-defined]
