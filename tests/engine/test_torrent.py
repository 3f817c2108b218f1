"""What a torrent gives libtorrent, and tells it."""

import libtorrent as lt
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.torrent import Torrent, not_gone
from resttorrent.errors import TorrentNotFound
from tests.harness import tiny_torrent

from .fakes import fake_handle, gone, torrent

PAUSED, AUTO = int(lt.torrent_flags.paused), int(lt.torrent_flags.auto_managed)


class TorrentTests(SynchronousTestCase):
    def configured(self, **changes: object) -> lt.add_torrent_params:
        params = lt.load_torrent_buffer(tiny_torrent(1))
        params.trackers = ["http://127.0.0.1/announce"]
        made = torrent(**changes)  # type: ignore[arg-type]
        made.configure(params)
        self.assertTrue(made.has_trackers)
        return params

    def test_flags(self) -> None:
        flags = int(self.configured(stopped=True).flags)
        self.assertEqual((flags & PAUSED, flags & AUTO), (PAUSED, 0))
        flags = int(self.configured(stopped=False).flags)
        self.assertEqual((flags & PAUSED, flags & AUTO), (0, AUTO))
        for needed in (lt.torrent_flags.duplicate_is_error, lt.torrent_flags.update_subscribe):
            self.assertTrue(flags & int(needed))

    def test_storage_mode(self) -> None:
        self.assertEqual(
            self.configured(storage_mode="allocate").storage_mode, lt.storage_mode_t.storage_mode_allocate
        )
        self.assertEqual(self.configured().storage_mode, lt.storage_mode_t.storage_mode_sparse)

    def test_record_and_back(self) -> None:
        made = torrent(storage_mode="allocate", stopped=False, magnet="magnet:?x", done=True)
        record = made.record("s", b"row")
        back = Torrent.from_record(record)
        self.assertEqual(back.record("s", b"row"), record)
        self.assertIsNone(back.handle)

    def test_content_path_of_a_stored_row(self) -> None:
        made = torrent(save_path="/d/e")
        for path, top in ((None, None), ("/elsewhere/x", None), ("/d/e/x", "x")):
            made.take_content_path(path)
            self.assertEqual(made.top, top)
        self.assertEqual(made.content_path, "/d/e/x")

    def test_content_path_in_the_root_folder(self) -> None:
        made = torrent(save_path="/")
        made.take_content_path("/x")
        self.assertEqual((made.top, made.content_path), ("x", "/x"))

    def test_files_that_may_be_back_are_looked_for(self) -> None:
        made = torrent(stopped=False)
        made.handle = handle = fake_handle()
        made.apply_stopped()
        handle.force_recheck.assert_not_called()
        made.files_missing = True
        made.apply_stopped()
        handle.force_recheck.assert_called_once_with()
        self.assertFalse(made.files_missing)

    def test_gone(self) -> None:
        made = torrent()
        self.assertRaises(TorrentNotFound, made.apply_stopped)
        made.handle = fake_handle()
        gone(made.handle)
        with self.assertRaises(TorrentNotFound), not_gone(made):
            made.apply_stopped()
        with self.assertRaises(RuntimeError), not_gone(made):
            raise RuntimeError("another [system:5]")
