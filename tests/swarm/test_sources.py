"""Adding by file, magnet and url, of every kind of torrent: each ends in the same bytes."""

from collections.abc import Mapping
from functools import partial
from itertools import product

from ..harness import RawPeer
from .case import KINDS, NESTED, SwarmCase
from .network import TorrentSite, Tracker

SHAPES: Mapping[str, Mapping[str, int] | int] = {"one": 100_000, "many": NESTED}


class SourceTests(SwarmCase):
    """Peers meet by ``connect_peer``, by ``x.pe=`` and by a tracker."""

    def test_file(self) -> None:
        self.start_daemon()
        session = self.client.session()
        added = []
        for kind, (shape, files) in product(KINDS, SHAPES.items()):
            payload, folder = self.payload(files, kind=kind), f"{kind} {shape}"
            infohash = self.add(session, payload, folder)
            self.connect(session, infohash, self.seed(payload).address)
            added.append((infohash, payload, folder))
        for infohash, payload, folder in added:
            self.until_state(session, infohash, "seeding")
            self.assert_same(payload, folder)

    def test_magnet(self) -> None:
        self.start_daemon()
        session = self.client.session()
        for kind, (shape, files) in product(KINDS, SHAPES.items()):
            payload, folder = self.payload(files, kind=kind), f"{kind} {shape}"
            magnet = self.seed(payload).magnet
            self.assertIn("&x.pe=127.0.0.1:", magnet)
            infohash = self.add_magnet(session, magnet, folder)
            row = self.until_state(session, infohash, "seeding")
            self.assertEqual((row["has_metadata"], row["name"]), (True, "payload"))
            self.assert_same(payload, folder)

    def test_url(self) -> None:
        self.start_daemon("--fetch-allow", "127.0.0.0/8")
        session = self.client.session()
        payloads = {kind: self.payload(NESTED, kind=kind) for kind in KINDS}
        site = TorrentSite({f"/{kind}.torrent": payload.torrent for kind, payload in payloads.items()})
        self.addCleanup(site.close)
        added = {}
        for kind, payload in payloads.items():
            answer = self.client.ok(
                "POST", f"/v1/sessions/{session}/torrents", url=f"{site.base}/{kind}.torrent", save_path=kind
            )
            added[kind] = answer["torrent"]["infohash"]
            self.connect(session, added[kind], self.seed(payload).address)
        for kind, payload in payloads.items():
            self.until_state(session, added[kind], "seeding")
            self.assert_same(payload, kind)

    def test_url_on_loopback_is_refused_unless_allowed(self) -> None:
        self.start_daemon()
        session = self.client.session()
        site = TorrentSite({"/a.torrent": self.payload().torrent})
        self.addCleanup(site.close)
        refused = self.client.call(
            "POST", f"/v1/sessions/{session}/torrents", url=f"{site.base}/a.torrent", save_path="dl"
        )
        self.assert_fails(refused, 403, "address_refused", "url")
        self.assertEqual((self.rows(session), site.requested), ([], []))

    def test_tracker(self) -> None:
        """In a .torrent file, and in a magnet; the seed is found at the tracker alone."""
        self.start_daemon()
        session = self.client.session()
        tracker = Tracker()
        self.addCleanup(tracker.close)
        for kind in KINDS:
            payload = self.payload(kind=kind, tracker=tracker.url)
            seed = self.seed(payload)
            announced = partial(tracker.swarms_of, seed.endpoint[1])
            self.until_equal(announced, 2 if kind == "hybrid" else 1, "swarms of the seed")
            magnet = seed.magnet.partition("&x.pe=")[0]
            self.assertIn("&tr=", magnet)
            infohash = self.add(session, payload, f"{kind} file")
            self.until_state(session, infohash, "seeding")
            self.assert_same(payload, f"{kind} file")
            self.assertEqual(self.remove(session, infohash).status, 200)
            again = self.add_magnet(session, magnet, f"{kind} magnet")
            self.assertEqual(again, infohash)
            self.until_state(session, again, "seeding")
            self.assert_same(payload, f"{kind} magnet")

    def test_other_clients_download_from_it(self) -> None:
        """What was downloaded here is served to a peer of another make."""
        self.start_daemon()
        session = self.client.session()
        for kind in KINDS:
            payload = self.payload(NESTED, kind=kind)
            infohash = self.add_magnet(session, self.seed(payload).magnet, kind)
            self.until_state(session, infohash, "seeding")
            port = self.client.ok("GET", f"/v1/sessions/{session}")["port"]
            third = RawPeer(payload.torrent, self.home / f"third {kind}")
            self.addCleanup(third.close)
            third.connect(("127.0.0.1", port))
            self.assert_contents(self.home / f"third {kind}", payload.files)
