"""The store as the engine uses it."""

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from resttorrent.errors import SessionNotFound, TorrentExists, UserExists
from resttorrent.store.records import Deletion, TorrentBlobs, UserRecord
from resttorrent.store.store import Store
from tests.store.support import SESSION, infohash, session_record, torrent_record

OTHER = "07" * 16
NOTHING = TorrentBlobs(None, None, None)


class StoreContract:
    """What holds in memory and on the disk alike."""

    def state_dir(self) -> Path | None:
        raise NotImplementedError

    async def open(self) -> Store:
        store = Store(self.state_dir(), durability="normal", reactor=reactor)  # type: ignore[arg-type]
        await store.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(store.close()))  # type: ignore[attr-defined]
        await store.add_session(session_record())
        return store


class StoreTests(StoreContract, TestCase):
    def state_dir(self) -> Path | None:
        return Path(self.mktemp()).absolute()

    async def test_sessions(self) -> None:
        store = await self.open()
        await store.add_session(session_record(OTHER))
        await store.set_session_port(SESSION, None)
        first, second = await store.sessions()
        self.assertEqual(second, session_record(OTHER))
        self.assertEqual((first.id, first.port), (SESSION, None))
        self.assertEqual(second.interfaces, ("127.0.0.1", "::1"))
        await store.set_session_port(SESSION, 6890)
        await store.set_session_port("gone", 1)
        self.assertEqual([s.port for s in await store.sessions()], [6890, 6881])

    async def test_users(self) -> None:
        store = await self.open()
        ann = UserRecord("1", "ann", "$hash", ("read", "control"), 5, None)
        bob = UserRecord("2", "bob", "$hash", ("read",), 6, None)
        for record in (bob, ann):
            await store.add_user(record)
        taken = UserRecord("3", "ann", "$", ("read",), 7, None)
        await self.assertFailure(store.add_user(taken), UserExists)
        self.assertEqual(await store.users(), [bob, ann])
        await store.user_logged_in("1", "$hash", "$better", 8)
        # it is another one by now
        await store.user_logged_in("2", "$older", "$better", 9)
        await store.update_user("2", None, ("read", "control", "admin"))
        first, second = await store.users()
        self.assertEqual(
            (first.hash, first.scopes, first.last_login), ("$hash", ("read", "control", "admin"), 9)
        )
        self.assertEqual((second.hash, second.scopes, second.last_login), ("$better", ann.scopes, 8))
        await store.update_user("1", "$new", None)
        await store.delete_user("2")
        await store.update_user("2", "$gone", None)
        (left,) = await store.users()
        self.assertEqual((left.name, left.hash, left.scopes), ("ann", "$new", ann.scopes))

    async def test_torrents_in_order(self) -> None:
        store = await self.open()
        await store.add_session(session_record(OTHER))
        records = [torrent_record(number) for number in (9, 3, 7, 1)]
        for record in records:
            await store.add_torrent(record, None)
            await store.add_torrent(torrent_record(int(record.infohash, 16), OTHER), None)
        self.assertEqual(await store.torrents(SESSION), records)
        self.assertEqual(await store.torrents("gone"), [])

    async def test_every_field(self) -> None:
        store = await self.open()
        record = torrent_record(
            5,
            infohash_v1=None,
            infohash_v2="ab" * 32,
            magnet="magnet:?xt=urn:btih:…",
            storage_mode="allocate",
            stopped=False,
            done=True,
            row=None,
        )
        await store.add_torrent(record, b"\x00meta")
        (stored,) = await store.torrents(SESSION)
        self.assertEqual(stored, record)
        self.assertIs(stored.done, True)
        self.assertIs(stored.stopped, False)

    async def test_twice(self) -> None:
        store = await self.open()
        await store.add_torrent(torrent_record(1), b"first")
        await self.assertFailure(store.add_torrent(torrent_record(1, row=b"2"), b"second"), TorrentExists)
        self.assertEqual(await store.torrents(SESSION), [torrent_record(1)])
        blobs = await store.blobs(SESSION, [infohash(1)])
        self.assertEqual(blobs, {infohash(1): TorrentBlobs(b"first", None, None)})

    async def test_twice_in_a_group(self) -> None:
        """Only the second fails; its neighbours are committed."""
        store = await self.open()
        asked = [store.add_torrent(torrent_record(number), None) for number in (1, 2, 2, 3)]
        bad = self.assertFailure(asked.pop(2), TorrentExists)
        await gatherResults([*asked, bad])
        self.assertEqual(len(await store.torrents(SESSION)), 3)

    async def test_session_gone(self) -> None:
        store = await self.open()
        await self.assertFailure(store.add_torrent(torrent_record(1, OTHER), None), SessionNotFound)

    async def test_remove(self) -> None:
        store = await self.open()
        await store.add_torrent(torrent_record(1), b"meta")
        await store.add_torrent(torrent_record(2), b"meta")
        await store.remove_torrent(SESSION, infohash(1))
        await store.remove_torrent(SESSION, infohash(1))
        self.assertEqual(await store.torrents(SESSION), [torrent_record(2)])
        self.assertEqual(list(await store.blobs(SESSION, [infohash(1), infohash(2)])), [infohash(2)])

    async def test_remove_with_payload(self) -> None:
        store = await self.open()
        payload = Deletion("/d", ["a", "T/ü", "T/" + "x" * 300])
        for number in (1, 2):
            await store.add_torrent(torrent_record(number), b"meta")
        first = await store.remove_torrent(SESSION, infohash(1), payload)
        # the second finds no torrent, so that there is nothing to delete
        self.assertIsNone(await store.remove_torrent(SESSION, infohash(1), payload))
        self.assertIsNone(await store.remove_torrent(SESSION, infohash(2)))
        second = await store.add_deletion(Deletion("/e", []))
        assert first is not None and second is not None
        self.assertEqual(
            await store.deletions(), [Deletion("/d", payload.files, first), Deletion("/e", [], second)]
        )
        for _ in range(2):
            await store.deletion_done(second)
        self.assertEqual([deletion.id for deletion in await store.deletions()], [first])
        third = await store.add_deletion(payload)
        self.assertNotIn(third, (first, second))

    async def test_late_writes_resurrect_nothing(self) -> None:
        store = await self.open()
        await store.add_torrent(torrent_record(1), b"meta")
        await store.remove_torrent(SESSION, infohash(1))
        await store.set_stopped(SESSION, infohash(1), False, b"row")
        await store.save_info(SESSION, infohash(1), b"info", "1" * 40, None)
        await store.save_resume(SESSION, infohash(1), b"resume", b"row", True)
        await store.save_rows(SESSION, [(infohash(1), b"row")])
        self.assertEqual(await store.torrents(SESSION), [])
        await store.add_torrent(torrent_record(1), None)
        self.assertEqual(await store.blobs(SESSION, [infohash(1)]), {infohash(1): NOTHING})

    async def test_set_stopped(self) -> None:
        store = await self.open()
        await store.add_torrent(torrent_record(1, row=b"old"), None)
        await store.set_stopped(SESSION, infohash(1), False, None)
        self.assertEqual(await store.torrents(SESSION), [torrent_record(1, row=b"old", stopped=False)])
        await store.set_stopped(SESSION, infohash(1), True, b"new")
        self.assertEqual(await store.torrents(SESSION), [torrent_record(1, row=b"new", stopped=True)])

    async def test_blobs(self) -> None:
        store = await self.open()
        await store.add_torrent(torrent_record(1, magnet="magnet:"), None)
        await store.add_torrent(torrent_record(2), b"meta")
        for info in (b"first", b"info"):
            await store.save_info(SESSION, infohash(1), info, infohash(1), "2" * 64)
        for resume in (b"first", b"resume"):
            await store.save_resume(SESSION, infohash(1), resume, b"row", True)
        expected = {
            infohash(1): TorrentBlobs(None, b"info", b"resume"),
            infohash(2): TorrentBlobs(b"meta", None, None),
        }
        asked = [infohash(2), infohash(1), infohash(3), "it's"]
        self.assertEqual(await store.blobs(SESSION, asked), expected)
        self.assertEqual(await store.blobs(OTHER, asked), {})
        self.assertEqual(await store.blobs(SESSION, []), {})
        first, _ = await store.torrents(SESSION)
        self.assertEqual((first.infohash_v2, first.done, first.row), ("2" * 64, True, b"row"))

    async def test_save_rows(self) -> None:
        store = await self.open()
        for number in range(3):
            await store.add_torrent(torrent_record(number), None)
        await store.save_rows(SESSION, [(infohash(2), b"c"), (infohash(0), b"a"), ("gone", b"x")])
        rows = [record.row for record in await store.torrents(SESSION)]
        self.assertEqual(rows, [b"a", torrent_record().row, b"c"])

    async def test_delete_session(self) -> None:
        store = await self.open()
        await store.add_session(session_record(OTHER))
        for session in (SESSION, OTHER):
            await store.add_torrent(torrent_record(1, session), b"meta")
            await store.save_info(session, infohash(1), b"info", None, None)
            await store.save_resume(session, infohash(1), b"resume", b"row", False)
        await store.delete_session(SESSION)
        await store.delete_session(SESSION)
        self.assertEqual([s.id for s in await store.sessions()], [OTHER])
        self.assertEqual(await store.torrents(SESSION), [])
        self.assertEqual(len(await store.torrents(OTHER)), 1)
        await store.add_session(session_record())
        await store.add_torrent(torrent_record(1), None)
        self.assertEqual(await store.blobs(SESSION, [infohash(1)]), {infohash(1): NOTHING})

    async def test_settings(self) -> None:
        store = await self.open()
        self.assertIsNone(await store.setting("name"))
        await store.set_setting("name", "1")
        await store.set_setting("name", "zwölf")
        self.assertEqual(await store.setting("name"), "zwölf")

    async def test_nothing_waits(self) -> None:
        store = await self.open()
        self.assertIsNone(store.degraded)
        self.assertEqual(store.oldest_waiting(1e12), 0.0)


class MemoryStoreTests(StoreTests):
    def state_dir(self) -> Path | None:
        return None

    async def test_apart(self) -> None:
        """Two daemons in one process share nothing, and no file appears."""
        before = set(Path().iterdir())
        one, two = await self.open(), await self.open()
        await one.set_setting("name", "one")
        self.assertIsNone(await two.setting("name"))
        self.assertEqual(set(Path().iterdir()), before)


class RestartTests(TestCase):
    async def test_everything_is_there_again(self) -> None:
        folder = Path(self.mktemp()).absolute()
        for clean in (True, False):
            store = Store(folder, durability="full", reactor=reactor)  # type: ignore[arg-type]
            report = await store.open()
            self.assertEqual(report.clean, clean or not await store.sessions())
            if clean:
                await store.add_session(session_record())
                await store.add_torrent(torrent_record(1), b"meta")
                await store.save_resume(SESSION, infohash(1), b"resume", b"row", True)
                await store.add_torrent(torrent_record(2), None)
                await store.remove_torrent(SESSION, infohash(2), Deletion("/d", ["a"]))
            ((_, files),) = [(d.save_path, d.files) for d in await store.deletions()]
            self.assertEqual(files, ["a"])
            self.assertEqual(await store.sessions(), [session_record()])
            self.assertEqual(await store.torrents(SESSION), [torrent_record(1, row=b"row", done=True)])
            blobs = await store.blobs(SESSION, [infohash(1)])
            self.assertEqual(blobs[infohash(1)], TorrentBlobs(b"meta", None, b"resume"))
            await store.close(clean=False)
