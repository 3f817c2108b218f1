"""Bytes and links by strangers: refused in our words, or a torrent of which everything can be read."""

import urllib.parse
from pathlib import PurePosixPath

import libtorrent as lt
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.engine import metainfo
from resttorrent.engine.metainfo import (
    Metainfo,
    check_info,
    clean_magnet,
    file_paths,
    load_file,
    load_magnet,
    top_name,
)
from resttorrent.errors import BadParameter, NotATorrent

from . import hostile

LOCAL = b"http://127.0.0.1:1/announce"
MAGNET = f"magnet:?xt=urn:btih:{hostile.HASH}"
MUTATIONS = 8000


class Case(SynchronousTestCase):
    def refusal(self, data: bytes) -> str:
        error = self.assertRaises(NotATorrent, load_file, data)
        self.assertEqual(error.field, "file")
        return str(error.message)

    def examine(self, loaded: Metainfo) -> None:
        """Read all that anyone reads of a torrent, and look whether it can be shown and stays inside."""
        params = loaded.params
        for address in (*params.trackers, *params.url_seeds):
            self.assertIn(address.partition("://")[0].lower(), ("http", "https", "udp", "ws", "wss"))
            self.assertTrue(address.isprintable())
        self.assertEqual(len(params.trackers), len(params.tracker_tiers))
        self.assertEqual(params.dht_nodes, [])
        self.assertRegex(loaded.identity.key, "^[0-9a-f]{40}$")
        shown = [loaded.name, loaded.top, loaded.magnet, loaded.total, *params.trackers]
        if params.ti is not None:
            self.assertGreaterEqual(loaded.total, 0)
            shown += self.names_of(params.ti)
        self.assertEqual(msgspec.json.decode(msgspec.json.encode(shown)), shown)

    def names_of(self, info: lt.torrent_info) -> list[str]:
        top = top_name(info)
        layout = info.layout()
        paths = [layout.file_path(index) for index in range(layout.num_files())]
        for path in (*paths, *file_paths(info)):
            parts = PurePosixPath(path).parts
            self.assertEqual(parts[0], top)
            self.assertNotIn("..", parts)
            self.assertNotIn("\0", path)
        return [info.name(), top, *paths]


class FileTests(Case):
    def test_all_of_it(self) -> None:
        data = hostile.torrent({b"announce-list": [[LOCAL], [b"udp://127.0.0.1:1"]]}, name=b"a", length=7)
        loaded = load_file(data)
        self.assertEqual((loaded.name, loaded.top, loaded.total), ("a", "a", 7))
        self.assertEqual((loaded.data, loaded.magnet), (data, None))
        self.assertEqual(loaded.params.trackers, [LOCAL.decode(), "udp://127.0.0.1:1"])
        self.assertEqual(loaded.params.tracker_tiers, [0, 1])
        self.examine(loaded)

    def test_folder(self) -> None:
        loaded = load_file(hostile.of_files(hostile.file(b"a"), hostile.file(b"b", b"c"), name=b"top"))
        self.assertEqual((loaded.name, loaded.top, loaded.total), ("top", "top", 10))
        self.assertEqual(list(file_paths(loaded.params.ti)), ["top/a", "top/b/c"])  # type: ignore[arg-type]

    def test_padding_is_no_file(self) -> None:
        pad = hostile.file(b".pad", b"16379", length=16379, attr=b"p")
        loaded = load_file(hostile.of_files(hostile.file(b"a"), pad, hostile.file(b"b")))
        self.assertEqual(list(file_paths(loaded.params.ti)), ["folder/a", "folder/b"])  # type: ignore[arg-type]

    def test_twin_names_are_told_as_they_are_on_disk(self) -> None:
        for what, expected in {
            "twins": ["same", "same.1", "same.2"],
            "case twins": ["Same", "same.1", "SAME.2"],
            "file and folder": ["a.1", "a/b.1", "a/b/c"],
            "file and deeper folder": ["d", "A.1", "a/b/c"],
        }.items():
            info = load_file(hostile.named()[what]).params.ti
            assert info is not None
            self.assertEqual(list(file_paths(info)), [f"folder/{path}" for path in expected])

    def test_hostile(self) -> None:
        for what, data in hostile.named().items():
            try:
                loaded = load_file(data)
            except NotATorrent as error:
                self.assertEqual(error.field, "file", what)
                self.assertTrue(error.message.isprintable(), what)
            else:
                self.examine(loaded)

    def test_refused(self) -> None:
        for what, data in hostile.shapeless().items():
            if what not in ("twice", "rubbish after it"):
                self.refusal(data)

    def test_names_that_lead_out_are_taken_as_names(self) -> None:
        for what in ("up and out", "absolute", "back in", "home", "backslash"):
            loaded = load_file(hostile.torrent(name=hostile.NAMES[what]))
            self.assertNotIn("/", loaded.top or "/")
            self.assertNotIn("\\", loaded.top or "\\")

    def test_truncated(self) -> None:
        data = hostile.many_files(20)
        for piece in hostile.truncated(data, 200):
            self.refusal(piece)
        load_file(data)

    def test_mutated(self) -> None:
        accepted = 0
        originals = (
            hostile.torrent({b"announce": LOCAL, b"url-list": [LOCAL]}),
            hostile.many_files(5),
            hostile.many_files_v2(3),
            hostile.with_links()["link: plain"],
        )
        for seed, data in enumerate(originals):
            for changed in hostile.mutated(data, MUTATIONS // len(originals), seed):
                try:
                    loaded = load_file(changed)
                except NotATorrent:
                    continue
                self.examine(loaded)
                accepted += 1
        self.assertGreater(accepted, MUTATIONS // 40)

    @given(st.binary(max_size=200))
    @settings(deadline=None)
    def test_bytes(self, data: bytes) -> None:
        self.refusal(data)

    @given(
        st.recursive(
            st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=20),
            lambda values: (
                st.lists(values, max_size=4)
                | st.dictionaries(
                    st.sampled_from([b"name", b"path", b"length", b"files", b"pieces", b"piece length"]),
                    values,
                )
            ),
            max_leaves=12,
        )
    )
    @settings(deadline=None)
    def test_any_value_of_info(self, value: object) -> None:
        data = hostile.encode({b"info": value})
        try:
            loaded = load_file(data)
        except NotATorrent as error:
            self.assertEqual(error.field, "file")
        else:
            self.examine(loaded)

    @given(st.lists(st.lists(st.binary(max_size=12), max_size=3), min_size=1, max_size=4))
    @settings(deadline=None)
    def test_any_path(self, paths: list[list[bytes]]) -> None:
        data = hostile.of_files(*(hostile.file(*path) for path in paths))
        try:
            self.examine(load_file(data))
        except NotATorrent:
            self.assertIn([], paths)


class LimitTests(Case):
    def test_outsized(self) -> None:
        for data in hostile.outsized().values():
            self.assertIn("at most", self.refusal(data))

    def test_files(self) -> None:
        self.assertEqual(load_file(hostile.many_files(metainfo.MAX_FILES)).total, metainfo.MAX_FILES)
        self.assertIn("files at most", self.refusal(hostile.many_files(metainfo.MAX_FILES + 1)))
        load_file(hostile.many_files_v2(metainfo.MAX_FILES))
        self.assertIn("files at most", self.refusal(hostile.many_files_v2(metainfo.MAX_FILES + 1)))

    def test_folders_within_folders(self) -> None:
        self.assertIn("limit exceeded", self.refusal(hostile.many_files(10_000, depth=50)))

    def test_depth(self) -> None:
        """libtorrent's own limit: 100 folders, the torrent's own among them."""
        folders = [b"d"] * 99
        load_file(hostile.of_files(hostile.file(b"a"), hostile.file(*folders, b"f")))
        for more in (1, 2000):
            deep = hostile.file(*folders, *[b"d"] * more, b"f")
            self.assertIn("depth limit", self.refusal(hostile.of_files(hostile.file(b"a"), deep)))

    def test_what_comes_from_a_peer(self) -> None:
        """libtorrent has read it already, with limits of its own."""
        check_info(lt.torrent_info(hostile.many_files(metainfo.MAX_FILES)))
        most = metainfo.MAX_PIECES
        for data in (hostile.many_files(metainfo.MAX_FILES + 1), hostile.many_pieces(most + 1)):
            error = self.assertRaises(NotATorrent, check_info, lt.torrent_info(data))
            self.assertIn("at most", error.message)

    def test_pieces(self) -> None:
        loaded = load_file(hostile.many_pieces(metainfo.MAX_PIECES))
        self.assertEqual(loaded.total, metainfo.MAX_PIECES * hostile.PIECE)
        self.assertIn("too many pieces", self.refusal(hostile.many_pieces(metainfo.MAX_PIECES + 1)))

    def test_pieces_v2(self) -> None:
        length = metainfo.MAX_PIECES_V2 * hostile.PIECE
        for more, expected in ((0, "piece layer"), (1, "too many pieces")):
            tree = {b"x": {b"": {b"length": length + more, b"pieces root": b"\2" * 32}}}
            info = hostile.info(length=None, pieces=None, meta_version=2, file_tree=tree)
            data = hostile.encode({b"info": info, b"piece layers": {b"\2" * 32: b"\3" * 32}})
            self.assertIn(expected, self.refusal(data))

    def test_size(self) -> None:
        comment = b"x" * metainfo.MAX_BYTES
        self.assertIn("bytes at most", self.refusal(hostile.torrent({b"comment": comment})))
        load_file(hostile.torrent({b"comment": comment[: -len(hostile.torrent()) - 100]}))


class AddressTests(Case):
    def test_unknown_schemes_are_left_out(self) -> None:
        wanted = [
            b"HTTP://127.0.0.1:1/",
            b"https://127.0.0.1:1/",
            b"udp://127.0.0.1:1",
            b"wss://127.0.0.1:1/",
        ]
        other = [b"file:///etc/passwd", b"gopher://127.0.0.1:1/", b"127.0.0.1", b"", b"javascript:x"]
        loaded = load_file(
            hostile.torrent({b"announce-list": [other, wanted], b"url-list": [*wanted, *other]})
        )
        self.assertEqual(loaded.params.trackers, [address.decode() for address in wanted])
        self.assertEqual(set(loaded.params.tracker_tiers), {1})
        self.assertEqual(loaded.params.url_seeds, [address.decode() for address in wanted[:2]])

    def test_unfit_addresses_are_left_out(self) -> None:
        for address in (b"http://a\r\nHost: x/", b"http://a\0/", LOCAL + b"x" * metainfo.MAX_ADDRESS):
            params = load_file(
                hostile.torrent({b"announce-list": [[address, LOCAL]], b"url-list": [address, LOCAL]})
            ).params
            self.assertEqual(params.trackers, [LOCAL.decode()])
            self.assertEqual(params.url_seeds, [LOCAL.decode()])

    def test_web_seeds_that_are_not_utf8(self) -> None:
        given = hostile.torrent({b"url-list": [b"http://\xff/", LOCAL]})
        self.assertEqual(load_file(given).params.url_seeds, [])

    def test_trackers_that_are_not_utf8(self) -> None:
        self.assertIn("no UTF-8", self.refusal(hostile.torrent({b"announce": LOCAL + b"\xff"})))

    def test_nodes_are_left_out(self) -> None:
        given = hostile.torrent({b"nodes": [[b"node.invalid", 1], [b"127.0.0.1", 1]]})
        self.assertEqual(load_file(given).params.dht_nodes, [])

    def test_few_are_kept(self) -> None:
        many = [LOCAL + b"/%d" % number for number in range(5000)]
        params = load_file(hostile.torrent({b"announce-list": [[a] for a in many], b"url-list": many})).params
        self.assertEqual(params.trackers, [a.decode() for a in many[: metainfo.MAX_TRACKERS]])
        self.assertEqual(params.tracker_tiers, list(range(metainfo.MAX_TRACKERS)))
        self.assertEqual(params.url_seeds, [a.decode() for a in many[: metainfo.MAX_WEB_SEEDS]])

    def test_libtorrent_has_no_others(self) -> None:
        # what stands in the file must not come back by way of the info dictionary
        given = hostile.torrent(
            {
                b"announce": b"gopher://127.0.0.1:1/",
                b"url-list": b"file:///etc/",
                b"nodes": [[b"a.invalid", 1]],
            }
        )
        session = lt.session(
            {"listen_interfaces": "", "enable_dht": False, "enable_lsd": False, "enable_upnp": False}
        )
        params = load_file(given).params
        params.save_path = self.mktemp()
        params.flags = lt.torrent_flags.paused
        handle = session.add_torrent(params)
        self.assertEqual((handle.trackers(), handle.url_seeds()), ([], []))


class MagnetTests(Case):
    def test_all_of_it(self) -> None:
        loaded = load_magnet(f"{MAGNET}&dn=a+name&tr={LOCAL.decode()}&x.pe=127.0.0.1:7&xl=5")
        self.assertEqual((loaded.identity.key, loaded.name), (hostile.HASH, "a name"))
        self.assertEqual(
            (loaded.params.trackers, loaded.params.peers), ([LOCAL.decode()], [("127.0.0.1", 7)])
        )
        self.assertEqual((loaded.data, loaded.top, loaded.total), (None, None, 0))

    def test_hostile(self) -> None:
        for what, link in hostile.magnets().items():
            loaded = load_magnet(link)
            self.examine(loaded)
            self.assertLessEqual(len(loaded.params.trackers), metainfo.MAX_TRACKERS, what)
            self.assertNotIn("\0", loaded.name or "", what)

    def test_refused(self) -> None:
        for what, link in hostile.bad_magnets().items():
            if what != "long name":
                error = self.assertRaises(BadParameter, load_magnet, link)
                self.assertEqual(error.field, "magnet", what)
                self.assertTrue(error.message.startswith("magnet: expected a magnet link"), what)

    def test_long_name_is_cut(self) -> None:
        for field in ("dn", "DN", "dn.1"):
            loaded = load_magnet(f"{MAGNET}&{field}={'é' * 100_000}")
            self.assertLessEqual(len(loaded.name or ""), 255)

    def test_any_case(self) -> None:
        for link in (MAGNET.upper().replace("MAGNET", "Magnet"), MAGNET.replace("btih", "BTIH")):
            self.assertEqual(load_magnet(link).identity.key, hostile.HASH)

    def test_hybrid(self) -> None:
        identity = load_magnet(hostile.magnets()["hybrid"]).identity
        self.assertEqual((identity.v1, identity.v2), (hostile.HASH, hostile.HASH_V2))
        identity = load_magnet(hostile.magnets()["v2"]).identity
        self.assertEqual((identity.v1, identity.key), (None, hostile.HASH_V2[:40]))

    def test_stored_form_means_the_same(self) -> None:
        for link in hostile.magnets().values():
            first = load_magnet(link)
            again = load_magnet(first.magnet or "")
            self.assertEqual((again.identity, again.name), (first.identity, first.name))
            self.assertEqual(again.params.trackers, first.params.trackers)
            self.assertEqual(again.magnet, first.magnet)

    @given(st.text(max_size=300))
    @settings(deadline=None)
    def test_any_text(self, text: str) -> None:
        with self.assertRaises(BadParameter):
            load_magnet(text)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["dn", "tr", "tr.1", "ws", "x.pe", "so", "xt", "xl", "dht", "\0", ""]),
                st.binary(max_size=30) | st.text(max_size=30).map(lambda t: t.encode("utf-8", "replace")),
            ),
            max_size=6,
        )
    )
    @settings(deadline=None)
    def test_any_fields(self, fields: list[tuple[str, bytes]]) -> None:
        link = "&".join((MAGNET, *(f"{name}={urllib.parse.quote(value)}" for name, value in fields)))
        try:
            self.examine(load_magnet(link))
        except BadParameter as error:
            self.assertEqual(error.field, "magnet")
            self.assertIn("xt", dict(fields))

    @given(st.text(max_size=300))
    @settings(deadline=None)
    def test_cleaned(self, query: str) -> None:
        cleaned = clean_magnet(f"magnet:?{query}")
        self.assertTrue(cleaned.isascii())
        raw = urllib.parse.unquote_to_bytes(cleaned)
        self.assertNotIn(b"\0", raw)
        raw.decode()
        self.assertEqual(clean_magnet(cleaned), cleaned)
