"""States, rows and how they are stored."""

import datetime
from types import SimpleNamespace
from typing import Any

import libtorrent as lt
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.fields import (
    FIELDS,
    NAMES,
    POSITION,
    STATES,
    Reading,
    initial_row,
    pack_row,
    read_row,
    state_of,
    unpack_row,
)

FACTS = SimpleNamespace(
    infohash="ab" * 20,
    infohash_v1="ab" * 20,
    infohash_v2=None,
    name="n",
    save_path="/d",
    content_path="/d/n",
    memory_only=False,
    storage_mode="sparse",
    added_time=5,
)
RUNNING, QUEUED, STOPPED = (
    0,
    int(lt.torrent_flags.paused) | int(lt.torrent_flags.auto_managed),
    int(lt.torrent_flags.paused),
)
AUTO = int(lt.torrent_flags.auto_managed)
S = lt.torrent_status


class Errc:
    def __init__(self, value: int, message: str = "") -> None:
        self._value, self._message = value, message

    def value(self) -> int:
        return self._value

    def message(self) -> str:
        return self._message


def status(**changes: Any) -> Any:
    """A torrent_status of a torrent that has metadata and downloads; the real class can't be filled in."""
    values: dict[str, Any] = dict.fromkeys(Reading._fields, 0)
    zero = datetime.timedelta()
    values.update(
        flags=AUTO, state=S.downloading, errc=Errc(0), error_file=-1, has_metadata=True, current_tracker="",
        active_duration=zero, finished_duration=zero, seeding_duration=zero, next_announce=zero,
        last_download=None, last_upload=None, num_complete=-1, num_incomplete=-1, queue_position=-1,
        download_limit=-1, upload_limit=-1, moving_storage=False, is_finished=False, is_seeding=False,
    )  # fmt: skip
    values.update(changes)
    return SimpleNamespace(**values)


def state(**changes: Any) -> str:
    return state_of(Reading(**vars(status(**changes))))


class StateTests(SynchronousTestCase):
    """The table of states, row by row; the first that fits wins."""

    def test_checking_resume_data(self) -> None:
        self.assertEqual(state(state=S.checking_resume_data), "checking_resume_data")

    def test_moving(self) -> None:
        self.assertEqual(state(moving_storage=True, errc=Errc(5)), "moving")

    def test_missing_files(self) -> None:
        self.assertEqual(state(errc=Errc(2), flags=STOPPED), "missing_files")

    def test_error(self) -> None:
        self.assertEqual(state(errc=Errc(28), flags=QUEUED), "error")

    def test_without_metadata(self) -> None:
        for flags, word in ((STOPPED, "stopped"), (QUEUED, "queued"), (AUTO, "downloading_metadata")):
            self.assertEqual(state(has_metadata=False, state=S.downloading_metadata, flags=flags), word)

    def test_checking(self) -> None:
        self.assertEqual(state(state=S.checking_files), "checking")
        self.assertEqual(state(state=S.checking_files, flags=STOPPED), "stopped")

    def test_done(self) -> None:
        done = {"is_finished": True, "is_seeding": True, "state": S.seeding}
        self.assertEqual(state(**done, flags=STOPPED), "stopped")
        self.assertEqual(state(**done, flags=QUEUED), "queued")
        self.assertEqual(state(**done), "seeding")
        self.assertEqual(state(**{**done, "is_seeding": False, "state": S.finished}), "finished")

    def test_downloading(self) -> None:
        self.assertEqual(state(), "downloading")
        self.assertEqual(state(flags=QUEUED), "queued")
        self.assertEqual(state(flags=STOPPED), "stopped")
        self.assertEqual(state(flags=RUNNING), "downloading")


class RowTests(SynchronousTestCase):
    def row(self, **changes: Any) -> dict[str, Any]:
        return dict(zip(NAMES, read_row(status(**changes), FACTS, 1000.0), strict=True))

    def test_what_is_not_known_is_none(self) -> None:
        row = self.row()
        unknown = {name for name, value in row.items() if value is None} - {"infohash_v2"}
        self.assertEqual(
            unknown,
            {"ratio", "eta", "num_complete", "num_incomplete", "completed_time", "last_activity"}
            | {"queue_position", "current_tracker", "next_announce", "error", "error_file"},
        )

    def test_units(self) -> None:
        row = self.row(
            progress_ppm=123_456,
            active_duration=datetime.timedelta(seconds=90, milliseconds=700),
            next_announce=datetime.timedelta(seconds=30),
            last_upload=datetime.datetime.fromtimestamp(400),
            download_limit=5,
        )
        self.assertEqual(row["progress"], 0.123456)
        self.assertEqual(
            (row["active_duration"], row["next_announce"], row["last_activity"]), (90, 1030, 400)
        )
        self.assertEqual((row["download_limit"], row["upload_limit"]), (5, 0))

    def test_eta_rounds_up_and_wants_a_rate(self) -> None:
        left = {"total_wanted": 1001, "total_wanted_done": 1}
        self.assertEqual(self.row(**left, download_payload_rate=300)["eta"], 4)
        self.assertEqual(self.row(**left)["total_left"], 1000)
        self.assertIsNone(self.row(**left, download_payload_rate=300, flags=STOPPED)["eta"])

    def test_ratio(self) -> None:
        self.assertEqual(self.row(all_time_upload=50, all_time_download=200)["ratio"], 0.25)
        self.assertEqual(self.row(all_time_upload=50, total_done=100)["ratio"], 0.5)

    def test_booleans(self) -> None:
        self.assertTrue(self.row()["stalled"])
        self.assertFalse(self.row(download_payload_rate=1)["stalled"])
        self.assertTrue(self.row(flags=RUNNING)["forced"])
        self.assertFalse(self.row(flags=STOPPED)["forced"])
        self.assertTrue(self.row(flags=int(lt.torrent_flags.sequential_download))["sequential_download"])

    def test_names_are_unique_and_states_closed(self) -> None:
        self.assertEqual(len(set(NAMES)), len(FIELDS))
        self.assertIn(self.row()["state"], STATES)

    def test_stored_row_comes_back_at_rest(self) -> None:
        row = read_row(status(download_payload_rate=9, num_peers=3, progress_ppm=500_000), FACTS, 1000.0)
        back = unpack_row(pack_row(row))
        assert back is not None
        found = dict(zip(NAMES, back, strict=True))
        self.assertEqual((found["state"], found["download_payload_rate"]), ("checking_resume_data", 0))
        self.assertEqual((found["num_peers"], found["progress"], found["name"]), (0, 0.5, "n"))

    def test_row_of_another_version(self) -> None:
        import msgspec

        self.assertIsNone(unpack_row(msgspec.msgpack.encode((1, [1, 2]))))
        self.assertIsNone(unpack_row(None))

    def test_initial_row(self) -> None:
        row = initial_row(FACTS, total=7)
        self.assertEqual((row[POSITION["total"]], row[POSITION["name"]]), (7, "n"))
        self.assertEqual(row[POSITION["state"]], "checking_resume_data")
