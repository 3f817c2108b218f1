-- Sessions, their torrents and the daemon's own settings.
--
-- Blobs stand in tables of their own: the list that is read at every start stays small, and new resume data
-- never rewrites the metainfo beside it.

CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,          -- the order of creation
    id TEXT NOT NULL UNIQUE,
    first_port INTEGER NOT NULL,
    last_port INTEGER NOT NULL,
    port INTEGER,
    interfaces TEXT NOT NULL,            -- a JSON array of strings
    discovery INTEGER NOT NULL
);

CREATE TABLE torrents (
    number INTEGER PRIMARY KEY,          -- the order of adding
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    infohash TEXT NOT NULL,
    infohash_v1 TEXT,
    infohash_v2 TEXT,
    magnet TEXT,
    save_path TEXT NOT NULL,
    storage_mode TEXT NOT NULL,
    stopped INTEGER NOT NULL,
    done INTEGER NOT NULL,
    added_time INTEGER NOT NULL,         -- seconds since 1970, UTC
    "row" BLOB,
    UNIQUE (infohash, session_id)        -- the part that differs first
);

-- Lists a session in the order of adding without sorting, and finds what goes with a deleted session.
CREATE INDEX torrents_of_session ON torrents (session_id);

CREATE TABLE metainfo (
    torrent INTEGER PRIMARY KEY REFERENCES torrents (number) ON DELETE CASCADE,
    data BLOB NOT NULL
);

CREATE TABLE info (
    torrent INTEGER PRIMARY KEY REFERENCES torrents (number) ON DELETE CASCADE,
    data BLOB NOT NULL
);

CREATE TABLE resume (
    torrent INTEGER PRIMARY KEY REFERENCES torrents (number) ON DELETE CASCADE,
    data BLOB NOT NULL
);

-- Payload of removed torrents that is still to be deleted.
CREATE TABLE deletions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: who is late with the end of one ends no other
    save_path TEXT NOT NULL,
    files BLOB NOT NULL                  -- a MessagePack array of paths below it
);

CREATE TABLE tokens (
    number INTEGER PRIMARY KEY,          -- the order of creation
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,         -- SHA-256 of the token, which is not kept itself
    scopes TEXT NOT NULL,                -- with commas between
    created_time INTEGER NOT NULL,       -- all times in seconds since 1970, UTC
    expiry INTEGER,
    last_used INTEGER
);

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value NOT NULL
) WITHOUT ROWID;
