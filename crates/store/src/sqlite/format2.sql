-- Format 2: recordings, who was logged in before now, and fewer pages to write at each commit.

-- What is in the object store. A row is what makes an object count: written after the object is
-- safe, never changed. kind: 0 session, 1 Show My Screen, 2 command shell. part: 0 the recording,
-- 1 the timing of a typescript.
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

-- Logins that are over (milliseconds).
CREATE TABLE presence_past (
    since INTEGER NOT NULL,
    rep TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (since, rep)
) WITHOUT ROWID;
CREATE INDEX presence_past_until ON presence_past (until);

-- The events of a session are a chain: session.last_event is the newest row, event.before the one
-- before it. An index over them would be one more page of every commit.
ALTER TABLE session ADD COLUMN last_event INTEGER;
ALTER TABLE event ADD COLUMN before INTEGER;
UPDATE session SET last_event = (SELECT max(id) FROM event WHERE place = session.place);
UPDATE event SET before =
    (SELECT max(e.id) FROM event e WHERE e.place = event.place AND e.id < event.id);
DROP INDEX event_place;

-- Ids of events since they were last sorted into event_id, a row per commit: account, hash and
-- digest of each, 32 bytes. Ids are random; sorted in one by one, each would cost a page.
CREATE TABLE event_id_run (change INTEGER PRIMARY KEY, ids BLOB NOT NULL);

-- What a live source must not forget: how far it has come, which devices it knows.
CREATE TABLE source_note (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (source, name)
) WITHOUT ROWID;

-- Messages of live sources that could not be understood, whole.
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,                                  -- milliseconds
    why TEXT NOT NULL,
    message BLOB NOT NULL
);
CREATE INDEX dead_letter_source ON dead_letter (source, id);
