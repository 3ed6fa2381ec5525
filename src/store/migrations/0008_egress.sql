-- What may leave the machine, and everything that did or was refused.
CREATE TABLE egress_rules (
  id            TEXT PRIMARY KEY,
  destination   TEXT    NOT NULL,        -- host, *.host, *, address or CIDR
  port          INTEGER,
  allow_private INTEGER NOT NULL DEFAULT 0,
  reason        TEXT    NOT NULL,
  created_by    TEXT    NOT NULL,
  created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE egress_log (
  id              INTEGER PRIMARY KEY,
  at              INTEGER NOT NULL,
  company_id      TEXT,
  purpose         TEXT    NOT NULL,
  method          TEXT    NOT NULL,
  destination     TEXT    NOT NULL,      -- scheme://host:port/path, never the query: it may hold secrets
  address         TEXT,
  outcome         TEXT    NOT NULL,      -- 'ok' or an error code
  status          INTEGER,
  bytes_sent      INTEGER NOT NULL DEFAULT 0,
  bytes_received  INTEGER NOT NULL DEFAULT 0,
  duration_millis INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX egress_log_by_time ON egress_log (at);
