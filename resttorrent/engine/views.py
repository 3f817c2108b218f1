"""
Lists and deltas as bytes: what of a status table a client asked for, encoded once and kept.

A ``View`` is a choice of fields and states. It keeps each row's JSON fragment until the row changes, and the
joined list until the table does, so that a list of 10,000 rows is a join and an unchanged one is nothing at
all.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from .fields import NAMES, POSITION, Row, row_positions
from .table import Entry, StatusTable

_STATE = POSITION["state"]
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Which fields of which rows.

    :ivar fields: names, in the order asked for.
    :ivar states: rows in one of these states; ``None`` for all rows.
    """

    fields: tuple[str, ...] = NAMES
    states: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """A short text that tells this selection from others, for entity tags."""
        digest = hash_text(",".join(self.fields) + "|" + ",".join(sorted(self.states or ())))
        return digest


def hash_text(text: str) -> str:
    """Eight hex digits that stay the same from one process to the next (FNV-1a, 32 bits)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:08x}"


class RowEncoder:
    """Encodes rows of a selection's fields as JSON objects."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.positions = row_positions(fields)
        # a Struct is encoded several times faster than a dict, and gc=False keeps rows off the collector
        self._struct = msgspec.defstruct("Row", [(name, Any) for name in fields], gc=False)
        self._pick = itemgetter(*self.positions) if len(fields) > 1 else lambda row: (row[self.positions[0]],)

    def __call__(self, row: Row) -> bytes:
        return _encode(self._struct(*self._pick(row)))


class View:
    """One selection of one table, with its encoded rows."""

    def __init__(self, table: StatusTable, selection: Selection) -> None:
        self._table = table
        self.selection = selection
        self._encoder = RowEncoder(selection.fields)
        self._positions = frozenset(self._encoder.positions)
        self._fragments: dict[str, bytes] = {}
        self._rev = -1
        self._joined = b"[]"

    def _matches(self, row: Row) -> bool:
        states = self.selection.states
        return states is None or row[_STATE] in states

    def rows(self) -> tuple[bytes, int]:
        """The JSON array of all rows that match, in the order in which they came, and how many they are."""
        if self._rev != self._table.rev:
            self._catch_up()
            self._joined = b"[" + b",".join(self._fragments.values()) + b"]"
            self._rev = self._table.rev
        return self._joined, len(self._fragments)

    def fragments(self) -> Iterable[bytes]:
        """All rows that match, one by one, each a JSON object."""
        self.rows()
        return self._fragments.values()

    def page(self, sort: Sequence[tuple[str, bool]], offset: int, limit: int | None) -> tuple[bytes, int]:
        """
        A sorted piece of the list.

        :param sort: (field, descending) pairs, the first the most important; absent values come last.
        :return: the JSON array, and how many rows match in all.
        """
        self.rows()
        entries = self._table.entries
        keys = list(self._fragments)
        for name, descending in reversed(sort):
            keys = _sorted_by(keys, entries, POSITION[name], descending)
        end = None if limit is None else offset + limit
        chosen = keys[offset:end]
        return b"[" + b",".join([self._fragments[key] for key in chosen]) + b"]", len(keys)

    def _catch_up(self) -> None:
        fragments, encoder, entries = self._fragments, self._encoder, self._table.entries
        if not self._table.knows(self._rev):
            fragments.clear()
            fragments.update((k, encoder(e.row)) for k, e in entries.items() if self._matches(e.row))
            return
        for key in self._table.removed_since(self._rev):
            fragments.pop(key, None)
        came: list[tuple[int, str]] = []
        for key, entry in self._table.changed_since(self._rev):
            if not self._matches(entry.row):
                fragments.pop(key, None)
                continue
            if entry.born > self._rev:
                fragments.pop(key, None)  # removed and added again: its place is a new one
            if key not in fragments:
                came.append((entry.born, key))
            fragments[key] = encoder(entry.row)
        came.sort()
        for _, key in came:
            fragments[key] = fragments.pop(key)
        if came and came[0][0] <= self._rev:
            # an old row came to match the filter: its place is among the others, not at the end
            self._fragments = {key: fragments[key] for key in entries if key in fragments}

    def delta(self, since: int) -> tuple[bytes, bytes]:
        """
        What changed after revision ``since``, which the table must know.

        :return: JSON arrays, of what ``changes`` gives.
        """
        changed, removed = self.changes(since)
        return b"[" + b",".join(changed) + b"]", _encode(removed)

    def changes(self, since: int) -> tuple[list[bytes], list[str]]:
        """
        What changed after revision ``since``, which the table must know.

        :return: JSON objects of changed rows (the key and the fields that changed; whole if the row is new to
            the view), and the keys that left it.
        """
        changed: list[bytes] = []
        removed = self._table.removed_since(since)
        for key, entry in self._table.changed_since(since):
            if self._is_new(entry, since):
                if self._matches(entry.row):
                    changed.append(self._whole(key, entry))
                else:
                    # one of its former states may have matched
                    removed.append(key)
            elif self._matches(entry.row):
                # one that changed only in fields not asked for has nothing to tell
                positions = entry.changed_since(since) & self._positions
                if positions:
                    changed.append(self._partial(key, entry.row, positions))
        changed.reverse()
        return changed, removed

    def held_since(self, since: int) -> list[str]:
        """Keys of all rows that one who stood at ``since``, which the table must know, may have."""
        held = self._table.removed_since(since)
        for key, entry in self._table.entries.items():
            if self._matches(entry.row) or self._is_new(entry, since):
                held.append(key)
        return held

    def _is_new(self, entry: Entry, since: int) -> bool:
        if entry.born > since:
            return True
        return self.selection.states is not None and entry.has_changed(_STATE, since)

    def _whole(self, key: str, entry: Entry) -> bytes:
        fragment = self._encoder(entry.row)
        if "infohash" in self.selection.fields:
            return fragment
        return b'{"infohash":' + _encode(key) + b"," + fragment[1:]

    @staticmethod
    def _partial(key: str, row: Row, positions: Iterable[int]) -> bytes:
        return _encode({"infohash": key, **{NAMES[p]: row[p] for p in sorted(positions)}})


def _sorted_by(keys: list[str], entries: Any, position: int, descending: bool) -> list[str]:
    present = [k for k in keys if entries[k].row[position] is not None]
    absent = [k for k in keys if entries[k].row[position] is None]
    present.sort(key=lambda k: entries[k].row[position], reverse=descending)
    return present + absent


class Views:
    """
    The views of one table that were asked for lately.

    :param limit: how many are kept; each holds its rows' bytes.
    """

    def __init__(self, table: StatusTable, limit: int = 8) -> None:
        self._table = table
        self._limit = limit
        self._views: OrderedDict[Selection, View] = OrderedDict()
        self._held: WeakValueDictionary[Selection, View] = WeakValueDictionary()
        self._encoders: OrderedDict[tuple[str, ...], RowEncoder] = OrderedDict()

    def of(self, selection: Selection) -> View:
        """The view of this selection, the same one as long as it is kept, or anybody holds it."""
        view = self._views.get(selection)
        if view is None:
            view = self._held.get(selection) or View(self._table, selection)
            self._views[selection] = self._held[selection] = view
            if len(self._views) > self._limit:
                self._views.popitem(last=False)
        self._views.move_to_end(selection)
        return view

    def encoder(self, fields: tuple[str, ...]) -> RowEncoder:
        """What encodes single rows with these fields."""
        encoder = self._encoders.get(fields)
        if encoder is None:
            encoder = self._encoders[fields] = RowEncoder(fields)
            if len(self._encoders) > self._limit:
                self._encoders.popitem(last=False)
        return encoder
