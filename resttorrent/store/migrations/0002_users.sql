-- Those who log in with a name and a password.

CREATE TABLE users (
    number INTEGER PRIMARY KEY,          -- the order of creation
    id TEXT NOT NULL UNIQUE,             -- never used twice, as a name may be
    name TEXT NOT NULL UNIQUE,           -- canonical: see access/users.py
    hash TEXT NOT NULL,                  -- argon2, with its salt and parameters
    scopes TEXT NOT NULL,                -- with commas between
    created_time INTEGER NOT NULL,       -- seconds since 1970, UTC
    last_login INTEGER
);
