"""
Hostile torrents and magnet links, given to a real daemon: refused, or a torrent that can be listed.

Those that name addresses are added stopped; nothing here sends a packet beyond loopback.
"""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.fields import NAMES
from resttorrent.engine.metainfo import MAX_FILES, MAX_PIECES
from tests.engine import hostile
from tests.harness import Daemon, Response, until

MUTATIONS = 300


def tree(folder: Path) -> set[str]:
    """All that lies below a folder, without following links."""
    return {
        os.path.relpath(Path(parent) / name, folder)
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


class Case(SynchronousTestCase):
    """A daemon with one session that outlives it."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).resolve()
        # below the home, so that a path that leads up some steps still ends where we look
        self.daemon = Daemon(self.home / "a" / "b" / "c")
        self.addCleanup(self.end)
        self.start()
        self.session_id = self.client.session(memory_only=0)
        self.torrents = f"/v1/sessions/{self.session_id}/torrents"
        self.known: set[str] = set()

    def start(self) -> None:
        self.daemon.start()
        self.client = self.daemon.client()

    def end(self) -> None:
        survived = self.daemon.is_running
        if survived:
            self.daemon.kill()
        self.client.close()
        self.assertTrue(survived, self.daemon.log_text())
        self.assertEqual(self.daemon.tracebacks(), [], self.daemon.log_text())
        self.assert_inside()

    def assert_inside(self) -> None:
        """Nothing was put anywhere but into the root."""
        around = {p for p in tree(self.home) if not p.startswith(("a/b/c/root/", "a/b/c/state/"))}
        self.assertEqual(around, {"a", "a/b", "a/b/c", "a/b/c/root", "a/b/c/state", "a/b/c/daemon.log"})
        for path in tree(self.daemon.root):
            place = self.daemon.root / path
            if place.is_symlink():
                target = os.path.normpath(place.parent / place.readlink())
                self.assertTrue(target.startswith(f"{self.daemon.root}/"), (path, target))

    def add(self, torrent: bytes, **parameters: str) -> Response:
        return self.client.upload(
            self.torrents, torrent, **{"save_path": "here", "autostart": "0"} | parameters
        )

    def add_magnet(self, link: str, **parameters: Any) -> Response:
        parameters = {"save_path": "here", "autostart": 0} | parameters
        return self.client.call("POST", self.torrents, magnet=link, **parameters)

    def listed(self) -> dict[str, Mapping[str, Any]]:
        """All rows with all fields, which must be JSON in UTF-8."""
        answer = self.client.call("GET", self.torrents, fields=",".join(NAMES))
        self.assertEqual(answer.status, 200)
        rows = json.loads(answer.body.decode("utf-8", "strict"))["torrents"]
        return {row["infohash"]: row for row in rows}

    def judge(self, answer: Response, what: str, refusals: tuple[str, ...] = ("not_a_torrent",)) -> bool:
        """Whether it was taken; if so it is listed, if not nothing changed and the error is one of ours."""
        rows = self.listed()
        told = answer.json
        if answer.status == 201:
            infohash = told["torrent"]["infohash"]
            self.known.add(infohash)
            row = rows[infohash]
            self.assertEqual(set(row), set(NAMES), what)
            if row["content_path"] is not None:
                content = os.path.normpath(row["content_path"])
                self.assertTrue(content.startswith(f"{self.daemon.root}/here"), (what, content))
        else:
            self.assertEqual((told["status"], told["code"] in refusals), ("fail", True), (what, told))
            self.assertTrue(400 <= answer.status < 500 and told["message"], (what, told))
        self.assertEqual(set(rows), self.known, what)
        return answer.status == 201

    def restart(self) -> None:
        """Kill it; started again, it must list and load all of them."""
        before = self.listed()
        self.client.close()
        self.daemon.kill()
        self.start()
        until(lambda: self.client.ok("GET", "/v1")["loading"] == 0, "all to be loaded")
        after = self.listed()
        self.assertEqual(set(after), set(before))
        for infohash, row in after.items():
            self.assertEqual((row["name"], row["error"]), (before[infohash]["name"], None))


class TorrentTests(Case):
    def test_named(self) -> None:
        taken = 0
        for what, data in hostile.named().items():
            answer = self.add(data)
            # two of them may have the same info dictionary
            taken += self.judge(answer, what, ("not_a_torrent", "torrent_exists"))
        self.assertGreater(taken, 80)
        self.restart()

    def test_running(self) -> None:
        # only a torrent that runs has its empty files, folders and links made
        for what, data in (hostile.with_names() | hostile.with_links()).items():
            answer = self.add(data, autostart="1")
            self.judge(answer, what, ("not_a_torrent", "torrent_exists"))
        done = ("downloading", "finished", "seeding", "error", "missing_files")
        until(lambda: all(row["state"] in done for row in self.listed().values()), "all to be checked")
        self.assertGreater(len(tree(self.daemon.root)), 10)
        self.assert_inside()
        self.assertFalse(Path("/etc/x").exists())
        for infohash in self.listed():
            self.client.ok("DELETE", f"{self.torrents}/{infohash}", delete_files=1)
        self.assertEqual(tree(self.daemon.root) - {".resttorrent-root"}, {"here"})

    def test_sizes(self) -> None:
        for what, data in hostile.outsized().items():
            self.assertFalse(self.judge(self.add(data), what))
        for number, piece in enumerate(hostile.truncated(hostile.many_files(30), 60)):
            self.assertFalse(self.judge(self.add(piece), f"piece {number}"))
        for data in (hostile.many_files(MAX_FILES), hostile.many_pieces(MAX_PIECES)):
            self.assertTrue(self.judge(self.add(data), "as large as may be"))
        self.restart()

    def test_mutated(self) -> None:
        # a long name takes many mutations without harm
        originals = (
            hostile.torrent(name=b"n" * 200),
            hostile.many_files(3),
            hostile.with_links()["link: plain"],
        )
        taken = 0
        for seed, original in enumerate(originals):
            for number, data in enumerate(hostile.mutated(original, MUTATIONS // len(originals), 100 + seed)):
                answer = self.add(data)
                taken += self.judge(answer, f"{seed}, {number}", ("not_a_torrent", "torrent_exists"))
        self.assertGreater(taken, 10)
        self.restart()

    def test_batch(self) -> None:
        torrents = list(hostile.named().items())
        items = [{"file": {"base64": base64.b64encode(data).decode()}} for _, data in torrents]
        answer = self.client.ok(
            "POST", f"{self.torrents}/batch", save_path="here", autostart=0, torrents=items
        )
        self.assertEqual(len(answer["results"]), len(items))
        for (what, _), result in zip(torrents, answer["results"], strict=True):
            taken = result["status"] == "success"
            self.assertEqual(result["http_status"] == 201, taken, what)
            if taken:
                self.known.add(result["infohash"])
            else:
                self.assertIn(result["code"], ("not_a_torrent", "torrent_exists"), what)
        self.assertEqual(set(self.listed()), self.known)


class MagnetTests(Case):
    def test_magnets(self) -> None:
        for what, link in hostile.magnets().items():
            answer = self.add_magnet(link)
            self.assertTrue(self.judge(answer, what), what)
            # most of them name the same torrent
            self.client.ok("DELETE", answer.headers["location"])
            self.known.clear()
        for what, link in hostile.bad_magnets().items():
            answer = self.add_magnet(link)
            self.assertFalse(self.judge(answer, what, ("bad_parameter",)))
            self.assertEqual((answer.status, answer.json["field"]), (400, "magnet"), what)
        for number, link in enumerate(hostile.magnets().values(), start=1):
            other = link.replace(hostile.HASH, f"{number:040x}").replace(hostile.HASH_V2, f"{number:064x}")
            self.judge(self.add_magnet(other), other, ("torrent_exists",))
        self.assertGreater(len(self.known), 15)
        self.restart()


class BodyTests(Case):
    def padded(self, size: int) -> bytes:
        """A torrent with a comment of that many bytes."""
        return hostile.torrent({b"comment": b"x" * size})

    def test_sizes(self) -> None:
        taken = self.add(self.padded(3 * 2**20))
        self.assertTrue(self.judge(taken, "multipart"))
        self.client.ok("DELETE", taken.headers["location"])
        data = base64.b64encode(self.padded(3 * 2**20)).decode()
        parameters = {"save_path": "here", "autostart": 0, "file": {"base64": data}}
        self.assertTrue(self.judge(self.client.call("POST", self.torrents, **parameters), "JSON"))
        # what is left of 32 MiB by the rest of the body
        self.assertFalse(self.judge(self.add(self.padded(32 * 2**20 - 2000)), "no torrent is so large"))
        refused = self.client.request("POST", self.torrents, b"", {"Content-Length": str(33 * 2**20)})
        self.assertEqual((refused.status, refused.json["code"]), (413, "too_large"))
        self.assertEqual(refused.headers["connection"], "close")
        self.client.close()
        self.assertEqual(set(self.listed()), self.known)
