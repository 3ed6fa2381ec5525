-- Conversations, their messages, and the durable runs that make the answers.
CREATE TABLE conversations (
  id         TEXT PRIMARY KEY,
  company_id TEXT    NOT NULL REFERENCES companies (id),
  user_id    TEXT    NOT NULL REFERENCES users (id),
  title      TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER
) STRICT;
CREATE INDEX conversations_by_user ON conversations (company_id, user_id, updated_at);

CREATE TABLE chat_runs (
  id                  TEXT PRIMARY KEY,
  company_id          TEXT    NOT NULL REFERENCES companies (id),
  conversation_id     TEXT    NOT NULL REFERENCES conversations (id),
  user_id             TEXT    NOT NULL REFERENCES users (id),
  question_message_id TEXT    NOT NULL,
  state               TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  attempt             INTEGER NOT NULL DEFAULT 0,
  cancel_asked        INTEGER NOT NULL DEFAULT 0,
  error_json          TEXT,
  queued_at           INTEGER NOT NULL,
  started_at          INTEGER,
  finished_at         INTEGER
) STRICT;
CREATE INDEX chat_runs_waiting ON chat_runs (queued_at) WHERE state = 'queued';
-- Those under way are few among all that ever were.
CREATE INDEX chat_runs_by_state ON chat_runs (state);
CREATE INDEX chat_runs_by_conversation ON chat_runs (conversation_id, queued_at);

CREATE TABLE messages (
  id                TEXT PRIMARY KEY,
  company_id        TEXT    NOT NULL,
  conversation_id   TEXT    NOT NULL REFERENCES conversations (id),
  position          INTEGER NOT NULL,
  role              TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
  text              TEXT    NOT NULL,
  citations_json    TEXT    NOT NULL DEFAULT '[]',
  chat_run_id       TEXT REFERENCES chat_runs (id),
  model             TEXT,
  quoted            INTEGER NOT NULL DEFAULT 0,
  prompt_tokens     INTEGER,
  completion_tokens INTEGER,
  duration_millis   INTEGER,
  created_at        INTEGER NOT NULL,
  UNIQUE (conversation_id, position)
) STRICT;
