-- Everything that can be recalled. The id is (company number + 1) << 32 | sequence, so that a company's chunks lie together:
-- the full-text filter by id range is 12 times faster than by a column (measured).
CREATE TABLE chunks (
  id                INTEGER PRIMARY KEY,
  company_id        TEXT    NOT NULL REFERENCES companies (id),
  origin            TEXT    NOT NULL CHECK (origin IN ('automation', 'document')),
  widget_id         TEXT REFERENCES widgets (id),
  run_id            TEXT REFERENCES widget_runs (id),
  report_id         TEXT REFERENCES reports (id),
  document_id       TEXT REFERENCES documents (id),
  chunk_type        TEXT    NOT NULL CHECK (chunk_type IN ('finding', 'metric', 'evidence', 'table_row', 'document')),
  ordinal           INTEGER NOT NULL,
  title             TEXT    NOT NULL,
  content           TEXT    NOT NULL,
  chunk_hash        TEXT    NOT NULL,    -- SHA-256 of title and content: an unchanged chunk keeps its embedding
  source_urls       TEXT    NOT NULL,    -- JSON array
  page_number       INTEGER,
  content_hash      TEXT    NOT NULL,    -- page_texts.content_hash of the source
  entity_tags       TEXT    NOT NULL DEFAULT '[]',
  metric_tags       TEXT    NOT NULL DEFAULT '[]',
  metric_value      REAL,
  collected_at      INTEGER NOT NULL,
  stale_after_hours INTEGER NOT NULL,
  token_count       INTEGER NOT NULL,
  embedding_model   TEXT    NOT NULL,
  metadata_json     TEXT    NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX chunks_by_run ON chunks (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX chunks_by_report ON chunks (report_id) WHERE report_id IS NOT NULL;
CREATE INDEX chunks_by_widget ON chunks (widget_id, collected_at) WHERE widget_id IS NOT NULL;
CREATE INDEX chunks_by_document ON chunks (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX chunks_by_hash ON chunks (company_id, chunk_hash);

-- The last sequence given to a chunk of each company: a number is never used twice, so that an old citation cannot point at something new.
CREATE TABLE chunk_sequences (
  company_id TEXT PRIMARY KEY REFERENCES companies (id),
  last       INTEGER NOT NULL CHECK (last BETWEEN 0 AND 4294967295)
) STRICT;

-- The specification's name for the automations' part.
CREATE VIEW automation_chunks AS SELECT * FROM chunks WHERE origin = 'automation';

-- Only SQLite has these two. Vectors have unit length, so distance (L2) orders as cosine does. A single vector is found by walking its block's pages:
-- with 32 to a block reading 100 takes 1.7 ms, with the usual 1,024 16 ms (measured); a small company also takes less space.
CREATE VIRTUAL TABLE chunk_vectors USING vec0 (
  id INTEGER PRIMARY KEY,
  company INTEGER PARTITION KEY,
  embedding FLOAT[384],
  chunk_size = 32
);
CREATE VIRTUAL TABLE chunk_words USING fts5 (title, content, content = 'chunks', content_rowid = 'id', tokenize = 'porter unicode61');
CREATE TRIGGER chunk_words_insert AFTER INSERT ON chunks BEGIN
  INSERT INTO chunk_words (rowid, title, content) VALUES (new.id, new.title, new.content);
END;
CREATE TRIGGER chunk_words_delete AFTER DELETE ON chunks BEGIN
  INSERT INTO chunk_words (chunk_words, rowid, title, content) VALUES ('delete', old.id, old.title, old.content);
END;
