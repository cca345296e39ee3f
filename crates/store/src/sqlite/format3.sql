-- Format 3: sealed bytes in files of their own beside the database, which is left with small rows.

-- The files. kind: 0 sealed bytes, 1 groups of events. len: bytes that count; what lies behind them
-- in the file was never committed. live: bytes that are still pointed to. gone: when the last of
-- them went (UNIX seconds); the file is deleted a while after that.
CREATE TABLE segment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)),
    len INTEGER NOT NULL,
    live INTEGER NOT NULL,
    gone INTEGER
);

-- What formats 1 and 2 kept in the database moves into files little by little.
ALTER TABLE body RENAME TO body_inline;
CREATE TABLE body (
    place INTEGER PRIMARY KEY,
    change INTEGER NOT NULL,
    names INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    len INTEGER NOT NULL
);

-- Events, form 2: a piece of a group, which lies in a file. Compressed rows that are in no group yet:
CREATE INDEX event_packed ON event (id) WHERE form = 1;
