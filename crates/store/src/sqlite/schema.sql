-- Format 1. A later format is a new file that changes this one; this file stays as it is.

CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at TEXT NOT NULL);

-- change: the last commit. lseq: the last number given to a session. horizon: readings that began
-- before it are refused, for index entries they would need are gone.
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES ('change', 0), ('lseq', 0), ('horizon', 0);

CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- place is start second << 20 | n at first sight, so that neighbours in time lie together.
CREATE TABLE session (
    place INTEGER PRIMARY KEY,
    lsid TEXT NOT NULL UNIQUE,
    lseq INTEGER NOT NULL,
    origin INTEGER NOT NULL CHECK (origin IN (0, 1)),     -- 0 events, 1 imported document
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),    -- 0 running, 1 ended, 2 lapsed
    start INTEGER NOT NULL,                               -- UNIX seconds
    ended INTEGER CHECK ((ended IS NOT NULL) = (state = 1)),
    heard INTEGER NOT NULL,                               -- our clock, milliseconds
    born INTEGER NOT NULL,                                -- commit of first sight
    change INTEGER NOT NULL,                              -- last commit
    n_events INTEGER NOT NULL,
    facts BLOB NOT NULL
);
CREATE INDEX session_change ON session (change);
CREATE INDEX session_silent ON session (heard) WHERE state = 0 AND origin = 0;

-- Sealed bytes of closed and of imported sessions. change: the commit whose state they show;
-- names: the version of the directory they were sealed with.
CREATE TABLE body (
    place INTEGER PRIMARY KEY,
    change INTEGER NOT NULL,
    names INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE TABLE unsealed (place INTEGER PRIMARY KEY);

-- The index by which windows are read. An entry lives in commits born <= c < died.
CREATE TABLE pick (
    kind INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    at INTEGER NOT NULL,
    lseq INTEGER NOT NULL,
    place INTEGER NOT NULL,
    born INTEGER NOT NULL,
    died INTEGER,
    PRIMARY KEY (kind, owner, at, lseq, place, born)
) WITHOUT ROWID;
CREATE INDEX pick_died ON pick (died) WHERE died IS NOT NULL;

-- Numbers for ids of representatives (0), teams (1) and sites (2).
CREATE TABLE name (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (kind, text)
);

-- Events, one row per commit and session. form: 0 plain, 1 DEFLATE.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    form INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
CREATE INDEX event_place ON event (place, id);

-- Every event ever acknowledged, by account and a hash of its id.
CREATE TABLE event_id (
    account INTEGER NOT NULL,
    hash BLOB NOT NULL,
    digest INTEGER NOT NULL,
    PRIMARY KEY (account, hash)
) WITHOUT ROWID;

CREATE TABLE directory (version INTEGER NOT NULL, document BLOB NOT NULL);

-- Who is logged in, by user id, until when (milliseconds).
CREATE TABLE presence (
    rep TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    permissions TEXT NOT NULL,
    networks TEXT NOT NULL,
    comment TEXT NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE token (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    account INTEGER NOT NULL,
    expires INTEGER NOT NULL
);
CREATE INDEX token_account ON token (account);

CREATE TABLE access_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    outcome TEXT NOT NULL
);
