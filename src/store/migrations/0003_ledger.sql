-- The token ledger: append-only, a running balance per user, one hash chain over all rows.
CREATE TABLE token_transactions (
  id            TEXT PRIMARY KEY,        -- 'ttx_' and the sequence in 16 digits: sorts as it was written
  sequence      INTEGER NOT NULL UNIQUE,
  user_id       TEXT    NOT NULL REFERENCES users (id),
  company_id    TEXT REFERENCES companies (id),
  amount        INTEGER NOT NULL,
  balance_after INTEGER NOT NULL CHECK (balance_after >= 0),
  tx_type       TEXT    NOT NULL CHECK (tx_type IN ('free_daily', 'miner_earned', 'package_purchase', 'api_spend', 'chat_spend', 'admin_grant',
                  'refund', 'subscription_grant', 'stripe_topup', 'automation_spend', 'embedding_spend', 'shared_data_credit')),
  reference_key TEXT    NOT NULL,
  reference_id  TEXT    NOT NULL,
  metadata_json TEXT    NOT NULL DEFAULT '{}',
  created_at    INTEGER NOT NULL,
  previous_hash BLOB    NOT NULL,
  hash          BLOB    NOT NULL,
  UNIQUE (user_id, tx_type, reference_key)
) STRICT;
CREATE INDEX token_transactions_by_user ON token_transactions (user_id, sequence);
CREATE INDEX token_transactions_by_company ON token_transactions (company_id, created_at);

CREATE TRIGGER token_transactions_are_not_changed BEFORE UPDATE ON token_transactions
BEGIN SELECT RAISE(ABORT, 'the token ledger is append-only'); END;
CREATE TRIGGER token_transactions_are_not_deleted BEFORE DELETE ON token_transactions
BEGIN SELECT RAISE(ABORT, 'the token ledger is append-only'); END;

-- What running work holds back. Wiped at start: whatever held it is gone.
CREATE TABLE token_reservations (
  id            TEXT PRIMARY KEY,
  user_id       TEXT    NOT NULL REFERENCES users (id),
  company_id    TEXT,
  amount        INTEGER NOT NULL CHECK (amount >= 0),
  tx_type       TEXT    NOT NULL,
  reference_key TEXT    NOT NULL,
  created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX token_reservations_by_user ON token_reservations (user_id);
