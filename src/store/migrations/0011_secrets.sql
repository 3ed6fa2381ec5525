-- Personal fields are kept in envelopes: a format byte (0 = not encrypted), then the value. What has to be found by equality has an index beside
-- it. A start with a key seals what is not sealed yet.
CREATE TABLE vault_keys (
  key_id TEXT PRIMARY KEY,               -- a key under which values may be kept
  proof  BLOB NOT NULL                   -- sealed with it: only who has the key opens the database
) STRICT;

ALTER TABLE users RENAME COLUMN email TO email_index;
ALTER TABLE users ADD COLUMN email BLOB NOT NULL DEFAULT x'00';
ALTER TABLE users ADD COLUMN kept_name BLOB NOT NULL DEFAULT x'00';
UPDATE users SET email = CAST(x'00' || email_index AS BLOB), kept_name = CAST(x'00' || name AS BLOB), email_index = 'plain:' || email_index;
ALTER TABLE users DROP COLUMN name;
ALTER TABLE users RENAME COLUMN kept_name TO name;

ALTER TABLE sessions ADD COLUMN kept_address BLOB;
ALTER TABLE sessions ADD COLUMN kept_user_agent BLOB;
UPDATE sessions SET kept_address = CAST(x'00' || address AS BLOB), kept_user_agent = CAST(x'00' || user_agent AS BLOB);
ALTER TABLE sessions DROP COLUMN address;
ALTER TABLE sessions DROP COLUMN user_agent;
ALTER TABLE sessions RENAME COLUMN kept_address TO address;
ALTER TABLE sessions RENAME COLUMN kept_user_agent TO user_agent;

ALTER TABLE invitations RENAME COLUMN email TO email_index;
ALTER TABLE invitations ADD COLUMN email BLOB NOT NULL DEFAULT x'00';
UPDATE invitations SET email = CAST(x'00' || email_index AS BLOB), email_index = 'plain:' || email_index;
