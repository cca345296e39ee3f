-- An archive as format 3 wrote it: a running session, the ids of whose events are in both tables, and
-- one account.

CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at TEXT NOT NULL);
INSERT INTO schema_version VALUES(1,'2026-11-23 21:16:11');
INSERT INTO schema_version VALUES(2,'2026-11-23 21:16:11');
INSERT INTO schema_version VALUES(3,'2026-11-23 21:16:11');
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counter VALUES('change',1);
INSERT INTO counter VALUES('horizon',0);
INSERT INTO counter VALUES('lseq',1);
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
INSERT INTO session VALUES(1782579200000000,'s',1,0,0,1700000000,NULL,1795468571990,1,1,4,X'1080d095ffbc3118b8e795ffbc3160046858',1);
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
INSERT INTO pick VALUES(0,0,1700000000,1,1782579200000000,1,NULL);
INSERT INTO pick VALUES(8,1,1700000000,1,1782579200000000,1,NULL);
CREATE TABLE name (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (kind, text)
);
INSERT INTO name VALUES(1,2,'1');
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL,
    form INTEGER NOT NULL,
    bytes BLOB NOT NULL
, before INTEGER);
INSERT INTO event VALUES(1,1782579200000000,0,X'150a0265301080d095ffbc31181e32066c696e652030150a02653110e8d795ffbc31181e32066c696e652031150a02653210d0df95ffbc31181e32066c696e652032150a02653310b8e795ffbc31181e32066c696e652033',NULL);
CREATE TABLE event_id (
    account INTEGER NOT NULL,
    hash BLOB NOT NULL,
    digest INTEGER NOT NULL,
    PRIMARY KEY (account, hash)
) WITHOUT ROWID;
INSERT INTO event_id VALUES(1,X'5c88e7a226e11ad1204cb8d30cd5d6ff',-8182308499951010250);
INSERT INTO event_id VALUES(1,X'8b5cc4df7eec7d32a7814eca4af047ae',-5145087943630402607);
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
INSERT INTO account VALUES(1,'sender','fixture',X'0000000000000000000000000000000000000000000000000000000000000000',1,'ingest','','',1795468571961);
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
INSERT INTO event_id_run VALUES(1,X'0100000000000000ac0f09c0f8bf5e7a4b063d863255f16d1d2169ade5d9956c0100000000000000cef7fc13a38180936ffa2635489088770a45975f5e6f4039');
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
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('account',1);
INSERT INTO sqlite_sequence VALUES('access_log',2);
INSERT INTO sqlite_sequence VALUES('token',1);
CREATE INDEX session_change ON session (change);
CREATE INDEX session_silent ON session (heard) WHERE state = 0 AND origin = 0;
CREATE INDEX pick_died ON pick (died) WHERE died IS NOT NULL;
CREATE INDEX token_account ON token (account);
CREATE INDEX presence_past_until ON presence_past (until);
CREATE INDEX dead_letter_source ON dead_letter (source, id);
CREATE INDEX event_packed ON event (id) WHERE form = 1;
