-- Format 6: events are acknowledged when they are in a file of their own, `inbox.journal`.

-- era: a number at random that is another one after each commit which moves `change`. Records of the
-- file that bear it came since; all others are in the database.
INSERT INTO counter VALUES ('era', random());
-- What stands in the table of format 4 is settled when the archive is opened; nothing is added to it.
