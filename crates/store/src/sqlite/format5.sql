-- Format 5: many neighbours in time are found with one look.

-- Living index entries of kind 0 (all sessions, by start), some dozens a row, with the rows of their
-- sealed bytes. A shelf has every entry behind the last one of the shelf before it, up to its own
-- last. change: the commit as of which it does. Whatever changes one of these entries or
-- rows empties it, until it is filled anew: rows and change are NULL.
CREATE TABLE shelf (
    id INTEGER PRIMARY KEY,
    last_at INTEGER NOT NULL,
    last_lseq INTEGER NOT NULL,
    last_place INTEGER NOT NULL,
    change INTEGER,
    rows BLOB,
    CHECK ((change IS NULL) = (rows IS NULL))
);
CREATE UNIQUE INDEX shelf_last ON shelf (last_at, last_lseq, last_place);
CREATE INDEX shelf_empty ON shelf (id) WHERE rows IS NULL;
