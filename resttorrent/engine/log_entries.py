"""Entries of the event log: what each holds, and how it is written out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from ..printable import one_line
from .feeds import Part

Level = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("info", "warning", "error")

SESSION_DELETED = "session_deleted"
EVENTS = (
    "session_created",
    SESSION_DELETED,
    "listen_failed",
    "listen_succeeded",
    "torrent_added",
    "torrent_removed",
    "torrent_stopped",
    "torrent_resumed",
    "metadata_received",
    "torrent_finished",
    "torrent_error",
    "file_error",
    "tracker_error",
    "tracker_warning",
)
"""Every word that an entry's ``event`` can hold."""

_encode = msgspec.json.Encoder().encode


class Entry:
    """
    One thing that happened.

    :ivar time: epoch seconds; :ivar event: one of ``EVENTS``; :ivar message: one line for people.
    """

    __slots__ = ("_json", "event", "id", "infohash", "level", "message", "session_id", "time")

    def __init__(
        self,
        id: int,
        time: float,
        level: Level,
        event: str,
        session_id: str | None,
        infohash: str | None,
        message: str,
    ) -> None:
        self.id = id
        self.time = time
        self.level = level
        self.event = event
        self.session_id = session_id
        self.infohash = infohash
        self.message = message
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The entry as a JSON object, made when it is first asked for."""
        if self._json is None:
            self._json = _encode(
                {
                    "id": self.id,
                    "time": round(self.time, 3),
                    "level": self.level,
                    "event": self.event,
                    "session_id": self.session_id,
                    "infohash": self.infohash,
                    "message": one_line(self.message),
                }
            )
        return self._json


@dataclass(frozen=True, eq=False)
class Excerpt:
    """
    Some entries, the oldest first.

    :ivar rev: the id to go on from.
    :ivar gap: entries between the id that was named and the first of these were lost, or may have been.
    """

    entries: tuple[Entry, ...]
    rev: int
    gap: bool

    @cached_property
    def json(self) -> bytes:
        """The JSON array of the entries."""
        return b"[" + b",".join([entry.json for entry in self.entries]) + b"]"

    @cached_property
    def opening(self) -> Part:
        """What answers a subscription."""
        gap = b"true" if self.gap else b"false"
        members = b'"status":"success","rev":%d,"gap":%b,"entries":%b' % (self.rev, gap, self.json)
        return Part(members, self.rev)

    @cached_property
    def push(self) -> Part:
        """What is pushed; ``gap`` is named only where there is one."""
        gap = b'"gap":true,' if self.gap else b""
        return Part(b'%b"entries":%b' % (gap, self.json), self.rev)
