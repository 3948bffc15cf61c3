-- The model that a session asks, and every request that left for one. What a session's requests said goes with it; that
-- they were made, and what they cost, stays.
ALTER TABLE sessions ADD COLUMN model TEXT NOT NULL DEFAULT '';

CREATE TABLE sent (
    number INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    turn INTEGER NOT NULL,
    at TEXT NOT NULL,
    model TEXT NOT NULL,
    address TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    digest TEXT NOT NULL,
    sources TEXT NOT NULL,
    body BLOB,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT 'interrupted'
) STRICT;
CREATE INDEX sent_session ON sent (session);
CREATE INDEX sent_at ON sent (at);
CREATE TRIGGER sent_forgotten AFTER DELETE ON sessions BEGIN
    UPDATE sent SET body = NULL WHERE session = old.id;
END;
