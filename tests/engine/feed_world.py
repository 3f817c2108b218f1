"""Sessions of made-up rows, and subscribers that keep a table of what a feed tells them."""

import json
from collections.abc import Iterable
from typing import Any

from twisted.internet.task import Clock

from resttorrent.engine.all_torrents import AllTorrentsBoard, AllTorrentsBoards, AllTorrentsFeed
from resttorrent.engine.boards import Boards
from resttorrent.engine.feeds import Feed, Part
from resttorrent.engine.pulse import Pulse
from resttorrent.engine.roster import Roster
from resttorrent.engine.table import StatusTable
from resttorrent.engine.torrent_feed import TorrentFeed, torrent_boards, with_key
from resttorrent.engine.views import Selection, Views
from tests.engine.follower import Rows, follow, table_of
from tests.engine.synthetic import Revisions, make_row


class FakeOptions:
    def __init__(self, session_id: str) -> None:
        self.id = session_id


class FakeSession:
    """As much of a session as feeds see; ``rows`` are its torrents' values."""

    def __init__(self, session_id: str, clock: Clock, revisions: Revisions, tombstones: int) -> None:
        self.options = FakeOptions(session_id)
        self.table = StatusTable(revisions, tombstones=tombstones)
        self.views = Views(self.table, limit=2)
        self.pulse = Pulse(clock, self.table, self.fresh)
        self.boards = torrent_boards(session_id, self.table, self.views, self.pulse)
        self.rows: dict[str, dict[str, Any]] = {}
        self.asked = 0

    async def fresh(self) -> None:
        self.asked += 1

    def put(self, key: str, **values: Any) -> None:
        self.rows[key] = {"state": "stopped", **values}
        self.table.put(key, make_row(key, **values))

    def remove(self, key: str) -> None:
        self.rows.pop(key, None)
        self.table.remove(key)

    def listed(self, selection: Selection) -> list[dict[str, Any]]:
        """What a fresh list has, with the key."""
        return [
            {name: {"infohash": key, **values}.get(name) for name in with_key(selection).fields}
            for key, values in self.rows.items()
            if selection.states is None or values["state"] in selection.states
        ]


class World:
    """
    A daemon's sessions.

    :param ring: how many removals a session remembers; :param gone: how many rows of sessions that went are
        remembered.
    """

    def __init__(self, *, ring: int = 10_000, gone: int = 10_000) -> None:
        self.clock = Clock()
        self.revisions = Revisions()
        self._ring = ring
        self._count = 0
        self.roster = Roster(self.clock, self.revisions, limit=gone)
        self.boards: AllTorrentsBoards = Boards(lambda chosen: AllTorrentsBoard(self.roster, chosen))
        self.sessions: list[FakeSession] = []
        self.all: list[FakeSession] = []

    def create(self, *keys: str) -> FakeSession:
        """A session that comes with rows already, as one that was stored does."""
        self._count += 1
        session = FakeSession(f"s{self._count}", self.clock, self.revisions, self._ring)
        for key in keys:
            session.put(key)
        self.sessions.append(session)
        self.all.append(session)
        self.roster.came(session)
        return session

    def delete(self, session: FakeSession) -> None:
        self.sessions.remove(session)
        self.roster.left(session)
        self.go(session)

    def go(self, session: FakeSession) -> None:
        """The session is closed, but its table still changes, as its torrents go one by one."""
        session.pulse.close("session_not_found")

    def follow_all(self, selection: Selection, *, since: int | None = None, interval: float = 1) -> Feed:
        return AllTorrentsFeed(self.boards, selection, since=since, interval=interval)

    def all_listed(self, selection: Selection) -> list[dict[str, Any]]:
        return [
            {"session_id": session.options.id, **row}
            for session in self.sessions
            for row in session.listed(selection)
        ]

    @property
    def watched(self) -> bool:
        """Whether anybody still watches anything."""
        return any(session.table._watchers for session in self.all) or bool(self.roster._watchers)


class Subscriber:
    """
    A client that applies what it is told, and holds it to the rules.

    :param session: the one it follows; ``None`` for all.
    :param before: revision and rows that it has from before.
    :ivar woken: whether it should take; :ivar closed: the code of the end.
    :ivar whole: how many of its pushes were whole lists.
    """

    def __init__(
        self,
        world: World,
        session: FakeSession | None,
        selection: Selection,
        *,
        before: tuple[int, Rows] | None = None,
        interval: float = 1,
    ) -> None:
        self.world, self.session, self.selection = world, session, selection
        self.rows: Rows = {} if before is None else before[1]
        self.rev = 0
        self.woken = False
        self.closed: str | None = None
        self.whole = -1 if before is None else 0
        self.pushes: list[dict[str, Any]] = []
        since = None if before is None else before[0]
        if session is None:
            self.feed = world.follow_all(selection, since=since, interval=interval)
        else:
            self.feed = TorrentFeed(session, selection, since=since, interval=interval)
        opening = self.feed.opening()
        self.first = members_of(opening)
        assert self.first.pop("status") == "success"
        self._apply(self.first)
        self.feed.start(self._wake)

    def _wake(self) -> None:
        self.woken = True

    def take(self) -> Part | None:
        self.woken = False
        part = self.feed.take()
        if part is not None:
            push = members_of(part)
            self.pushes.append(push)
            if part.closes:
                assert push.pop("closed") is True
                self.closed = push.pop("code")
                assert not push, push
                self.feed.stop()
            else:
                self._apply(push)
        return part

    def _apply(self, told: dict[str, Any]) -> None:
        assert told.pop("session_id") == (None if self.session is None else self.session.options.id)
        rev = told.pop("rev")
        assert rev >= self.rev
        self.rev = rev
        if "torrents" in told:
            self.whole += 1
            self.rows = table_of(self._keyed(told.pop("torrents")))
        else:
            fields = self._fields
            changed, removed = self._keyed(told.pop("changed")), self._keys(told.pop("removed"))
            self.rows = follow(
                self.rows,
                changed,
                removed,
                fields,
                filtered=self.selection.states is not None,
                always=self._always,
            )
        assert not told, told

    @property
    def _fields(self) -> tuple[str, ...]:
        fields = with_key(self.selection).fields
        return fields if self.session is not None else ("session_id", *fields)

    @property
    def _always(self) -> int:
        """How many members every row has."""
        return 1 if self.session is not None else 2

    def _keyed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if self.session is not None:
            return rows
        return [{**row, "infohash": f"{row['session_id']}/{row['infohash']}"} for row in rows]

    def _keys(self, removed: list[Any]) -> list[str]:
        if self.session is not None:
            return removed
        assert all(set(one) == {"session_id", "infohash"} for one in removed)
        return [f"{one['session_id']}/{one['infohash']}" for one in removed]

    def wanted(self) -> Rows:
        """What it should have by now."""
        if self.session is None:
            return table_of(self._keyed(self.world.all_listed(self.selection)))
        if self.session not in self.world.sessions:
            return {}
        return table_of(self.session.listed(self.selection))


def members_of(part: Part) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(b"{" + part.members + b"}")
    if "rev" in members:
        assert members["rev"] == part.id
    return members


def take_all(subscribers: Iterable[Subscriber]) -> None:
    """What a door does: take from whoever was woken, as long as there is something."""
    for subscriber in subscribers:
        if subscriber.woken:
            subscriber.take()
