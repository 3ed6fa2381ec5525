-- Invitations into a company, and links with which a forgotten password is replaced. Of either only the hash of its token is kept.
CREATE TABLE invitations (
  id           TEXT PRIMARY KEY,
  company_id   TEXT    NOT NULL REFERENCES companies (id),
  email        TEXT    NOT NULL,         -- trimmed, lower case
  role         TEXT    NOT NULL CHECK (role IN ('admin', 'dev', 'member', 'viewer')),
  token_hash   BLOB    NOT NULL UNIQUE,  -- SHA-256 of the opaque token
  invited_by   TEXT    NOT NULL REFERENCES users (id),
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  accepted_at  INTEGER,
  accepted_by  TEXT REFERENCES users (id),
  withdrawn_at INTEGER
) STRICT;
CREATE INDEX invitations_by_company ON invitations (company_id, created_at);

CREATE TABLE password_resets (
  id         TEXT PRIMARY KEY,
  user_id    TEXT    NOT NULL REFERENCES users (id),
  token_hash BLOB    NOT NULL UNIQUE,    -- SHA-256 of the opaque token
  made_by    TEXT    NOT NULL,           -- user id, or 'cli'
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER
) STRICT;
CREATE INDEX password_resets_by_user ON password_resets (user_id);
