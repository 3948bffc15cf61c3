-- A database as the release with schema 4 left it: as with schema 3, and one request to a model.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    created_at TEXT NOT NULL,
    used_at TEXT NOT NULL
, model TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO sessions VALUES ('0123456789abcdef0123456789', 'calm-keen-hopper', 'ディスクの空きは？', '2026-01-02T03:04:05.678Z', '2026-01-02T04:04:05.678Z', 'claude');
CREATE TABLE turns (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    answer TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL,
    exit_status INTEGER NOT NULL DEFAULT -1,
    started_at TEXT NOT NULL,
    ended_at TEXT, cwd TEXT NOT NULL DEFAULT '/', wait_s INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;
INSERT INTO turns VALUES ('0123456789abcdef0123456789', 1, 'ディスクの空きは？', '/は73%使用中です。', 'done', 0, '2026-01-02T03:04:05.678Z', '2026-01-02T03:04:06.000Z', '/', 0);
INSERT INTO turns VALUES ('0123456789abcdef0123456789', 2, 'what is using it?', '', 'running', -1, '2026-01-02T04:04:05.678Z', NULL, '/home/ann', 30);
CREATE TABLE messages (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (session, number)
) STRICT, WITHOUT ROWID;
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 1, 1, '{"role": "user", "text": "ディスクの空きは？"}');
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 2, 1, '{"role": "assistant", "text": "", "calls": [{"id": "call-1", "tool": "bash", "arguments": {"command": "df"}}]}');
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 3, 1, '{"role": "tool", "call": "call-1", "text": "73%", "outcome": "done", "status": 0, "truncated": false}');
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 4, 1, '{"role": "assistant", "text": "/は73%使用中です。", "calls": []}');
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 5, 2, '{"role": "user", "text": "what is using it?"}');
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 6, 2, '{"role": "assistant", "text": "", "calls": [{"id": "call-2", "tool": "bash", "arguments": {"command": "du /"}}, {"id": "call-3", "tool": "bash", "arguments": {"command": "du /var"}}]}');
INSERT INTO messages VALUES ('0123456789abcdef0123456789', 7, 2, '{"role": "tool", "call": "call-2", "text": "9 /", "outcome": "done", "status": 0, "truncated": false}');
CREATE TABLE events (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO events VALUES ('0123456789abcdef0123456789', 1, '{"v": 1, "seq": 1, "session": "0123456789abcdef0123456789", "at": "2026-01-02T03:04:05.678Z", "type": "session_started", "name": "calm-keen-hopper", "turn": 1, "model": "builtin"}');
INSERT INTO events VALUES ('0123456789abcdef0123456789', 2, '{"v": 1, "seq": 2, "session": "0123456789abcdef0123456789", "at": "2026-01-02T04:04:05.678Z", "type": "session_started", "name": "calm-keen-hopper", "turn": 2, "model": "builtin"}');
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
INSERT INTO sent VALUES (1, '0123456789abcdef0123456789', 1, '2026-01-02T03:04:05.700Z', 'claude', 'https://api.anthropic.com/v1/messages', 2, '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a', '["prompt", "person"]', NULL, 900, 400, 30, 0.0021, '');
CREATE INDEX sessions_used ON sessions (used_at);
CREATE INDEX sent_session ON sent (session);
CREATE INDEX sent_at ON sent (at);
CREATE TRIGGER sent_forgotten AFTER DELETE ON sessions BEGIN
    UPDATE sent SET body = NULL WHERE session = old.id;
END;

CREATE TABLE files (
    session TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    uploads BLOB NOT NULL,
    outputs BLOB NOT NULL
) STRICT;
INSERT INTO files VALUES ('0123456789abcdef0123456789', CAST('1 644 uploads/a
x' AS BLOB), CAST('2 644 outputs/b
yz' AS BLOB));
PRAGMA user_version = 5;
