-- Passkeys: public keys, and what tells a copy of one; and challenges that wait for their answer.
CREATE TABLE passkeys (
  id              TEXT PRIMARY KEY,
  user_id         TEXT    NOT NULL REFERENCES users (id),
  relying_party   TEXT    NOT NULL,        -- the name of the host it works at
  credential_id   BLOB    NOT NULL UNIQUE, -- the authenticator's name for it
  algorithm       INTEGER NOT NULL,        -- COSE's number
  public_key      BLOB    NOT NULL,        -- not a secret, so not sealed
  sign_count      INTEGER NOT NULL,
  backup_eligible INTEGER NOT NULL,
  backed_up       INTEGER NOT NULL,
  transports      TEXT    NOT NULL,        -- words with a space between
  name            TEXT    NOT NULL,
  created_at      INTEGER NOT NULL,
  last_used_at    INTEGER
) STRICT;
CREATE INDEX passkeys_by_user ON passkeys (user_id, created_at);

CREATE TABLE passkey_challenges (
  holder     TEXT    NOT NULL,             -- the session, or the sign-in that waits
  purpose    TEXT    NOT NULL CHECK (purpose IN ('register', 'sign_in', 'step_up')),
  challenge  BLOB    NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (holder, purpose)
) STRICT;
CREATE INDEX passkey_challenges_by_end ON passkey_challenges (expires_at);
