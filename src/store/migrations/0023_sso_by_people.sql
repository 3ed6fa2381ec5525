-- What people decide about somebody whom groups give places: whoever they removed, no group brings back.
CREATE TABLE sso_kept_out (
  company_id TEXT    NOT NULL REFERENCES companies (id),
  user_id    TEXT    NOT NULL REFERENCES users (id),
  at         INTEGER NOT NULL,
  PRIMARY KEY (company_id, user_id)
) STRICT;
CREATE INDEX sso_kept_out_by_user ON sso_kept_out (user_id);

-- The name with which somebody signed in at the directory last, as its SHA-256: whose guesses are counted before the directory is asked.
ALTER TABLE sso_identities ADD COLUMN name_hash BLOB;
CREATE INDEX sso_identities_by_name ON sso_identities (name_hash) WHERE name_hash IS NOT NULL;

-- Refused sign-ins are counted by the service that was asked, and by the reason.
ALTER TABLE refused_sign_ins RENAME TO refused_before;
DROP INDEX refused_sign_ins_by_end;
CREATE TABLE refused_sign_ins (
  object   TEXT    NOT NULL,             -- the account, as the audit log names it
  network  TEXT    NOT NULL,             -- where they come from; empty = not known, or from everywhere
  service  TEXT    NOT NULL,             -- who was asked; empty = this appliance, or various
  reason   TEXT    NOT NULL,             -- why, where a service was asked
  repeated INTEGER NOT NULL,             -- since the first one
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  ends_at  INTEGER NOT NULL,
  PRIMARY KEY (object, network, service, reason)
) STRICT;
CREATE INDEX refused_sign_ins_by_end ON refused_sign_ins (ends_at);
INSERT INTO refused_sign_ins SELECT object, network, '', '', repeated, first_at, last_at, ends_at FROM refused_before;
DROP TABLE refused_before;
