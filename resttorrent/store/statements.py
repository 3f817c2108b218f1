"""
The SQL of the store: one function per call, each given the connection inside a transaction.

They may run twice (see ``group``) and touch nothing but the database. A write for a torrent that has been
removed meanwhile matches no row: that is the wanted outcome, not an error.
"""

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from resttorrent.errors import SessionNotFound, TorrentExists, UserExists
from resttorrent.store.records import (
    Deletion,
    SessionRecord,
    TokenRecord,
    TorrentBlobs,
    TorrentRecord,
    UserRecord,
)

_TORRENT_COLUMNS = (
    "session_id, infohash, infohash_v1, infohash_v2, magnet, save_path, storage_mode, "
    'stopped, done, added_time, "row"'
)
_TOKEN_COLUMNS = "id, name, digest, scopes, created_time, expiry, last_used"
_USER_COLUMNS = "id, name, hash, scopes, created_time, last_login"
_ADD_TORRENT = f"INSERT INTO torrents ({_TORRENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def add_session(db: sqlite3.Connection, record: SessionRecord) -> None:
    db.execute(
        "INSERT INTO sessions (id, first_port, last_port, port, interfaces, discovery) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (record.id, *record.port_range, record.port, json.dumps(record.interfaces), record.discovery),
    )


def set_session_port(db: sqlite3.Connection, session_id: str, port: int | None) -> None:
    db.execute("UPDATE sessions SET port = ? WHERE id = ?", (port, session_id))


def delete_session(db: sqlite3.Connection, session_id: str) -> None:
    """Its torrents and their blobs go by the foreign keys."""
    db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))


def sessions(db: sqlite3.Connection) -> list[SessionRecord]:
    rows = db.execute(
        "SELECT id, first_port, last_port, port, interfaces, discovery FROM sessions ORDER BY number"
    )
    return [
        SessionRecord(id_, (first, last), port, tuple(json.loads(interfaces)), bool(discovery))
        for id_, first, last, port, interfaces, discovery in rows
    ]


def add_torrent(db: sqlite3.Connection, record: TorrentRecord, metainfo: bytes | None) -> None:
    """
    :raises TorrentExists: the session has it already.
    :raises SessionNotFound: the session has been deleted meanwhile, or is not in the database.
    """
    r = record
    try:
        number = db.execute(
            _ADD_TORRENT,
            (
                r.session_id, r.infohash, r.infohash_v1, r.infohash_v2, r.magnet, r.save_path, r.storage_mode,
                r.stopped, r.done, r.added_time, r.row,
            ),
        ).lastrowid  # fmt: skip
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise TorrentExists(f"The session already has the torrent {r.infohash}.") from error
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            raise SessionNotFound(f"There is no session {r.session_id}.") from error
        raise
    if metainfo is not None:
        db.execute("INSERT INTO metainfo (torrent, data) VALUES (?, ?)", (number, metainfo))


def remove_torrent(
    db: sqlite3.Connection, session_id: str, infohash: str, deletion: Deletion | None
) -> int | None:
    """The id of the deletion; ``None`` without one, or if there was no such torrent."""
    found = db.execute(
        "DELETE FROM torrents WHERE session_id = ? AND infohash = ?", (session_id, infohash)
    ).rowcount
    return add_deletion(db, deletion) if found and deletion is not None else None


def add_deletion(db: sqlite3.Connection, deletion: Deletion) -> int | None:
    return db.execute(
        "INSERT INTO deletions (save_path, files) VALUES (?, ?)",
        (deletion.save_path, msgspec.msgpack.encode(deletion.files)),
    ).lastrowid


def deletions(db: sqlite3.Connection) -> list[Deletion]:
    rows = db.execute("SELECT save_path, files, id FROM deletions ORDER BY id")
    return [Deletion(path, msgspec.msgpack.decode(files, type=list[str]), id_) for path, files, id_ in rows]


def deletion_done(db: sqlite3.Connection, deletion_id: int) -> None:
    db.execute("DELETE FROM deletions WHERE id = ?", (deletion_id,))


def set_stopped(
    db: sqlite3.Connection, session_id: str, infohash: str, stopped: bool, row: bytes | None
) -> None:
    """Without a ``row`` the stored one stays."""
    db.execute(
        'UPDATE torrents SET stopped = ?, "row" = coalesce(?, "row") WHERE session_id = ? AND infohash = ?',
        (stopped, row, session_id, infohash),
    )


def save_info(
    db: sqlite3.Connection,
    session_id: str,
    infohash: str,
    info: bytes,
    infohash_v1: str | None,
    infohash_v2: str | None,
) -> None:
    db.execute(
        "UPDATE torrents SET infohash_v1 = ?, infohash_v2 = ? WHERE session_id = ? AND infohash = ?",
        (infohash_v1, infohash_v2, session_id, infohash),
    )
    db.execute(
        "INSERT INTO info (torrent, data) "
        "SELECT number, ? FROM torrents WHERE session_id = ? AND infohash = ? "
        "ON CONFLICT (torrent) DO UPDATE SET data = excluded.data",
        (info, session_id, infohash),
    )


def save_resume(
    db: sqlite3.Connection, session_id: str, infohash: str, resume: bytes, row: bytes, done: bool
) -> None:
    db.execute(
        'UPDATE torrents SET "row" = ?, done = ? WHERE session_id = ? AND infohash = ?',
        (row, done, session_id, infohash),
    )
    db.execute(
        "INSERT INTO resume (torrent, data) "
        "SELECT number, ? FROM torrents WHERE session_id = ? AND infohash = ? "
        "ON CONFLICT (torrent) DO UPDATE SET data = excluded.data",
        (resume, session_id, infohash),
    )


def save_rows(db: sqlite3.Connection, session_id: str, rows: Sequence[tuple[str, bytes]]) -> None:
    db.executemany(
        'UPDATE torrents SET "row" = ? WHERE session_id = ? AND infohash = ?',
        ((row, session_id, infohash) for infohash, row in rows),
    )


def torrents(db: sqlite3.Connection, session_id: str) -> list[TorrentRecord]:
    rows = db.execute(
        f"SELECT {_TORRENT_COLUMNS} FROM torrents WHERE session_id = ? ORDER BY number", (session_id,)
    )
    return [
        TorrentRecord(sid, key, v1, v2, magnet, path, mode, stopped == 1, done == 1, added, row)
        for sid, key, v1, v2, magnet, path, mode, stopped, done, added, row in rows
    ]


def blobs(db: sqlite3.Connection, session_id: str, infohashes: Sequence[str]) -> dict[str, TorrentBlobs]:
    """Those of ``infohashes`` that exist, in one statement instead of one each."""
    rows = db.execute(
        "SELECT torrents.infohash, metainfo.data, info.data, resume.data FROM json_each(?) AS asked "
        "CROSS JOIN torrents ON torrents.session_id = ? AND torrents.infohash = asked.value "
        "LEFT JOIN metainfo ON metainfo.torrent = torrents.number "
        "LEFT JOIN info ON info.torrent = torrents.number "
        "LEFT JOIN resume ON resume.torrent = torrents.number",
        (json.dumps(list(infohashes)), session_id),
    )
    return {infohash: TorrentBlobs(metainfo, info, resume) for infohash, metainfo, info, resume in rows}


def add_token(db: sqlite3.Connection, record: TokenRecord) -> None:
    r = record
    db.execute(
        f"INSERT INTO tokens ({_TOKEN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (r.id, r.name, r.digest, ",".join(r.scopes), r.created_time, r.expiry, r.last_used),
    )


def delete_token(db: sqlite3.Connection, token_id: str) -> None:
    db.execute("DELETE FROM tokens WHERE id = ?", (token_id,))


def tokens(db: sqlite3.Connection) -> list[TokenRecord]:
    rows = db.execute(f"SELECT {_TOKEN_COLUMNS} FROM tokens ORDER BY number")
    return [
        TokenRecord(id_, name, digest, tuple(scopes.split(",")), created, expiry, used)
        for id_, name, digest, scopes, created, expiry, used in rows
    ]


def set_tokens_used(db: sqlite3.Connection, times: Sequence[tuple[int, str]]) -> None:
    db.executemany("UPDATE tokens SET last_used = ? WHERE id = ?", times)


def add_user(db: sqlite3.Connection, record: UserRecord) -> None:
    """:raises UserExists: the name is taken."""
    r = record
    try:
        db.execute(
            f"INSERT INTO users ({_USER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            (r.id, r.name, r.hash, ",".join(r.scopes), r.created_time, r.last_login),
        )
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise UserExists("there is a user of this name", field="name") from error
        raise


def update_user(
    db: sqlite3.Connection, user_id: str, hash: str | None, scopes: tuple[str, ...] | None
) -> None:
    """``None`` leaves what is stored."""
    db.execute(
        "UPDATE users SET hash = coalesce(?, hash), scopes = coalesce(?, scopes) WHERE id = ?",
        (hash, None if scopes is None else ",".join(scopes), user_id),
    )


def user_logged_in(db: sqlite3.Connection, user_id: str, hash: str, renewed: str, time: int) -> None:
    """The hash is renewed unless it is another one by now."""
    db.execute(
        "UPDATE users SET last_login = ?, hash = CASE hash WHEN ? THEN ? ELSE hash END WHERE id = ?",
        (time, hash, renewed, user_id),
    )


def delete_user(db: sqlite3.Connection, user_id: str) -> None:
    db.execute("DELETE FROM users WHERE id = ?", (user_id,))


def users(db: sqlite3.Connection) -> list[UserRecord]:
    rows = db.execute(f"SELECT {_USER_COLUMNS} FROM users ORDER BY number")
    return [
        UserRecord(id_, name, hash_, tuple(scopes.split(",")), created, login)
        for id_, name, hash_, scopes, created, login in rows
    ]


def set_setting(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute(
        "INSERT INTO settings (name, value) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def setting(db: sqlite3.Connection, name: str) -> str | None:
    found = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])
