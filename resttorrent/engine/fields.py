"""
The columns of a torrent, each declared once.

Schema, ``?fields=``, sorting, filtering and the documentation come from ``FIELDS``; a row is a plain tuple in
that order. Names are libtorrent's ``torrent_status`` where it has one. Sizes are bytes, rates bytes per
second, durations seconds, times epoch seconds; what is not known is ``None``.

Source: https://libtorrent.org/reference-Torrent_Status.html
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple, Protocol

import libtorrent as lt
import msgspec

Row = tuple[Any, ...]


class Facts(Protocol):
    """What RestTorrent itself knows of a torrent, beside libtorrent's status."""

    @property
    def infohash(self) -> str: ...
    @property
    def infohash_v1(self) -> str | None: ...
    @property
    def infohash_v2(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def save_path(self) -> str: ...
    @property
    def content_path(self) -> str | None: ...
    @property
    def memory_only(self) -> bool: ...
    @property
    def storage_mode(self) -> str: ...
    @property
    def added_time(self) -> int: ...


class Reading(NamedTuple):
    """One ``torrent_status``, copied out; and when (epoch seconds) and in which of our states it was."""

    flags: int
    state: Any
    moving_storage: bool
    errc: Any
    error_file: int
    has_metadata: bool
    is_finished: bool
    is_seeding: bool
    progress_ppm: int
    total: int
    total_wanted: int
    total_wanted_done: int
    total_done: int
    download_payload_rate: int
    upload_payload_rate: int
    all_time_download: int
    all_time_upload: int
    total_payload_download: int
    total_payload_upload: int
    num_seeds: int
    num_peers: int
    num_connections: int
    num_complete: int
    num_incomplete: int
    completed_time: int
    active_duration: timedelta
    finished_duration: timedelta
    seeding_duration: timedelta
    last_download: datetime | None
    last_upload: datetime | None
    download_limit: int
    upload_limit: int
    queue_position: int
    current_tracker: str
    next_announce: timedelta


_copy_out = attrgetter(*Reading._fields)

_PAUSED = int(lt.torrent_flags.paused)
_AUTO_MANAGED = int(lt.torrent_flags.auto_managed)
_SEQUENTIAL = int(lt.torrent_flags.sequential_download)
_SUPER_SEEDING = int(lt.torrent_flags.super_seeding)

_CHECKING = frozenset({lt.torrent_status.checking_files, lt.torrent_status.queued_for_checking})

STATES = (
    "checking_resume_data",
    "moving",
    "missing_files",
    "error",
    "stopped",
    "queued",
    "downloading_metadata",
    "checking",
    "seeding",
    "finished",
    "downloading",
)
"""Every word that the field ``state`` can hold."""


def state_of(reading: Reading) -> str:
    """The one word for what a torrent does; the first rule that fits wins."""
    state, flags = reading.state, reading.flags
    if state == lt.torrent_status.checking_resume_data and not flags & _PAUSED:
        return "checking_resume_data"
    if reading.moving_storage:
        return "moving"
    if error := reading.errc.value():
        return "missing_files" if error == errno.ENOENT else "error"
    if flags & _PAUSED:
        # libtorrent checks files of a torrent that its queue holds back, never of one that was stopped
        if not flags & _AUTO_MANAGED:
            return "stopped"
        return "checking" if state == lt.torrent_status.checking_files else "queued"
    if state in _CHECKING:
        return "checking"
    if not reading.has_metadata:
        return "downloading_metadata"
    if reading.is_seeding:
        return "seeding"
    return "finished" if reading.is_finished else "downloading"


Read = Callable[[Reading, Facts, str, float], Any]
"""Reads a field's value from (status, facts, state, now in epoch seconds)."""


@dataclass(frozen=True, slots=True)
class Field:
    """
    One column.

    :ivar type: of its values, ``None`` included where a value may be absent.
    :ivar unit: as people write it; empty for a plain number or text.
    :ivar read: how the value comes about; or ``"status"`` or ``"facts"``, whose attribute of that name it is.
    :ivar initial: the value of a torrent that libtorrent has not reported yet.
    """

    name: str
    type: Any
    unit: str
    doc: str
    read: Read | Literal["status", "facts"]
    initial: Any


def _plain(name: str, type_: Any, unit: str, doc: str, initial: Any = 0) -> Field:
    return Field(name, type_, unit, doc, "status", initial)


def _fact(name: str, type_: Any, unit: str, doc: str) -> Field:
    return Field(name, type_, unit, doc, "facts", None)


def _flag(name: str, mask: int, doc: str) -> Field:
    return Field(name, bool, "", doc, lambda s, f, state, now: s.flags & mask != 0, False)


def _seconds(name: str, doc: str) -> Field:
    attribute = attrgetter(name)
    return Field(name, int, "s", doc, lambda s, f, state, now: attribute(s) // _SECOND, 0)


def _known(name: str, doc: str, *, unknown: int) -> Field:
    """A count for which libtorrent has a number that means "not known"."""
    attribute = attrgetter(name)

    def read(s: Reading, f: Facts, state: str, now: float) -> int | None:
        value: int = attribute(s)
        return None if value == unknown else value

    return Field(name, int | None, "", doc, read, None)


def _rate(name: str, doc: str) -> Field:
    attribute = attrgetter(name)
    # libtorrent lets the rate of a torrent that was stopped fade for a minute
    return Field(name, int, "B/s", doc, lambda s, f, state, now: 0 if s.flags & _PAUSED else attribute(s), 0)


def _limit(name: str, doc: str) -> Field:
    attribute = attrgetter(name)
    return Field(name, int, "B/s", doc, lambda s, f, state, now: max(attribute(s), 0), 0)


_SECOND = timedelta(seconds=1)


def _ratio(s: Reading, f: Facts, state: str, now: float) -> float | None:
    got = s.all_time_download or s.total_done
    return round(s.all_time_upload / got, 4) if got else None


def _eta(s: Reading, f: Facts, state: str, now: float) -> int | None:
    rate = s.download_payload_rate
    if not rate or state != "downloading":
        return None
    return -(-(s.total_wanted - s.total_wanted_done) // rate)


def _stalled(s: Reading, f: Facts, state: str, now: float) -> bool:
    if state in ("downloading", "downloading_metadata"):
        return not s.download_payload_rate
    return state in ("seeding", "finished") and not s.upload_payload_rate


def _forced(s: Reading, f: Facts, state: str, now: float) -> bool:
    return not s.flags & (_PAUSED | _AUTO_MANAGED)


def _last_activity(s: Reading, f: Facts, state: str, now: float) -> int | None:
    times = [int(t.timestamp()) for t in (s.last_download, s.last_upload) if t is not None]
    return max(times, default=None)


def _next_announce(s: Reading, f: Facts, state: str, now: float) -> int | None:
    seconds = s.next_announce.total_seconds()
    return round(now + seconds) if seconds > 0 and not s.flags & _PAUSED else None


def _error(s: Reading, f: Facts, state: str, now: float) -> str | None:
    return s.errc.message() if s.errc.value() else None


FIELDS: tuple[Field, ...] = (
    _fact("infohash", str, "", "the torrent's key: its v1 info-hash if it has one, else the truncated v2"),
    _fact("infohash_v1", str | None, "", "SHA-1 of the info dictionary, 40 hex digits"),
    _fact("infohash_v2", str | None, "", "SHA-256 of the info dictionary, 64 hex digits"),
    _fact("name", str | None, "", "as the torrent or the magnet link names it"),
    Field("state", str, "", "one of: " + ", ".join(STATES), lambda s, f, state, now: state, STATES[0]),
    Field(
        "progress", float, "", "of what is wanted, 0 to 1",
        lambda s, f, state, now: s.progress_ppm / 1e6, 0.0,
    ),
    _plain("total", int, "B", "size of all files"),
    _plain("total_wanted", int, "B", "size of the files that are wanted"),
    _plain("total_wanted_done", int, "B", "how much of that is here"),
    _plain("total_done", int, "B", "how much is here, unwanted parts too"),
    Field(
        "total_left", int, "B", "how much of what is wanted is missing",
        lambda s, f, state, now: s.total_wanted - s.total_wanted_done, 0,
    ),
    _rate("download_payload_rate", "payload arriving"),
    _rate("upload_payload_rate", "payload leaving"),
    _plain("all_time_download", int, "B", "payload received since it was added"),
    _plain("all_time_upload", int, "B", "payload sent since it was added"),
    _plain("total_payload_download", int, "B", "payload received since the daemon started"),
    _plain("total_payload_upload", int, "B", "payload sent since the daemon started"),
    Field("ratio", float | None, "", "sent ÷ received (÷ what is here, if none was)", _ratio, None),
    Field("eta", int | None, "s", "until all that is wanted is here, at the present rate", _eta, None),
    _plain("num_seeds", int, "", "connected peers that have everything"),
    _plain("num_peers", int, "", "connected peers, seeds included"),
    _plain("num_connections", int, "", "connections, half-open ones included"),
    _known("num_complete", "seeds in the swarm, by the tracker", unknown=-1),
    _known("num_incomplete", "downloaders in the swarm, by the tracker", unknown=-1),
    _fact("save_path", str, "", "folder that the payload lies in"),
    _fact("content_path", str | None, "", "the torrent's file or top folder, absolute"),
    _fact("added_time", int, "epoch s", "when it was added"),
    _known("completed_time", "when all that was wanted had arrived, epoch s", unknown=0),
    _seconds("active_duration", "time running"),
    _seconds("finished_duration", "time running with all that was wanted"),
    _seconds("seeding_duration", "time running with everything"),
    Field("last_activity", int | None, "epoch s", "when payload last moved", _last_activity, None),
    _limit("download_limit", "0: none"),
    _limit("upload_limit", "0: none"),
    _known("queue_position", "place in the session's queue, from 0", unknown=-1),
    Field(
        "current_tracker", str | None, "", "the tracker that last answered",
        lambda s, f, state, now: s.current_tracker or None, None,
    ),
    Field("next_announce", int | None, "epoch s", "when a tracker will be asked again", _next_announce, None),
    Field("error", str | None, "", "why it does not run", _error, None),
    _known("error_file", "index of the file that the error is about", unknown=-1),
    _flag("auto_managed", _AUTO_MANAGED, "whether the session's queue starts and stops it"),
    _flag("sequential_download", _SEQUENTIAL, "whether pieces are asked for in order"),
    _flag("super_seeding", _SUPER_SEEDING, "BEP 16"),
    Field("stalled", bool, "", "runs, but no payload moves", _stalled, False),
    Field("forced", bool, "", "runs whatever the queue says", _forced, False),
    Field("complete", bool, "", "all that is wanted is here", lambda s, f, state, now: s.is_finished, False),
    _plain("has_metadata", bool, "", "whether the info dictionary is known", False),
    _fact("memory_only", bool, "", "gone when the daemon stops"),
    _fact("storage_mode", str, "", "sparse or allocate"),
)  # fmt: skip

NAMES: tuple[str, ...] = tuple(field.name for field in FIELDS)
POSITION: Mapping[str, int] = {name: position for position, name in enumerate(NAMES)}

URGENT = frozenset(POSITION[name] for name in ("state", "error", "has_metadata", "name"))
"""Positions whose change is told at once; all others may wait for the watcher's interval."""

# A row is begun with all that is copied as it stands, in one C call each, then the computed ones are put in.
_copied = itemgetter(*(Reading._fields.index(f.name) if f.read == "status" else 0 for f in FIELDS))
_FACTS = tuple((POSITION[f.name], f.name) for f in FIELDS if f.read == "facts")
_facts = attrgetter(*(name for _, name in _FACTS))
_FACT_POSITIONS = tuple(position for position, _ in _FACTS)
_INITIAL = tuple(f.initial for f in FIELDS)
_COMPUTED = tuple((POSITION[f.name], f.read) for f in FIELDS if callable(f.read))


def read_row(status: lt.torrent_status, facts: Facts, now: float) -> Row:
    """
    The row of a torrent that libtorrent reported.

    :raises UnicodeDecodeError: for text that is no UTF-8 (libtorrent decodes when an attribute is read).
    """
    reading = Reading._make(_copy_out(status))
    state = state_of(reading)
    values = list(_copied(reading))
    for position, value in zip(_FACT_POSITIONS, _facts(facts), strict=True):
        values[position] = value
    for position, read in _COMPUTED:
        values[position] = read(reading, facts, state, now)
    return tuple(values)


def initial_row(facts: Facts, **known: Any) -> Row:
    """
    The row of a torrent that libtorrent has not reported yet; ``known`` are values beside our own facts.
    """
    values = list(_INITIAL)
    for position, value in zip(_FACT_POSITIONS, _facts(facts), strict=True):
        values[position] = value
    for name, value in known.items():
        values[POSITION[name]] = value
    return tuple(values)


def restate(row: Row, **changes: Any) -> Row:
    """The row with some values put in by name."""
    values = list(row)
    for name, value in changes.items():
        values[POSITION[name]] = value
    return tuple(values)


_AT_REST: Mapping[str, Any] = {
    "state": STATES[0],
    **{
        f.name: f.initial
        for f in FIELDS
        if f.name.startswith(("download_p", "upload_p", "num_", "total_payload"))
    },
    **dict.fromkeys(("eta", "next_announce", "num_complete", "num_incomplete")),
}
_SIGNATURE = ",".join(NAMES)
_FINGERPRINT = sum(ord(c) * (i + 1) for i, c in enumerate(_SIGNATURE)) & 0xFFFFFFFF


def pack_row(row: Row) -> bytes:
    """A row as the store keeps it."""
    return msgspec.msgpack.encode((_FINGERPRINT, row))


def unpack_row(packed: bytes | None) -> Row | None:
    """
    A stored row as it is listed until libtorrent has loaded the torrent: nothing moves, resume data is
    checked.

    :return: ``None`` for a row that a version with other columns stored, or that was damaged.
    """
    if packed is None:
        return None
    try:
        fingerprint, values = msgspec.msgpack.decode(packed)
    except (msgspec.DecodeError, ValueError, TypeError):
        return None
    if fingerprint != _FINGERPRINT or len(values) != len(FIELDS):
        return None
    for name, value in _AT_REST.items():
        values[POSITION[name]] = value
    return tuple(values)


def row_positions(names: Sequence[str]) -> tuple[int, ...]:
    """The places of these fields in a row; every name must be a field's."""
    return tuple(POSITION[name] for name in names)
