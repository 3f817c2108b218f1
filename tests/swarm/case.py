"""What the swarm tests share: a daemon for each test, torrents with their payload, waiting for states."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.database import DATABASE_NAME

from ..harness import Client, Daemon, Response, Seed, contents, make_torrent, until, write_files

KINDS = ("v1", "v2", "hybrid")

NESTED: Mapping[str, int] = {
    "large.bin": 300_000,
    "nested/deeper/still.bin": 70_000,
    "nested/empty": 0,
    "nested/öüñ 日本 \U0001f600.txt": 50,
    "nested/e\u0301 decomposed": 17_000,
    "% & + #.bin": 20_000,
}
"""Many files (sizes in bytes): folders in folders, an empty file, names that want care."""


class Payload:
    """
    A torrent of what lies at ``content``, a file or folder.

    :ivar folder: where that lies; :ivar files: SHA-256 of each file in it, by path below ``folder``.
    """

    def __init__(self, content: Path, *, kind: str = "v1", tracker: str = "") -> None:
        self.folder = content.parent
        self.content = content
        self.torrent = make_torrent(content, kind, tracker=tracker)
        self.files = contents(content.parent)


class SwarmCase(SynchronousTestCase):
    """A test with a daemon of its own, which is killed at the end and must have logged no traceback."""

    daemon: Daemon
    client: Client

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).resolve()
        self._payloads = 0

    # -- the daemon ------------------------------------------------------

    def start_daemon(self, *options: str) -> None:
        self.daemon = Daemon(self.home / "daemon", *options)
        self.addCleanup(self._end_daemon)
        self._start()

    def _start(self) -> None:
        self.daemon.start()
        self.client = self.daemon.client()
        self.addCleanup(self.client.close)

    def restart(self, *, kill: bool) -> None:
        """End the daemon, by SIGTERM or by kill -9, and start it again on the same state."""
        self.end(kill=kill)
        self._start()

    def end(self, *, kill: bool) -> None:
        self.client.close()
        if kill:
            self.daemon.kill()
        else:
            self.assertEqual(self.daemon.stop(), 0)

    def _end_daemon(self) -> None:
        self.daemon.kill()
        self.assertEqual(self.daemon.tracebacks(), [], self.daemon.log_text())

    # -- payload and peers -----------------------------------------------

    def payload(
        self,
        files: Mapping[str, int] | int = 300_000,
        *,
        name: str = "payload",
        kind: str = "v1",
        tracker: str = "",
    ) -> Payload:
        """A torrent of new random files, sizes in bytes, or of one file."""
        self._payloads += 1
        folder = self.home / f"made {self._payloads}"
        write_files(folder, {name: files} if isinstance(files, int) else {})
        write_files(folder / name, {} if isinstance(files, int) else files)
        return Payload(folder / name, kind=kind, tracker=tracker)

    def seed(self, payload: Payload, *, upload_limit: int = 0) -> Seed:
        seed = Seed(payload.torrent, payload.folder, upload_limit=upload_limit)
        self.addCleanup(seed.close)
        return seed

    # -- talking ---------------------------------------------------------

    def add(self, session: str, payload: Payload, save_path: str = "dl", **parameters: str) -> str:
        """Add its .torrent file; the torrent's key."""
        response = self.client.upload(
            f"/v1/sessions/{session}/torrents", payload.torrent, save_path=save_path, **parameters
        )
        self.assertEqual(response.status, 201, response.body)
        return str(response.json["torrent"]["infohash"])

    def add_magnet(self, session: str, magnet: str, save_path: str = "dl", **parameters: Any) -> str:
        answer = self.client.ok(
            "POST", f"/v1/sessions/{session}/torrents", magnet=magnet, save_path=save_path, **parameters
        )
        return str(answer["torrent"]["infohash"])

    def row(self, session: str, infohash: str) -> Any:
        return self.client.ok("GET", f"/v1/sessions/{session}/torrents/{infohash}")["torrent"]

    def rows(self, session: str) -> list[Any]:
        return list(self.client.ok("GET", f"/v1/sessions/{session}/torrents")["torrents"])

    def peers(self, session: str, infohash: str) -> list[Any]:
        return list(self.client.ok("GET", f"/v1/sessions/{session}/torrents/{infohash}/peers")["peers"])

    def pause(self, session: str, infohash: str, pause: int) -> Response:
        return self.client.call("PUT", f"/v1/sessions/{session}/torrents/{infohash}", pause=pause)

    def connect(self, session: str, infohash: str, address: str) -> None:
        self.client.ok("POST", f"/v1/sessions/{session}/torrents/{infohash}/peers", address=address)

    def remove(self, session: str, infohash: str, **parameters: Any) -> Response:
        return self.client.call("DELETE", f"/v1/sessions/{session}/torrents/{infohash}", **parameters)

    def session_ids(self) -> list[str]:
        return [session["id"] for session in self.client.ok("GET", "/v1/sessions")["sessions"]]

    # -- waiting ---------------------------------------------------------

    def until_state(self, session: str, infohash: str, *states: str) -> Any:
        """The row, when it is in one of these states."""

        def row() -> Any:
            now = self.row(session, infohash)
            return now if now["state"] in states else None

        return until(row, f"{infohash} to be {' or '.join(states)}")

    def until_begun(self, session: str, infohash: str) -> Any:
        """The row, when some payload has arrived but not all."""

        def row() -> Any:
            now = self.row(session, infohash)
            return now if now["total_done"] else None

        begun = until(row, f"{infohash} to get its first bytes")
        self.assertLess(begun["total_done"], begun["total"])
        return begun

    def until_completion_is_stored(self, session: str, infohash: str) -> None:
        """Look into the state database: the API does not tell when it was last saved."""

        def done() -> Any:
            uri = f"{(self.daemon.state / DATABASE_NAME).as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True)
            try:
                query = "SELECT done FROM torrents WHERE session_id = ? AND infohash = ?"
                return connection.execute(query, (session, infohash)).fetchone()[0]
            finally:
                connection.close()

        until(done, f"{infohash} to be stored as complete")

    def until_equal(self, ask: Callable[[], Any], expected: Any, what: str) -> None:
        until(lambda: ask() == expected, f"{what} to be {expected}")

    # -- judging ---------------------------------------------------------

    def assert_same(self, payload: Payload, save_path: str = "dl") -> None:
        """The download is its original, byte for byte, and nothing lies beside it."""
        self.assert_contents(self.daemon.root / save_path, payload.files)

    def assert_contents(self, folder: Path, files: Mapping[str, str]) -> None:
        """A folder comes to hold exactly these files: the last blocks may still be on their way to disk."""
        try:
            until(lambda: contents(folder) == files, "")
        except AssertionError:
            self.assertEqual(contents(folder), files)
            raise

    def assert_fails(self, response: Response, status: int, code: str, field: str | None = None) -> None:
        answer = response.json
        self.assertEqual((response.status, answer["status"], answer["code"]), (status, "fail", code), answer)
        if field is not None:
            self.assertEqual(answer["field"], field)
