-- Format 2: recordings, and who was logged in before now.

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
