"""Peers that download from the daemon, one after the other, and see that it is what it should be."""

import shutil
import threading
from contextlib import closing
from pathlib import Path

from tests.crash.ordeal import DOWN
from tests.crash.swarm import Payload, differing
from tests.harness import Client, RawPeer
from tests.soak.ground import Ground

PATIENCE = 60.0
"""Seconds in which a download that runs into no trouble is complete."""


class Leech:
    """
    A thread with one peer at a time.

    :param payload: what the daemon has, complete, in each of the sessions that stay.
    :ivar downloads: how many were complete.
    """

    def __init__(self, ground: Ground, payload: Payload, folder: Path) -> None:
        self._ground = ground
        self._payload = payload
        self._folder = folder
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.downloads = 0

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while not self._ending.wait(1):
            turn += 1
            if not self._ground.is_down:
                self._download(self._ground.sessions[turn % len(self._ground.sessions)])

    def _download(self, session: str) -> None:
        process = self._ground.daemon.process
        try:
            with closing(Client(self._ground.port)) as client:
                port = client.ok("GET", f"/v1/sessions/{session}")["port"]
        except Exception as error:
            if self._ground.daemon.process is process and not self._ground.weather.had(DOWN, float("inf")):
                self._ground.complain(f"leech: {error!r}")
            return
        peer = RawPeer(self._payload.torrent, self._folder)
        try:
            peer.connect(("127.0.0.1", port))
            waited = 0.0
            while not peer.is_seeding:
                if (
                    self._ending.wait(0.1)
                    or self._ground.is_down
                    or self._ground.daemon.process is not process
                ):
                    return
                waited += 0.1
                if waited > PATIENCE:
                    self._ground.complain(f"leech: nothing more in {PATIENCE:g} s")
                    return
        finally:
            peer.close()
            broken = peer_left(self._payload, self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)
        if broken:
            self._ground.complain(f"leech: {broken} are not what was seeded")
        self.downloads += 1


def peer_left(payload: Payload, folder: Path) -> list[Path]:
    """Files that are not what they should be."""
    return differing(payload.files_in(str(folder)))
