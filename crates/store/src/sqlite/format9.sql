-- Format 9: event.form 4, a piece of a group: of a sealed session's events, what its sealed bytes do not say.
-- Before these go or are replaced, the events are written down whole again (form 1). Where that cannot be
-- done, for something cannot be read, the sealed bytes are held for the events; there is one row for each
-- session whose bytes are.
CREATE TABLE held (
    place INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    len INTEGER NOT NULL
);

-- Living entries of the index, some dozens of one list (kind and owner) in a row, under the last of them. An
-- entry is here or in `pick`, never in both, and the rows of a list do not overlap.
CREATE TABLE sheaf (
    kind INTEGER NOT NULL,
    owner INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_lseq INTEGER NOT NULL,
    last_place INTEGER NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (kind, owner, last_at, last_lseq, last_place)
) WITHOUT ROWID;

-- How the blocks of a run are kept. form: 0 sixteen bytes for each id, 1 packed. Of the 12 bytes that an id
-- had of its hash in the formats before, the first 10 are looked at.
ALTER TABLE id_run ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
