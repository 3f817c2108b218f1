"""What trackers complain of: no secrets, no flood."""

from types import SimpleNamespace
from typing import Any

import libtorrent as lt
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine.catalogue import Catalogue
from resttorrent.engine.eventlog import LONGEST_MESSAGE, EventLog
from resttorrent.engine.parts import Parts
from resttorrent.engine.tracker_trouble import MOST, WINDOW, TrackerTrouble, origin_of, without_secrets

from .fakes import error_code, fake_handle, torrent

URL = "https://tracker.example:8443/0a1b2c3d4e/announce?passkey=SECRETSECRET&user=7"


class Alert:
    """A tracker's alert; text that is an exception is raised, as libtorrent does when it can't decode."""

    def __init__(
        self, handle: Any, *, url: Any = URL, reason: Any = "", message: Any = "", times: int = 1
    ) -> None:
        self.handle = handle
        self.error = error_code(1, "Connection refused")
        self.times_in_row = times
        self._url, self._reason, self._message = url, reason, message

    @staticmethod
    def _text(value: Any) -> str:
        if isinstance(value, Exception):
            raise value
        return str(value)

    @property
    def url(self) -> str:
        return self._text(self._url)

    def failure_reason(self) -> str:
        return self._text(self._reason)

    def message(self) -> str:
        return self._text(self._message)


NOT_UTF8 = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


class TroubleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.log = EventLog(self.clock, lambda: 0.0)
        self.torrents = Catalogue()
        self.made = torrent(name="a")
        self.torrents.add(self.made)
        self.torrents.loaded(self.made, fake_handle())
        shared: Any = SimpleNamespace(reactor=self.clock, log=self.log)
        unused: Any = None
        self.trouble = TrackerTrouble(Parts("s", shared, unused, unused, unused, self.torrents))

    def hear(self, kind: Any = lt.tracker_error_alert, **values: Any) -> None:
        self.trouble.handlers[kind](Alert(self.made.handle, **values))

    def logged(self) -> list[str]:
        return [entry.message for entry in self.log.newest(10_000).entries]

    def test_error(self) -> None:
        self.hear()
        (entry,) = self.log.newest(10).entries
        self.assertEqual(
            (entry.event, entry.level, entry.session_id, entry.infohash, entry.message),
            ("tracker_error", "warning", "s", self.made.infohash,
             "a: https://tracker.example:8443: Connection refused"),
        )  # fmt: skip

    def test_its_own_words(self) -> None:
        self.hear(reason="no torrent for you")
        self.assertEqual(self.logged(), ["a: https://tracker.example:8443: no torrent for you"])

    def test_warning(self) -> None:
        self.hear(lt.tracker_warning_alert, message=f"a ({URL})[127.0.0.1:1-v1] warning: be careful")
        (entry,) = self.log.newest(10).entries
        self.assertEqual(
            (entry.event, entry.message), ("tracker_warning", "a: https://tracker.example:8443: be careful")
        )

    def test_words_repeat_secrets(self) -> None:
        self.hear(reason="0a1b2c3d4e: bad key secretsecret, see https://tracker.example:8443/announce")
        self.assertEqual(
            self.logged(),
            ["a: https://tracker.example:8443: …: bad key …, see https://tracker.example:8443/announce"],
        )

    def test_hostile(self) -> None:
        self.hear(url=NOT_UTF8, reason=NOT_UTF8)
        self.hear(reason="x" * 1_000_000)
        self.hear(url="http://h/" + "k/" * 1_000_000)
        self.hear(lt.tracker_warning_alert, message=NOT_UTF8)
        first, second, third, last = self.logged()
        self.assertEqual(first, "a: a tracker: an answer that is not UTF-8")
        self.assertLess(len(second), LONGEST_MESSAGE)
        self.assertEqual(third, "a: http://h: Connection refused")
        self.assertTrue(last.endswith("an answer that is not UTF-8"))

    def test_of_a_torrent_that_is_gone(self) -> None:
        self.torrents.remove(self.made)
        self.hear()
        self.assertEqual(self.logged(), [])

    def test_again_and_again(self) -> None:
        for times in range(1, 101):
            self.hear(times=times)
        self.assertEqual(len(self.logged()), 7, "1, 2, 4, 8, 16, 32, 64")

    def test_flood(self) -> None:
        for _ in range(10_000):
            self.hear()
        self.assertEqual(len(self.logged()), MOST)
        self.clock.advance(WINDOW)
        self.assertEqual(len(self.logged()), MOST + 1)
        self.assertIn(f" {10_000 - MOST} more", self.logged()[-1])
        self.hear()
        self.assertEqual(self.logged()[-1], "a: https://tracker.example:8443: Connection refused")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        for _ in range(MOST + 1):
            self.hear()
        self.trouble.stop()
        self.trouble.stop()
        self.hear()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SecretsTests(SynchronousTestCase):
    def test_origin(self) -> None:
        for url, origin in (
            (URL, "https://tracker.example:8443"),
            ("http://user:password@h/announce", "http://h"),
            ("udp://h:1337", "udp://h:1337"),
            ("http://[::1]:80/a", "http://[::1]:80"),
            ("http://[::1", "a tracker"),
            ("http://h:99999999/a", "a tracker"),
            ("", "a tracker"),
            ("passkey", "a tracker"),
        ):
            self.assertEqual(origin_of(url), origin)

    def test_pieces(self) -> None:
        for url, text, expected in (
            ("http://h/announce?passkey=a%2Fbcdefgh", "bcdefgh and a%2Fbcdefgh", "… and …"),
            ("http://user:password@h/announce", "password of announce", "… of announce"),
            ("http://h/abcdef/abcdefghi", "abcdefghi", "…"),
            ("http://h/announce", "announce to http://h/announce", "announce to http://h/announce"),
            ("", "nothing", "nothing"),
            ("http://h/.*(.*/x", "a.*(.*b", "a.*(.*b"),
        ):
            self.assertEqual(without_secrets(text, url), expected)
