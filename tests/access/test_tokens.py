"""Tokens: made, found, used, ended."""

import hashlib
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from resttorrent.access import tokens as module
from resttorrent.access.first_token import make_first_token
from resttorrent.access.tokens import Tokens
from resttorrent.errors import NotFound, StateDiskFull, TokenNeeded, TooMany

from .support import NOW, World, run


class TokensTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.tokens, self.store = self.world.tokens, self.world.store

    def test_only_the_hash_is_kept(self) -> None:
        text = self.world.token("control", name="phone", expiry=NOW + 5)
        (record,) = self.store.records.values()
        self.assertEqual(record.digest, hashlib.sha256(text.encode()).digest())
        self.assertNotIn(text, repr(record))
        self.assertEqual((record.name, record.scopes), ("phone", ("read", "control")))
        self.assertEqual((record.created_time, record.expiry, record.last_used), (NOW, NOW + 5, None))
        # 256 bits
        self.assertEqual(len(text), 43)
        self.assertNotEqual(self.world.token(), text)

    def test_restart(self) -> None:
        text = self.world.token("admin", name="phone")
        again = Tokens(self.store, lambda: self.world.wall)  # type: ignore[arg-type]
        run(again.load())
        found = again.find(text)
        assert found is not None
        self.assertEqual(found.name, "phone")
        found.require("admin")

    def test_delete(self) -> None:
        ended: list[str] = []
        self.tokens.watch(ended.append)
        text = self.world.token()
        principal = self.tokens.find(text)
        assert principal is not None and principal.grant is not None
        self.tokens.check(principal)
        self.assertRaises(NotFound, run, self.tokens.delete("none"))
        self.assertEqual(ended, [])
        run(self.tokens.delete(principal.grant))
        self.assertEqual(ended, [principal.grant])
        self.assertIsNone(self.tokens.find(text))
        self.assertRaises(TokenNeeded, self.tokens.check, principal)
        self.assertEqual((self.store.records, len(self.tokens)), ({}, 0))

    def test_what_was_not_stored_was_not_done(self) -> None:
        text = self.world.token()
        principal = self.tokens.find(text)
        assert principal is not None and principal.grant is not None
        self.store.error = StateDiskFull("full")
        self.assertRaises(StateDiskFull, run, self.tokens.create("x", ("read",), None))
        self.assertRaises(StateDiskFull, run, self.tokens.delete(principal.grant))
        self.assertEqual(len(self.tokens), 1)
        self.assertIsNotNone(self.tokens.find(text))

    def test_last_use_is_written_now_and_then(self) -> None:
        text, other = self.world.token(), self.world.token(name="never used")
        for second in range(100):
            self.world.wall = NOW + second
            self.tokens.find(text)
        self.assertEqual(self.store.used, [])
        (used, unused) = self.tokens
        self.assertEqual((used.last_used, unused.last_used), (NOW + 99, None))
        run(self.tokens.tick())
        run(self.tokens.tick())
        self.assertEqual(self.store.used, [[(NOW + 99, used.record.id)]])
        self.assertTrue(other)

    def test_last_use_survives_a_full_disk(self) -> None:
        self.tokens.find(self.world.token())
        self.store.error = StateDiskFull("full")
        run(self.tokens.tick())
        self.store.error = None
        run(self.tokens.tick())
        self.assertEqual(len(self.store.used), 1)

    def test_expiry_is_told_once(self) -> None:
        ended: list[str] = []
        self.tokens.watch(ended.append)
        self.world.token(expiry=NOW + 10)
        self.world.token()
        run(self.tokens.tick())
        self.assertEqual(ended, [])
        self.world.wall += 10
        run(self.tokens.tick())
        run(self.tokens.tick())
        self.assertEqual(len(ended), 1)

    def test_bound(self) -> None:
        self.patch(module, "MOST_TOKENS", 2)
        self.world.token()
        self.world.token()
        self.assertRaises(TooMany, self.world.token)


class FirstTokenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "token"
        before = os.umask(0)
        self.addCleanup(os.umask, before)

    def make(self) -> Path | None:
        store = self.world.store
        made: Path | None = run(make_first_token(self.world.tokens, store, self.folder))  # type: ignore[arg-type]
        return made

    def test_made_once(self) -> None:
        self.assertEqual(self.make(), self.path)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        text = self.path.read_text()
        self.assertEqual(len(text), 44)
        found = self.world.tokens.find(text.strip())
        assert found is not None and found.grant is not None
        found.require("admin")
        self.assertIsNone(self.make())
        # deleted on purpose: it does not come back
        run(self.world.tokens.delete(found.grant))
        self.assertIsNone(self.make())
        self.assertEqual((self.path.read_text(), len(self.world.tokens)), (text, 0))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["token"])

    def test_died_in_between(self) -> None:
        self.world.store.error = StateDiskFull("full")
        self.assertRaises(StateDiskFull, self.make)
        self.world.store.error = None
        self.path.write_text("an older one")
        self.make()
        self.assertIsNotNone(self.world.tokens.find(self.path.read_text().strip()))

    def test_a_link_in_its_place(self) -> None:
        """What somebody put there is replaced, never written through."""
        target = self.folder / "target"
        target.write_text("precious")
        self.path.symlink_to(target)
        (self.folder / "token.new").symlink_to(target)
        self.make()
        self.assertFalse(self.path.is_symlink())
        self.assertEqual(target.read_text(), "precious")
