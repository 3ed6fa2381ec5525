-- Activation codes as entered. The newest valid one is found by rule, not by a flag that could disagree with it.
CREATE TABLE activation_codes (
  jti         TEXT PRIMARY KEY,
  code        TEXT    NOT NULL,          -- the canonical one-line form
  customer    TEXT    NOT NULL,
  seq         INTEGER NOT NULL,
  claims_json TEXT    NOT NULL,
  entered_at  INTEGER NOT NULL,
  entered_by  TEXT    NOT NULL
) STRICT;

CREATE TABLE company_subscriptions (
  company_id TEXT PRIMARY KEY REFERENCES companies (id),
  plan       TEXT    NOT NULL,
  started_at INTEGER NOT NULL,
  ends_at    INTEGER
) STRICT;
