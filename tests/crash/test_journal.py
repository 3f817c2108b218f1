"""What the journal expects of a restart: a soak is as good as its memory."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.journal import Journal, TorrentState

KEY = ("s1", "ab" * 20)
FILES = [Path("/downloads/a")]


def removing(*, lasting: bool) -> Journal:
    """A torrent is there; its removal with its files was asked for, and not answered."""
    journal = Journal()
    state = TorrentState("/downloads", "sparse", stopped=False, lasting=lasting)
    journal.ask({KEY: state})
    journal.answered(KEY, state)
    journal.ask_files(KEY, FILES)
    journal.ask({KEY: None})
    return journal


class RemovalCutShortTest(SynchronousTestCase):
    """A kill comes between a removal's question and its answer."""

    def test_of_a_lasting_torrent(self) -> None:
        """It is there, or gone with its files: the next daemon finishes what was begun."""
        journal = removing(lasting=True)
        journal.died()
        self.assertEqual(journal.deleting, {KEY: FILES})

    def test_of_a_memory_only_torrent(self) -> None:
        """It is gone in either case; that its files stay may mean that the removal was never heard of."""
        journal = removing(lasting=False)
        journal.died()
        self.assertEqual(journal.deleting, {})
