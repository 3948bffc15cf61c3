-- What a session keeps for its sandboxes: the person's files and what its commands made, each as one bundle.
CREATE TABLE files (
    session TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    uploads BLOB NOT NULL,
    outputs BLOB NOT NULL
) STRICT;
