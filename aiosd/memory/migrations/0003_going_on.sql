-- What a turn needs to go on after its daemon died.
ALTER TABLE turns ADD COLUMN cwd TEXT NOT NULL DEFAULT '/';
ALTER TABLE turns ADD COLUMN wait_s INTEGER NOT NULL DEFAULT 0;
