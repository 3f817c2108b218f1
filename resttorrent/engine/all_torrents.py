"""
The topic ``torrents`` for all sessions, those that come later too.

As for one session, but ``session_id`` is ``null`` in the push and stands in each row instead, and ``removed``
is ``[{"session_id":"…","infohash":"…"}]``. ``rev`` is the daemon's.
"""

from collections.abc import Iterable, Iterator

import msgspec

from .boards import Board, BoardFeed, Boards
from .roster import Roster
from .torrent_feed import EVENT, with_key
from .views import Selection, View

_encode = msgspec.json.Encoder().encode
_HEAD = b'"session_id":null,"rev":%d,'


class AllTorrentsBoard(Board):
    """The rows of all sessions in one selection."""

    event = EVENT

    def __init__(self, roster: Roster, selection: Selection) -> None:
        super().__init__(roster.pulse)
        self._roster = roster
        self._selection = selection
        self._views: dict[str, View] = {}

    @property
    def rev(self) -> int:
        return self._roster.rev

    def knows(self, since: int) -> bool:
        return self._roster.knows(since)

    def whole(self) -> bytes:
        rows: list[bytes] = []
        for session_id, _, view in self._look():
            rows += _named(session_id, view.fragments())
        return _HEAD % self.rev + b'"torrents":[' + b",".join(rows) + b"]"

    def difference(self, since: int, *, even_if_empty: bool) -> bytes | None:
        changed: list[bytes] = []
        removed: list[bytes] = []
        for gone in self._roster.departed_since(since):
            removed += _keys(gone.session_id, gone.keys)
        for session_id, came, view in self._look():
            if came > since:
                changed += _named(session_id, view.fragments())
            else:
                rows, keys = view.changes(since)
                changed += _named(session_id, rows)
                removed += _keys(session_id, keys)
        if not (changed or removed or even_if_empty):
            return None
        head = _HEAD % max(self.rev, since)
        return b'%s"changed":[%s],"removed":[%s]' % (head, b",".join(changed), b",".join(removed))

    def _look(self) -> Iterator[tuple[str, int, View]]:
        # held until the next look, so that the views are not made anew each time
        self._views = {m.session.options.id: m.session.views.of(self._selection) for m in self._roster}
        for member in self._roster:
            session_id = member.session.options.id
            yield session_id, member.came, self._views[session_id]


def _named(session_id: str, rows: Iterable[bytes]) -> list[bytes]:
    head = b'{"session_id":%s,' % _encode(session_id)
    return [head + row[1:] for row in rows]


def _keys(session_id: str, keys: Iterable[str]) -> list[bytes]:
    head = b'{"session_id":%s,"infohash":' % _encode(session_id)
    return [b"%s%s}" % (head, _encode(key)) for key in keys]


AllTorrentsBoards = Boards[Selection, AllTorrentsBoard]


class AllTorrentsFeed(BoardFeed):
    """One subscriber's sight of all sessions' torrents; parameters as ``TorrentFeed``'s."""

    def __init__(
        self,
        boards: AllTorrentsBoards,
        selection: Selection,
        *,
        since: int | None = None,
        interval: float,
    ) -> None:
        super().__init__(boards.of(with_key(selection)), interval=interval, since=since)
