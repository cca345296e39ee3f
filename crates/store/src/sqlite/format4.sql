-- Format 4: a commit of events writes them down as they came. What came of many commits is put into
-- the sessions at once, a moment later.

-- Batches that are not yet settled. at: when they came, milliseconds. Of each session in bytes:
-- length of its lsid, number of events, length of events (4 bytes each, little-endian), lsid, events.
CREATE TABLE inbox (
    change INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    bytes BLOB NOT NULL
);

-- Ids of events, 16 bytes each: 12 of a hash of account and id, 4 of the event's digest. Those that
-- came since ids were last sorted, a row per commit:
CREATE TABLE id_recent (change INTEGER PRIMARY KEY, ids BLOB NOT NULL);

-- All others, in sorted runs: blocks first <= id < first + n_blocks, in order of the ids in them.
-- Runs of one level are alike in length; a few of them become one of the next. live: 0 while a run
-- is being written, and when another one has all of its ids.
CREATE TABLE id_run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    level INTEGER NOT NULL,
    first INTEGER NOT NULL,
    n_blocks INTEGER NOT NULL,
    live INTEGER NOT NULL CHECK (live IN (0, 1))
);
CREATE TABLE id_block (id INTEGER PRIMARY KEY, ids BLOB NOT NULL);
-- What event_id and event_id_run have stays where it is, and is looked at.
