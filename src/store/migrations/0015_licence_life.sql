-- The vendor's revocation lists as taken: the newest one counts, whatever its place here.
CREATE TABLE revocation_lists (
  number    INTEGER PRIMARY KEY,
  list      TEXT    NOT NULL,            -- the canonical one-line form, signature and all
  issued_at INTEGER NOT NULL,
  taken_at  INTEGER NOT NULL,
  taken_by  TEXT    NOT NULL
) STRICT;

-- What was said about a code as it neared its end, each step once.
CREATE TABLE licence_notices (
  jti  TEXT    NOT NULL,                 -- the code; 'none' for what concerns the appliance without one
  step TEXT    NOT NULL,                 -- days_60, days_30, days_14, days_7, days_1, grace, free_tier, clock_suspect
  at   INTEGER NOT NULL,
  PRIMARY KEY (jti, step)
) STRICT;

-- The last checkpoint of the audit log that this installation signed: a moment known to have passed.
CREATE TABLE last_audit_checkpoint (
  id              INTEGER PRIMARY KEY CHECK (id = 1),
  checkpoint_json TEXT NOT NULL
) STRICT;
