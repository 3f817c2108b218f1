"""The event log of a real daemon: a download from start to end, a tracker that refuses, a file error."""

import http.client
import json
import shutil
import urllib.parse
from collections.abc import Iterator
from typing import Any

from ..harness import until
from .case import SwarmCase
from .network import free_ports


class LogTests(SwarmCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.session = self.client.session()

    def entries(self, infohash: str | None = None, **parameters: Any) -> list[Any]:
        found = self.client.ok("GET", "/v1/log", **parameters)["entries"]
        return [entry for entry in found if infohash in (None, entry["infohash"])]

    def events(self, infohash: str) -> list[str]:
        return [entry["event"] for entry in self.entries(infohash)]

    def until_logged(self, infohash: str, event: str) -> Any:
        def entry() -> Any:
            return next((e for e in self.entries(infohash) if e["event"] == event), None)

        return until(entry, event)

    def test_download(self) -> None:
        answer = self.client.ok("GET", "/v1/log")
        self.assertEqual([entry["event"] for entry in answer["entries"]], ["session_created"])
        payload = self.payload()
        infohash = self.add_magnet(self.session, self.seed(payload).magnet)
        self.until_state(self.session, infohash, "seeding")
        self.pause(self.session, infohash, 1)
        self.assertEqual(self.remove(self.session, infohash, delete_files=1).status, 200)
        self.assertEqual(
            self.events(infohash),
            ["torrent_added", "metadata_received", "torrent_finished", "torrent_stopped", "torrent_removed"],
        )
        since = self.client.ok("GET", "/v1/log", since=answer["rev"])
        self.assertEqual(since["entries"], self.entries()[1:])
        self.assertFalse(since["gap"])
        ids = [entry["id"] for entry in since["entries"]]
        self.assertEqual(ids, list(range(answer["rev"] + 1, since["rev"] + 1)))

    def test_restart(self) -> None:
        """Nothing is told again, no id is given twice, and a client can tell."""
        session = self.client.session(memory_only=0)
        payload = self.payload()
        shutil.copytree(payload.folder, self.daemon.root / "dl")
        infohash = self.add(session, payload, memory_only="0")
        self.until_state(session, infohash, "seeding")
        self.until_completion_is_stored(session, infohash)
        rev = self.client.ok("GET", "/v1/log")["rev"]
        self.restart(kill=True)
        self.until_state(session, infohash, "seeding")
        answer = self.client.ok("GET", "/v1/log", since=rev)
        self.assertEqual((answer["entries"], answer["gap"]), ([], True))
        self.assertGreater(answer["rev"], rev)
        self.client.session()
        (entry,) = self.client.ok("GET", "/v1/log", since=answer["rev"])["entries"]
        self.assertEqual((entry["id"], entry["event"]), (answer["rev"] + 1, "session_created"))

    def test_tracker_that_refuses(self) -> None:
        port = free_ports(1)
        payload = self.payload(tracker=f"http://127.0.0.1:{port}/announce?passkey=SECRETSECRET")
        infohash = self.add(self.session, payload)
        entry = self.until_logged(infohash, "tracker_error")
        self.assertEqual((entry["level"], entry["session_id"]), ("warning", self.session))
        self.assertIn(f"http://127.0.0.1:{port}: ", entry["message"])
        self.assertNotIn("SECRET", str(self.entries()))
        self.assertEqual(self.entries(infohash, level="error"), [])

    def test_file_error(self) -> None:
        """A folder stands where the file is to be written."""
        payload = self.payload()
        (self.daemon.root / "dl" / "payload").mkdir(parents=True)
        infohash = self.add(self.session, payload)
        self.connect(self.session, infohash, self.seed(payload).address)
        entry = self.until_logged(infohash, "file_error")
        self.assertEqual(entry["level"], "error")
        self.until_state(self.session, infohash, "error")
        # said once, although libtorrent tells of the file and of the torrent
        self.assertEqual(len(self.entries(infohash, level="error")), 1)

    def test_wait(self) -> None:
        rev = self.client.ok("GET", "/v1/log")["rev"]
        waiting = self.daemon.client()
        self.addCleanup(waiting.close)
        waiting.request("GET", "/v1")
        waiting._connection.request("GET", f"/v1/log?since={rev}&wait=60")
        infohash = self.add(self.session, self.payload(), autostart="0")
        (entry,) = waiting.receive().json["entries"]
        self.assertEqual((entry["event"], entry["infohash"]), ("torrent_added", infohash))


class StreamTests(SwarmCase):
    """The same live, and figures beside it, as server-sent events."""

    def setUp(self) -> None:
        super().setUp()
        self.start_daemon()
        self.session = self.client.session()

    def stream(self, **parameters: Any) -> Iterator[tuple[str, int, Any]]:
        """Event names, ids and data, up to the end of the stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/events?" + urllib.parse.urlencode(parameters))
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        fields: dict[str, str] = {}
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                yield fields["event"], int(fields["id"]), json.loads(fields["data"])
                fields = {}

    def test_log(self) -> None:
        stream = self.stream(topic="log", session_id=self.session)
        name, rev, opening = next(stream)
        self.assertEqual((name, opening["rev"], opening["gap"]), ("v1/log", rev, False))
        self.assertEqual([entry["event"] for entry in opening["entries"]], ["session_created"])
        infohash = self.add(self.session, self.payload(), autostart="0")
        _, last, push = next(stream)
        (entry,) = push["entries"]
        self.assertEqual((entry["event"], entry["infohash"], entry["id"]), ("torrent_added", infohash, last))
        resumed = self.stream(topic="log", since=rev)
        self.assertEqual(next(resumed)[2]["entries"], [entry])
        self.client.ok("DELETE", f"/v1/sessions/{self.session}")
        self.assertEqual([e["event"] for e in next(stream)[2]["entries"]], ["session_deleted"])
        self.assertEqual([data for _, _, data in stream], [{"closed": True, "code": "session_not_found"}])
        self.assertEqual([e["event"] for e in next(resumed)[2]["entries"]], ["session_deleted"])

    def test_stats(self) -> None:
        payload = self.payload()
        stream = self.stream(topic="stats", session_id=self.session, interval_ms=100)
        name, _, opening = next(stream)
        self.assertEqual((name, opening["status"], opening["torrents"]), ("v1/stats", "success", {}))
        infohash = self.add_magnet(self.session, self.seed(payload).magnet)
        seeding = next(told for _, _, told in stream if told["torrents"] == {"seeding": 1})
        self.assertGreaterEqual(seeding["total_download"], 300_000)
        self.remove(self.session, infohash)
        removed = next(told for _, _, told in stream if told["torrents"] == {})
        self.assertGreaterEqual(removed["total_download"], seeding["total_download"])
        self.client.ok("DELETE", f"/v1/sessions/{self.session}")
        *_, (_, _, last) = stream
        self.assertEqual(last, {"closed": True, "code": "session_not_found"})
