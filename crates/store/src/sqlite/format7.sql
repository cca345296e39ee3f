-- Format 7: events that are settled together with many others are compressed.

-- event.form: 0 plain, 1 DEFLATE, 2 a piece of a group, 3 Zstandard with the length in the frame.
-- Rows of form 3 are some of a session's, as plain ones are.
