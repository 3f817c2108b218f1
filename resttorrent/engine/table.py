"""
The status table: what is known of each torrent of a session, and since which revision.

Every change of a row takes the daemon's next revision. Rows are kept in order of their last change, so that
"all that changed since revision R" costs what changed, not what exists. A row that goes leaves a tombstone in
a bounded ring; whoever asks about a time before the oldest tombstone that was dropped must take the whole
list.

Sans-I/O: libtorrent's reports come in as rows (``engine.fields``), the clock is not needed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from .fields import POSITION, URGENT, Row

TOMBSTONES = 10_000
"""How many removals are remembered."""


class Counter(Protocol):
    """The daemon's revisions: ``next()`` takes one, ``current`` is the last that was taken."""

    @property
    def current(self) -> int: ...

    def next(self) -> int: ...


class Entry:
    """
    One row with its history.

    :ivar row: the values, in the order of ``fields.FIELDS``.
    :ivar born: the revision at which it came (or came again).
    :ivar rev: the revision of its last change.
    """

    __slots__ = ("_changes", "born", "rev", "row")

    def __init__(self, row: Row, rev: int) -> None:
        self.row = row
        self.born = self.rev = rev
        self._changes: dict[int, int] | None = None

    def replace(self, row: Row, rev: int) -> frozenset[int] | set[int]:
        """Put new values in; return the positions of those that differ, and do nothing if none does."""
        old = self.row
        if row == old:
            return frozenset()
        changed = {i for i, value in enumerate(row) if value != old[i]}
        self.row, self.rev = row, rev
        if self._changes is None:
            self._changes = {}
        for position in changed:
            self._changes[position] = rev
        return changed

    def changed_since(self, since: int) -> set[int]:
        """
        Positions of the fields that changed after revision ``since``, at which the row was there already.
        """
        if self._changes is None:
            return set()
        return {position for position, rev in self._changes.items() if rev > since}

    def has_changed(self, position: int, since: int) -> bool:
        """Whether this field changed after revision ``since``, at which the row was there already."""
        return self._changes is not None and self._changes.get(position, since) > since


class StatusTable:
    """
    The rows of one session.

    :param revisions: the daemon's counter; nothing before its present value is known here.
    :ivar rev: of the last change; :ivar urgent_rev: of the last that watchers were told of at once.
    """

    def __init__(self, revisions: Counter, tombstones: int = TOMBSTONES) -> None:
        self._revisions = revisions
        self._entries: dict[str, Entry] = {}
        self._recent: dict[str, Entry] = {}
        self._tombstones: deque[tuple[int, str]] = deque()
        self._tombstone_limit = tombstones
        self._forgotten = revisions.current
        self._watchers: set[Callable[[], None]] = set()
        self.rev = self.urgent_rev = revisions.current

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All rows by key, in the order in which they came."""
        return self._entries

    def value(self, key: str, field: str) -> Any:
        """One field of a row."""
        return self._entries[key].row[POSITION[field]]

    # -- changes ---------------------------------------------------------

    def put(self, key: str, row: Row) -> bool:
        """Insert or replace a row; return whether anything changed."""
        entry = self._entries.get(key)
        if entry is None:
            self.rev = self._revisions.next()
            self._entries[key] = self._recent[key] = Entry(row, self.rev)
            self._call_watchers()
            return True
        # the revision is taken only for a row that differs: an idle table stays at its revision
        if row == entry.row:
            return False
        self.rev = self._revisions.next()
        changed = entry.replace(row, self.rev)
        del self._recent[key]
        self._recent[key] = entry
        if not URGENT.isdisjoint(changed):
            self._call_watchers()
        return True

    def remove(self, key: str) -> None:
        """Take a row out and leave its tombstone; an unknown key is no error."""
        if self._entries.pop(key, None) is None:
            return
        del self._recent[key]
        self.rev = self._revisions.next()
        self._tombstones.append((self.rev, key))
        if len(self._tombstones) > self._tombstone_limit:
            self._forgotten = self._tombstones.popleft()[0]
        self._call_watchers()

    # -- questions -------------------------------------------------------

    def knows(self, since: int) -> bool:
        """Whether every change after revision ``since`` can still be told."""
        return self._forgotten <= since <= self._revisions.current

    @property
    def known_since(self) -> int:
        """The oldest revision from which every change can still be told."""
        return self._forgotten

    def known_keys(self) -> list[str]:
        """Keys of all rows, and of those that went and are remembered: whatever a reader may have."""
        return list(dict.fromkeys((*self._entries, *(key for _, key in self._tombstones))))

    def changed_since(self, since: int) -> Iterator[tuple[str, Entry]]:
        """Rows that came or changed after ``since``, the last one first."""
        for key in reversed(self._recent):
            entry = self._recent[key]
            if entry.rev <= since:
                return
            yield key, entry

    def removed_since(self, since: int) -> list[str]:
        """Keys that went after ``since`` and did not come again, the last one first."""
        removed: dict[str, None] = {}
        for rev, key in reversed(self._tombstones):
            if rev <= since:
                break
            if key not in self._entries:
                removed[key] = None
        return list(removed)

    # -- watching --------------------------------------------------------

    def watch(self, urgent: Callable[[], None]) -> Callable[[], None]:
        """
        Have ``urgent`` called at each change that can't wait: a row that came or went, a state, an error.

        :return: a function that ends it.
        """
        self._watchers.add(urgent)
        return lambda: self._watchers.discard(urgent)

    def _call_watchers(self) -> None:
        self.urgent_rev = self.rev
        for watcher in tuple(self._watchers):
            watcher()
