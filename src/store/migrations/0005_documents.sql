-- Company documents: uploaded, versioned by name, kept as they came beside their text.
CREATE TABLE documents (
  id           TEXT PRIMARY KEY,
  company_id   TEXT    NOT NULL REFERENCES companies (id),
  name         TEXT    NOT NULL,
  media_type   TEXT    NOT NULL,
  size_bytes   INTEGER NOT NULL,
  version      INTEGER NOT NULL,
  content_hash TEXT    NOT NULL,         -- SHA-256 of the file, hexadecimal
  text_hash    TEXT,                     -- page_texts.content_hash
  state        TEXT    NOT NULL CHECK (state IN ('stored', 'ingesting', 'ready', 'failed')),
  error_json   TEXT,                     -- why it failed, or what is to be known about it
  waiting_json TEXT,                     -- why it waits
  chunks       INTEGER NOT NULL DEFAULT 0,
  uploaded_by  TEXT    NOT NULL REFERENCES users (id),
  uploaded_at  INTEGER NOT NULL,
  ingest_after INTEGER,                  -- not to be taken up before: it waits for tokens, or gave its turn to another
  superseded_at INTEGER,                 -- when a later version of its name became ready
  deleted_at   INTEGER,
  forgetting   INTEGER NOT NULL DEFAULT 0 CHECK (forgetting IN (0, 1)) -- 1: deleted or superseded, its chunks may not all be removed yet
) STRICT;
CREATE INDEX documents_by_company ON documents (company_id, uploaded_at);
-- Versions of a name: what is the latest, and what it replaces.
CREATE INDEX documents_by_name ON documents (company_id, name, version);
CREATE INDEX documents_to_ingest ON documents (uploaded_at) WHERE state IN ('stored', 'ingesting') AND deleted_at IS NULL;
CREATE INDEX documents_by_text ON documents (company_id, text_hash) WHERE deleted_at IS NULL;
-- Asked by every search: nearly always empty.
CREATE INDEX documents_forgetting ON documents (company_id) WHERE forgetting = 1;

CREATE TABLE document_contents (
  document_id TEXT PRIMARY KEY REFERENCES documents (id),
  company_id  TEXT NOT NULL,
  content     BLOB NOT NULL
) STRICT;
