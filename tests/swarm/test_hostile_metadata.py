"""Magnets whose peers have metadata that no .torrent file may have."""

from pathlib import Path
from typing import Any

import libtorrent as lt

from resttorrent.engine.metainfo import MAX_FILES, MAX_PIECES

from ..engine import hostile
from ..harness import RawPeer, contents, until
from .case import SwarmCase


class HostileMetadataTests(SwarmCase):
    """Real peers on loopback have it, and nothing else."""

    def refused(self, session: str, torrent: bytes) -> Any:
        """The row of a magnet that is refused once its metadata has come."""
        peer = RawPeer(torrent, Path(self.mktemp()).absolute())
        self.addCleanup(peer.close)
        info = lt.load_torrent_buffer(torrent).ti
        assert info is not None
        infohash = self.add_magnet(session, f"{lt.make_magnet_uri(info)}&x.pe={peer.address}")
        return self.until_state(session, infohash, "error")

    def test_refused(self) -> None:
        self.start_daemon()
        session = self.client.session(memory_only=0)
        many = self.refused(session, hostile.many_files(MAX_FILES + 1))
        self.assertIn(f"{MAX_FILES} files at most", many["error"])
        # libtorrent's own
        self.assertIn("invalid metadata", self.refused(session, hostile.many_pieces(MAX_PIECES + 1))["error"])
        self.assertEqual(contents(self.daemon.root / "dl"), {})
        # it may be tried again, with the same end; others are not concerned
        self.assertEqual(self.pause(session, many["infohash"], 0).status, 200)
        until(lambda: self.row(session, many["infohash"])["state"] == "error", "the second refusal")
        payload = self.payload()
        self.until_state(session, self.add_magnet(session, self.seed(payload).magnet, "fine"), "seeding")
        self.restart(kill=True)
        self.until_state(session, many["infohash"], "stopped")
        self.assertEqual(self.remove(session, many["infohash"], delete_files=1).status, 200)
