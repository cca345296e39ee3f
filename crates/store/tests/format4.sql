-- An archive as format 4 wrote it when it was killed: events of four sessions that ended, acknowledged
-- and not settled.

CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at TEXT NOT NULL);
INSERT INTO schema_version VALUES(1,'2026-11-28 00:40:28');
INSERT INTO schema_version VALUES(2,'2026-11-28 00:40:28');
INSERT INTO schema_version VALUES(3,'2026-11-28 00:40:28');
INSERT INTO schema_version VALUES(4,'2026-11-28 00:40:28');
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES('change',4);
INSERT INTO counter VALUES('horizon',0);
INSERT INTO counter VALUES('lseq',0);
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
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
, last_event INTEGER);
CREATE TABLE IF NOT EXISTS "body_inline" (
    place INTEGER PRIMARY KEY,
    change INTEGER NOT NULL,
    names INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE TABLE unsealed (place INTEGER PRIMARY KEY);
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
CREATE TABLE name (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (kind, text)
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    form INTEGER NOT NULL,
    bytes BLOB NOT NULL
, before INTEGER);
CREATE TABLE event_id (
    account INTEGER NOT NULL,
    hash BLOB NOT NULL,
    digest INTEGER NOT NULL,
    PRIMARY KEY (account, hash)
) WITHOUT ROWID;
CREATE TABLE directory (version INTEGER NOT NULL, document BLOB NOT NULL);
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
CREATE TABLE access_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE TABLE recording (
    lsid TEXT NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
    instance INTEGER NOT NULL,
    part INTEGER NOT NULL CHECK (part IN (0, 1)),
    object TEXT NOT NULL UNIQUE,
    media TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    account INTEGER NOT NULL,
    at INTEGER NOT NULL,                                  -- milliseconds
    PRIMARY KEY (lsid, kind, instance, part)
) WITHOUT ROWID;
CREATE TABLE presence_past (
    since INTEGER NOT NULL,
    rep TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (since, rep)
) WITHOUT ROWID;
CREATE TABLE event_id_run (change INTEGER PRIMARY KEY, ids BLOB NOT NULL);
CREATE TABLE source_note (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (source, name)
) WITHOUT ROWID;
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,                                  -- milliseconds
    why TEXT NOT NULL,
    message BLOB NOT NULL
);
CREATE TABLE segment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    len INTEGER NOT NULL,
    live INTEGER NOT NULL,
    gone INTEGER
);
CREATE TABLE body (
    place INTEGER PRIMARY KEY,
    change INTEGER NOT NULL,
    names INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    len INTEGER NOT NULL
);
CREATE TABLE inbox (
    change INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
INSERT INTO inbox VALUES(1,1795826428710,X'02000000020000001e00000073300e0a0261301080d095ffbc3118e0030e0a02623010d0d698ffbc3118b803');
INSERT INTO inbox VALUES(2,1795826428717,X'02000000020000001e00000073310e0a02613110a0dd9bffbc3118e0030e0a02623110f0e39effbc3118b803');
INSERT INTO inbox VALUES(3,1795826428755,X'02000000020000001e00000073320e0a02613210c0eaa1ffbc3118e0030e0a0262321090f1a4ffbc3118b803');
INSERT INTO inbox VALUES(4,1795826428762,X'02000000020000001e00000073330e0a02613310e0f7a7ffbc3118e0030e0a02623310b0feaaffbc3118b803');
CREATE TABLE id_recent (change INTEGER PRIMARY KEY, ids BLOB NOT NULL);
INSERT INTO id_recent VALUES(1,X'd026ec667d47998bfef9635a2e4e99ce5e1b722f214846ab1b9432d532f48ab9');
INSERT INTO id_recent VALUES(2,X'6b6888d619be4f75d5f755bb4fa89551e3fe16ce13ce5ff089bb452846f4dae3');
INSERT INTO id_recent VALUES(3,X'b20d3bf0a83a0c1075d51bb8841d4fc4d623a099ece6f61ab9bda3cbcbb219fb');
INSERT INTO id_recent VALUES(4,X'6a5aab332bd3a4fa1c974fd8c6035f14e89f5eca38bf5925125357f19854f0b2');
CREATE TABLE id_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    level INTEGER NOT NULL,
    first INTEGER NOT NULL,
    n_blocks INTEGER NOT NULL,
    live INTEGER NOT NULL CHECK (live IN (0, 1))
);
CREATE TABLE id_block (id INTEGER PRIMARY KEY, ids BLOB NOT NULL);
CREATE INDEX session_change ON session (change);
CREATE INDEX session_silent ON session (heard) WHERE state = 0 AND origin = 0;
CREATE INDEX pick_died ON pick (died) WHERE died IS NOT NULL;
CREATE INDEX token_account ON token (account);
CREATE INDEX presence_past_until ON presence_past (until);
CREATE INDEX dead_letter_source ON dead_letter (source, id);
CREATE INDEX event_packed ON event (id) WHERE form = 1;
