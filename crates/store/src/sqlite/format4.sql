-- Format 4: a commit of events writes them down as they came. What came of many commits is put into
-- the sessions at once, a moment later.

-- Batches that are not yet settled. at: when they came, milliseconds. Of each session in bytes:
-- length of its lsid, number of events, length of events (4 bytes each, little-endian), lsid, events.
CREATE TABLE inbox (
    change INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
