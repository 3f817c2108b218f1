"""
The topic ``torrents`` for one session.

    opening  "status":"success","session_id":"…","rev":…,"torrents":[…]      (or changed and removed)
    push     "session_id":"…","rev":…,"changed":[…],"removed":["infohash"]   (or torrents: replace all)
"""

from dataclasses import replace
from typing import Protocol

import msgspec

from .boards import Board, BoardFeed, Boards
from .pulse import Pulse
from .table import StatusTable
from .views import Selection, View, Views

EVENT = "v1/torrents"
_KEY = "infohash"
_encode = msgspec.json.Encoder().encode


def with_key(selection: Selection) -> Selection:
    """The selection with the rows' key first if it was not asked for: who follows rows must know which."""
    if _KEY in selection.fields:
        return selection
    return replace(selection, fields=(_KEY, *selection.fields))


class TorrentBoard(Board):
    """
    One session's rows in one selection.

    :param view: its rows as JSON; held, so that lists of the same selection share it.
    """

    event = EVENT

    def __init__(self, session_id: str, table: StatusTable, view: View, pulse: Pulse) -> None:
        super().__init__(pulse)
        self._table = table
        self._view = view
        self._head = b'"session_id":%s,"rev":%%d,' % _encode(session_id)

    @property
    def rev(self) -> int:
        return self._table.rev

    def knows(self, since: int) -> bool:
        return self._table.knows(since)

    def whole(self) -> bytes:
        return self._head % self.rev + b'"torrents":' + self._view.rows()[0]

    def difference(self, since: int, *, even_if_empty: bool) -> bytes | None:
        changed, removed = self._view.changes(since)
        if not (changed or removed or even_if_empty):
            return None
        head = self._head % max(self.rev, since)
        return b'%s"changed":[%s],"removed":%s' % (head, b",".join(changed), _encode(removed))

    def emptied(self, since: int) -> bytes | None:
        head = self._head % self.rev
        if not self.knows(since):
            return head + b'"torrents":[]'
        removed = self._view.held_since(since)
        return head + b'"changed":[],"removed":' + _encode(removed) if removed else None


TorrentBoards = Boards[Selection, TorrentBoard]


def torrent_boards(session_id: str, table: StatusTable, views: Views, pulse: Pulse) -> TorrentBoards:
    """The boards of one session."""
    return Boards(lambda selection: TorrentBoard(session_id, table, views.of(selection), pulse))


class Followed(Protocol):
    """A session, as a feed sees it."""

    @property
    def boards(self) -> TorrentBoards: ...


class TorrentFeed(BoardFeed):
    """
    One subscriber's sight of a session's torrents.

    :param since: a revision that the subscriber stands at already, if any.
    :param interval: seconds between two looks at counters.
    """

    def __init__(
        self, session: Followed, selection: Selection, *, since: int | None = None, interval: float
    ) -> None:
        super().__init__(session.boards.of(with_key(selection)), interval=interval, since=since)
