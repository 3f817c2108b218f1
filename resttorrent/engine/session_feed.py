"""
The topic ``sessions``: which sessions there are, and what is said of each.

    opening  "status":"success","rev":…,"sessions":[{"id":"…",…}]      (or changed and removed)
    push     "rev":…,"changed":[whole session objects],"removed":["id"]   (or sessions: replace all)

Sessions are few: at each look all are described anew and compared with what was said before.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from .boards import Board, BoardFeed, Boards
from .pulse import Pulse
from .roster import Roster
from .table import Counter

EVENT = "v1/sessions"
TOMBSTONES = 1000
"""How many sessions that went are remembered."""
_encode = msgspec.json.Encoder().encode

Describe = Callable[[Any], Any]
"""What is said of a session, as something that can be encoded."""


class SessionsBoard(Board):
    """All sessions as ``describe`` describes them."""

    event = EVENT

    def __init__(self, roster: Roster, revisions: Counter, describe: Describe) -> None:
        super().__init__(Pulse(roster.clock, self, self._look_at_interval))
        self._roster = roster
        self._revisions = revisions
        self._describe = describe
        self._shown: dict[str, tuple[bytes, int]] = {}
        self._removed: deque[tuple[int, str]] = deque()
        self._stale = True
        self._rev = self._forgotten = revisions.current

    # -- looking ---------------------------------------------------------

    @property
    def rev(self) -> int:
        if self._stale:
            self._look()
        return self._rev

    def watch(self, urgent: Callable[[], None]) -> Callable[[], None]:
        """As ``Roster.watch``; sessions are looked at when somebody asks for them."""

        def changed() -> None:
            self._stale = True
            urgent()

        # nobody told of what happened until now
        self._stale = True
        return self._roster.watch(changed)

    def look_again(self) -> None:
        """What was seen may have changed."""
        self._stale = True

    async def _look_at_interval(self) -> None:
        self.look_again()

    def _look(self) -> None:
        self._stale = False
        described = {m.session.options.id: _encode(self._describe(m.session)) for m in self._roster}
        for session_id in self._shown.keys() - described.keys():
            del self._shown[session_id]
            self._rev = self._revisions.next()
            self._removed.append((self._rev, session_id))
        while len(self._removed) > TOMBSTONES:
            self._forgotten = self._removed.popleft()[0]
        for session_id, members in described.items():
            if session_id not in self._shown or self._shown[session_id][0] != members:
                self._rev = self._revisions.next()
                self._shown[session_id] = (members, self._rev)

    # -- telling ---------------------------------------------------------

    def knows(self, since: int) -> bool:
        # looked at first: that takes revisions
        return self.rev >= 0 and self._forgotten <= since <= self._revisions.current

    def whole(self) -> bytes:
        rev = self.rev
        sessions = b",".join(members for members, _ in self._shown.values())
        return b'"rev":%d,"sessions":[%s]' % (rev, sessions)

    def difference(self, since: int, *, even_if_empty: bool) -> bytes | None:
        rev = max(self.rev, since)
        changed = [members for members, last in self._shown.values() if last > since]
        removed = [session_id for last, session_id in self._removed if last > since]
        if not (changed or removed or even_if_empty):
            return None
        return b'"rev":%d,"changed":[%s],"removed":%s' % (rev, b",".join(changed), _encode(removed))


SessionsBoards = Boards[Describe, SessionsBoard]


def sessions_boards(roster: Roster, revisions: Counter) -> SessionsBoards:
    """The boards of one daemon; they end with its roster."""
    boards: SessionsBoards = Boards(lambda describe: SessionsBoard(roster, revisions, describe))

    def close(code: str) -> None:
        for board in boards.alive():
            board.pulse.close(code)

    roster.at_close(close)
    return boards


class SessionsFeed(BoardFeed):
    """
    One subscriber's sight of the sessions.

    :param describe: what is said of each, the same function for all who are to share the work.
    :param interval: seconds between two looks at what no event tells of.
    """

    def __init__(
        self, boards: SessionsBoards, describe: Describe, *, since: int | None = None, interval: float
    ) -> None:
        board = boards.of(describe)
        board.look_again()
        super().__init__(board, interval=interval, since=since)
