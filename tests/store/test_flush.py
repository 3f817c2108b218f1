"""The deadline of the WAL's flush, with a clock of numbers."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from resttorrent.store.flush import FLUSH_AFTER, WalFile, WalFlush


class WalFlushTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.syncs = 0
        self.flush = WalFlush(self.sync)

    def sync(self) -> None:
        self.syncs += 1

    def test_clean(self) -> None:
        self.flush.tick(1000.0)
        self.assertEqual((self.syncs, self.flush.deadline), (0, None))

    def test_within_a_second(self) -> None:
        self.flush.committed(10.0)
        deadline = self.flush.deadline
        assert deadline is not None
        self.assertLess(deadline, 11.0)
        self.flush.tick(deadline - 0.001)
        self.assertEqual(self.syncs, 0)
        self.flush.tick(deadline)
        self.assertEqual((self.syncs, self.flush.deadline), (1, None))
        self.flush.tick(deadline + 100)
        self.assertEqual(self.syncs, 1)

    @given(st.lists(st.floats(0.0001, 0.3), min_size=1, max_size=300))
    def test_writes_that_never_pause(self, steps: list[float]) -> None:
        """No commit stays unflushed for a second while the thread comes by at least every 0.3 s."""
        flushed: list[float] = []
        now, oldest = 0.0, None
        flush = WalFlush(lambda: flushed.append(now))
        for step in steps:
            now += step
            flush.committed(now)
            oldest = now if oldest is None else oldest
            seen = len(flushed)
            flush.tick(now)
            if len(flushed) > seen:
                oldest = None
            elif oldest is not None:
                self.assertLess(now - oldest, 1.0)
        self.assertEqual(len(flushed) > 0, now >= steps[0] + FLUSH_AFTER)

    def test_error_is_told_once(self) -> None:
        def broken() -> None:
            raise OSError(5, "Input/output error")

        flush = WalFlush(broken)
        flush.committed(0.0)
        self.assertRaises(OSError, flush.tick, 2.0)
        flush.tick(3.0)


class WalFileTests(SynchronousTestCase):
    def test_own_descriptor(self) -> None:
        synced: list[str] = []
        database = Path(self.mktemp()).absolute()
        wal = database.with_name(database.name + "-wal")
        wal.write_bytes(b"x")
        file = WalFile(database, lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
        file.sync()
        file.sync()
        file.close()
        file.close()
        self.assertEqual(synced, [str(wal)] * 2)

    def test_missing(self) -> None:
        self.assertRaises(OSError, WalFile(Path(self.mktemp())).sync)
