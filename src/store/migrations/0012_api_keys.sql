-- Keys with which programs act for a member of a company. Of the key itself only the hash is kept.
CREATE TABLE api_keys (
  id           TEXT PRIMARY KEY,
  company_id   TEXT    NOT NULL REFERENCES companies (id),
  user_id      TEXT    NOT NULL REFERENCES users (id),
  name         TEXT    NOT NULL,
  prefix       TEXT    NOT NULL,         -- what its owner recognises it by
  token_hash   BLOB    NOT NULL UNIQUE,  -- SHA-256 of the key
  scopes       TEXT    NOT NULL,         -- words separated by spaces
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  last_used_at INTEGER,                  -- to the minute
  revoked_at   INTEGER,
  revoked_by   TEXT
) STRICT;
CREATE INDEX api_keys_by_company ON api_keys (company_id, created_at);
CREATE INDEX api_keys_by_user ON api_keys (user_id);
