-- The vendor's issuer: orders for activation codes, kept until they can be signed, and then with the code.
CREATE TABLE issue_requests (
  id           TEXT PRIMARY KEY,
  number       INTEGER NOT NULL UNIQUE,  -- in the order they came
  state        TEXT    NOT NULL CHECK (state IN ('pending_signing_key', 'signed', 'withdrawn')),
  customer     TEXT    NOT NULL,         -- codes are counted per customer
  order_json   TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  created_by   TEXT    NOT NULL,
  signed_at    INTEGER,
  seq          INTEGER,
  jti          TEXT UNIQUE,
  code         TEXT,                     -- the canonical one-line form
  withdrawn_at INTEGER
) STRICT;
CREATE INDEX issue_requests_by_state ON issue_requests (state, number);
CREATE UNIQUE INDEX issue_requests_by_seq ON issue_requests (customer, seq);
