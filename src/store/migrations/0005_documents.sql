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
  error_json   TEXT,
  chunks       INTEGER NOT NULL DEFAULT 0,
  uploaded_by  TEXT    NOT NULL REFERENCES users (id),
  uploaded_at  INTEGER NOT NULL,
  deleted_at   INTEGER
) STRICT;
CREATE INDEX documents_by_company ON documents (company_id, uploaded_at);
CREATE INDEX documents_to_ingest ON documents (uploaded_at) WHERE state IN ('stored', 'ingesting') AND deleted_at IS NULL;

CREATE TABLE document_contents (
  document_id TEXT PRIMARY KEY REFERENCES documents (id),
  company_id  TEXT NOT NULL,
  content     BLOB NOT NULL
) STRICT;
