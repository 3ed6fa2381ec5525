-- The installation, who may come in, and what they did. Times are milliseconds since the epoch, booleans 0 or 1.
CREATE TABLE installation (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  install_id       TEXT    NOT NULL,
  created_at       INTEGER NOT NULL,
  clock_high_water INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  email         TEXT    NOT NULL UNIQUE, -- trimmed, lower case
  name          TEXT    NOT NULL,
  password_hash TEXT    NOT NULL,        -- Argon2id, PHC string
  system_admin  INTEGER NOT NULL DEFAULT 0,
  disabled_at   INTEGER,
  created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
  id           TEXT PRIMARY KEY,
  user_id      TEXT    NOT NULL REFERENCES users (id),
  token_hash   BLOB    NOT NULL UNIQUE,  -- SHA-256 of the opaque token
  created_at   INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  ended_at     INTEGER,
  address      TEXT,
  user_agent   TEXT
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE bootstrap_tokens (
  id          TEXT PRIMARY KEY,
  secret_hash BLOB    NOT NULL,          -- SHA-256 of the secret half
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  wrong_tries INTEGER NOT NULL DEFAULT 0,
  burnt_at    INTEGER,
  used_at     INTEGER,
  used_by     TEXT REFERENCES users (id)
) STRICT;

CREATE TABLE companies (
  id         TEXT PRIMARY KEY,
  number     INTEGER NOT NULL UNIQUE CHECK (number BETWEEN 1 AND 2000000000), -- the high half of its chunks' ids
  name       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT    NOT NULL REFERENCES users (id),
  deleted_at INTEGER
) STRICT;

CREATE TABLE memberships (
  company_id TEXT NOT NULL REFERENCES companies (id),
  user_id    TEXT NOT NULL REFERENCES users (id),
  role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'dev', 'member', 'viewer')),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (company_id, user_id)
) STRICT;
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE audit_log (
  sequence      INTEGER PRIMARY KEY,
  at            INTEGER NOT NULL,
  actor         TEXT    NOT NULL,        -- user id, or 'system', 'cli'
  action        TEXT    NOT NULL,
  object        TEXT    NOT NULL,
  company_id    TEXT,
  address       TEXT,
  outcome       TEXT    NOT NULL CHECK (outcome IN ('ok', 'refused', 'failed')),
  detail_json   TEXT    NOT NULL,
  previous_hash BLOB    NOT NULL,
  hash          BLOB    NOT NULL
) STRICT;
