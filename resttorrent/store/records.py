"""What the store keeps, as plain values that cross between the reactor and the store's thread."""

from typing import Literal

from msgspec import Struct


class SessionRecord(Struct, frozen=True):
    """
    A session that outlives the process.

    :ivar port_range: (first, last) as asked for.
    :ivar port: the port last bound, or ``None``.
    :ivar interfaces: addresses or device names for peers; empty means all.
    """

    id: str
    port_range: tuple[int, int]
    port: int | None
    interfaces: tuple[str, ...]
    discovery: bool


# gc=False: tens of thousands are made at a start, in a fraction of a dataclass's time, none part of a cycle
class TorrentRecord(Struct, frozen=True, gc=False):
    """
    A torrent of such a session.

    :ivar infohash: its key, fixed when it was added: v1 if there is one, else the truncated v2.
    :ivar infohash_v1: 40 hex digits, or ``None``; :ivar infohash_v2: 64 hex digits, or ``None``.
    :ivar magnet: the cleaned magnet link it was added by, or ``None`` for a .torrent file.
    :ivar stopped: not to run until told so.
    :ivar done: all that was wanted had been downloaded when its resume data was last saved.
    :ivar added_time: epoch seconds.
    :ivar row: its last known row of the status table, as ``engine.fields`` encodes it; or ``None``.
    """

    session_id: str
    infohash: str
    infohash_v1: str | None
    infohash_v2: str | None
    magnet: str | None
    save_path: str
    storage_mode: Literal["sparse", "allocate"]
    stopped: bool
    done: bool
    added_time: int
    row: bytes | None


class Deletion(Struct, frozen=True):
    """
    Payload of a removed torrent that is to be deleted.

    :ivar save_path: absolute; :ivar files: paths below it.
    :ivar id: the store's, 0 for one that it doesn't have.
    """

    save_path: str
    files: list[str]
    id: int = 0


class TokenRecord(Struct, frozen=True):
    """
    A token.

    :ivar digest: SHA-256 of its text, which is not kept.
    :ivar scopes: all that it is good for; :ivar expiry: epoch seconds, or ``None``; so is ``last_used``.
    """

    id: str
    name: str
    digest: bytes
    scopes: tuple[str, ...]
    created_time: int
    expiry: int | None
    last_used: int | None


class UserRecord(Struct, frozen=True):
    """
    Somebody who logs in with a password.

    :ivar name: canonical; :ivar hash: the password's, by argon2, never shown, not in a traceback either.
    :ivar scopes: all that the user is good for; :ivar last_login: epoch seconds, or ``None``.
    """

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    created_time: int
    last_login: int | None

    def __repr__(self) -> str:
        return f"UserRecord({self.id!r}, {self.name!r})"


class TorrentBlobs(Struct, frozen=True, gc=False):
    """
    What libtorrent needs to load a torrent.

    :ivar metainfo: the .torrent file as it was added, or ``None``.
    :ivar info: the bencoded info dictionary that a magnet got from its peers, or ``None``.
    :ivar resume: bare resume data (no info dictionary), or ``None`` if none was saved yet.
    """

    metainfo: bytes | None
    info: bytes | None
    resume: bytes | None
