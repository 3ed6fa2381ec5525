-- Mail on its way out: a row in the transaction that caused it, sent by a recurring task.
CREATE TABLE outgoing_mail (
  id         TEXT PRIMARY KEY,
  kind       TEXT    NOT NULL,
  recipient  TEXT    NOT NULL,
  subject    TEXT    NOT NULL,
  body       BLOB,                        -- sealed: it may hold a one-time link. NULL once it is sent or given up
  state      TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
  attempts   INTEGER NOT NULL DEFAULT 0,
  next_at    INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  useful_until INTEGER NOT NULL,          -- a code that has expired is not sent any more
  ended_at   INTEGER,
  last_error TEXT
) STRICT;
CREATE INDEX outgoing_mail_due ON outgoing_mail (state, next_at);
CREATE INDEX outgoing_mail_by_recipient ON outgoing_mail (recipient, kind, created_at);
