"""The order of checks: syntax, session, paths, parse, existence. Whoever fails two hears of the first."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.harness import Daemon, tiny_torrent

SYNTAX = {"autostart": "perhaps"}
OUTSIDE = {"save_path": "/etc"}
JUNK = b"no torrent"
FLEETING = {"memory_only": "0"}
"""409 in a session that is memory_only itself."""


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        daemon = Daemon(Path(self.mktemp()).resolve())
        self.addCleanup(daemon.kill)
        self.client = daemon.start().client()
        self.addCleanup(self.client.close)
        self.session_id = self.client.session()
        self.added = self.upload(tiny_torrent(1))

    def upload(self, data: bytes, *, session_id: str = "", **parameters: str) -> tuple[int, str | None, Any]:
        """Status, code and field of add_torrent's answer."""
        path = f"/v1/sessions/{session_id or self.session_id}/torrents"
        answer = self.client.upload(path, data, **{"save_path": "here", "autostart": "0"} | parameters)
        return answer.status, answer.json.get("code"), answer.json.get("field")

    def call(self, *, session_id: str = "", **parameters: Any) -> tuple[int, str | None, Any]:
        path = f"/v1/sessions/{session_id or self.session_id}/torrents"
        answer = self.client.call("POST", path, **{"save_path": "here", "autostart": 0} | parameters)
        return answer.status, answer.json.get("code"), answer.json.get("field")

    def test_file(self) -> None:
        self.assertEqual(self.added, (201, None, None))
        good = tiny_torrent(1)
        syntax = (400, "bad_parameter", "autostart")
        session = (404, "session_not_found", "session_id")
        path = (403, "path_outside_roots", "save_path")
        parse = (422, "not_a_torrent", "file")
        existence = (409, "session_is_memory_only", "memory_only")
        # each alone
        self.assertEqual(self.upload(good, **SYNTAX), syntax)
        self.assertEqual(self.upload(good, session_id="none"), session)
        self.assertEqual(self.upload(good, **OUTSIDE), path)
        self.assertEqual(self.upload(JUNK), parse)
        self.assertEqual(self.upload(good, **FLEETING), existence)
        self.assertEqual(self.upload(good), (409, "torrent_exists", "infohash"))
        # neighbours
        self.assertEqual(self.upload(good, session_id="none", **SYNTAX), syntax)
        self.assertEqual(self.upload(good, session_id="none", **OUTSIDE), session)
        self.assertEqual(self.upload(JUNK, **OUTSIDE), path)
        self.assertEqual(self.upload(JUNK, **FLEETING), parse)
        # all at once
        self.assertEqual(self.upload(JUNK, session_id="none", **SYNTAX, **OUTSIDE, **FLEETING), syntax)

    def test_other_sources(self) -> None:
        # which source it is belongs to the syntax
        self.assertEqual(self.call(session_id="none"), (400, "bad_parameter", "file"))
        link, private = "magnet:?", "http://127.0.0.1:1/a.torrent"
        self.assertEqual(
            self.call(magnet=link, url=private, session_id="none")[1:], ("bad_parameter", "magnet")
        )
        # nothing is fetched for a request that is refused anyway
        for source, parse in (
            ({"magnet": link}, (400, "bad_parameter", "magnet")),
            ({"url": private}, (403, "address_refused", "url")),
        ):
            self.assertEqual(self.call(**source), parse)
            self.assertEqual(self.call(**source, session_id="none"), (404, "session_not_found", "session_id"))
            self.assertEqual(self.call(**source, **OUTSIDE), (403, "path_outside_roots", "save_path"))
            self.assertEqual(self.call(**source, **FLEETING), parse)

    def test_items_of_a_batch(self) -> None:
        bad = {"magnet": "magnet:?"}
        items = [{**bad, **SYNTAX, **OUTSIDE}, {**bad, **OUTSIDE}, {**bad, **FLEETING}]
        path = f"/v1/sessions/{self.session_id}/torrents/batch"
        results = self.client.ok("POST", path, save_path="here", torrents=items)["results"]
        self.assertEqual([r["field"] for r in results], ["autostart", "save_path", "magnet"])
        # the envelope's own faults first
        refused = self.client.call("POST", "/v1/sessions/none/torrents/batch", torrents=items, **SYNTAX)
        self.assertEqual((refused.status, refused.json["field"]), (400, "autostart"))
        refused = self.client.call("POST", "/v1/sessions/none/torrents/batch", torrents=items, **OUTSIDE)
        self.assertEqual((refused.status, refused.json["code"]), (404, "session_not_found"))
