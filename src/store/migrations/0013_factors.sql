-- Second factors, sign-ins that wait for one, links that verify a mail address, and when a session last showed who holds it.
CREATE TABLE totp_factors (
  user_id      TEXT PRIMARY KEY REFERENCES users (id),
  secret       BLOB,                      -- sealed; NULL until the first code confirmed it
  next_secret  BLOB,                      -- sealed; offered to an app and not confirmed yet
  next_at      INTEGER,
  last_step    INTEGER,                   -- of the newest accepted code: it and older ones are not accepted again
  confirmed_at INTEGER
) STRICT;

CREATE TABLE recovery_codes (
  user_id    TEXT    NOT NULL REFERENCES users (id),
  code_hash  BLOB    NOT NULL,            -- SHA-256 of 80 random bits
  created_at INTEGER NOT NULL,
  used_at    INTEGER,
  PRIMARY KEY (user_id, code_hash)
) STRICT;

-- The password was right; no session yet.
CREATE TABLE pending_sign_ins (
  id             TEXT PRIMARY KEY,
  user_id        TEXT    NOT NULL REFERENCES users (id),
  token_hash     BLOB    NOT NULL UNIQUE, -- SHA-256 of the opaque token
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER NOT NULL,
  wrong_codes    INTEGER NOT NULL DEFAULT 0,
  mail_code_hash BLOB,                    -- SHA-256 of the mailed code and the token, which is not kept here
  mails          INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX pending_sign_ins_by_user ON pending_sign_ins (user_id);

CREATE TABLE email_verifications (
  id         TEXT PRIMARY KEY,
  user_id    TEXT    NOT NULL REFERENCES users (id),
  token_hash BLOB    NOT NULL UNIQUE,     -- SHA-256 of the opaque token
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX email_verifications_by_user ON email_verifications (user_id);

ALTER TABLE users ADD COLUMN email_verified_at INTEGER;
-- Whoever looks after the appliance was let in by its operator: a mail server that is not there yet must not lock them out.
UPDATE users SET email_verified_at = created_at WHERE system_admin = 1;

ALTER TABLE sessions ADD COLUMN proven_at INTEGER; -- NULL: when it was opened
