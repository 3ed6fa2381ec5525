-- Widgets, their runs, what was collected, and what was reported.
CREATE TABLE widgets (
  id                 TEXT PRIMARY KEY,
  company_id         TEXT    NOT NULL REFERENCES companies (id),
  title              TEXT    NOT NULL,
  objective          TEXT    NOT NULL,
  source_config_json TEXT    NOT NULL,
  schedule_json      TEXT    NOT NULL,
  stale_after_hours  INTEGER NOT NULL,
  upstream_widget_id TEXT REFERENCES widgets (id),
  extraction_json    TEXT,
  visibility         TEXT    NOT NULL CHECK (visibility IN ('private', 'company', 'public')),
  deep_collection    INTEGER NOT NULL DEFAULT 0,
  paused             INTEGER NOT NULL DEFAULT 0,
  next_run_at        INTEGER,
  created_by         TEXT    NOT NULL REFERENCES users (id),
  created_at         INTEGER NOT NULL,
  updated_at         INTEGER NOT NULL,
  deleted_at         INTEGER
) STRICT;
CREATE INDEX widgets_by_company ON widgets (company_id, created_at);
CREATE INDEX widgets_due ON widgets (next_run_at) WHERE next_run_at IS NOT NULL AND paused = 0 AND deleted_at IS NULL;

CREATE TABLE widget_runs (
  id              TEXT PRIMARY KEY,
  company_id      TEXT    NOT NULL REFERENCES companies (id),
  widget_id       TEXT    NOT NULL REFERENCES widgets (id),
  state           TEXT    NOT NULL CHECK (state IN ('queued', 'collecting', 'extracting', 'reporting', 'succeeded', 'failed', 'cancelled')),
  ingest          TEXT    NOT NULL DEFAULT 'none' CHECK (ingest IN ('none', 'pending', 'running', 'done', 'failed', 'off')),
  trigger         TEXT    NOT NULL CHECK (trigger IN ('manual', 'schedule')),
  attempt         INTEGER NOT NULL DEFAULT 0,
  ingest_attempt  INTEGER NOT NULL DEFAULT 0,
  ingest_after    INTEGER,               -- its ingest is not to be taken up before: it waits for tokens, or gave its turn to another
  cancel_asked    INTEGER NOT NULL DEFAULT 0,
  requested_by    TEXT    NOT NULL REFERENCES users (id),
  pages_planned   INTEGER NOT NULL DEFAULT 0,
  pages_collected INTEGER NOT NULL DEFAULT 0,
  chunks          INTEGER NOT NULL DEFAULT 0,
  findings        INTEGER NOT NULL DEFAULT 0,
  metrics         INTEGER NOT NULL DEFAULT 0,
  report_id       TEXT,
  error_json      TEXT,                  -- why it failed, or why its ingest did
  notice_json     TEXT,                  -- why its ingest waits, or what it left out
  queued_at       INTEGER NOT NULL,
  started_at      INTEGER,
  finished_at     INTEGER
) STRICT;
CREATE INDEX widget_runs_by_widget ON widget_runs (widget_id, queued_at);
-- Two runs of one widget never overlap, whoever asks.
CREATE UNIQUE INDEX widget_runs_active ON widget_runs (widget_id) WHERE state IN ('queued', 'collecting', 'extracting', 'reporting');
CREATE INDEX widget_runs_waiting ON widget_runs (queued_at) WHERE state = 'queued';
CREATE INDEX widget_runs_to_ingest ON widget_runs (finished_at) WHERE ingest IN ('pending', 'running');

-- The canonical text of whatever was collected or uploaded, once per company and content.
CREATE TABLE page_texts (
  company_id   TEXT    NOT NULL REFERENCES companies (id),
  content_hash TEXT    NOT NULL,         -- SHA-256 of the canonical text, hexadecimal
  url          TEXT,
  document_id  TEXT,
  title        TEXT    NOT NULL,
  text         TEXT    NOT NULL,
  blocks_json  TEXT    NOT NULL,         -- the structure the extractor reads: headings, paragraphs, tables
  collected_at INTEGER NOT NULL,
  PRIMARY KEY (company_id, content_hash)
) STRICT;
-- To look for texts that nothing needs without reading the texts.
CREATE INDEX page_texts_by_age ON page_texts (collected_at, company_id, content_hash);

-- The fate of each page of a run, and what a conditional request needs next time.
CREATE TABLE run_pages (
  run_id        TEXT    NOT NULL REFERENCES widget_runs (id),
  position      INTEGER NOT NULL,
  company_id    TEXT    NOT NULL,
  widget_id     TEXT    NOT NULL,
  url           TEXT    NOT NULL,
  fate          TEXT    NOT NULL CHECK (fate IN ('new', 'changed', 'unchanged', 'skipped', 'failed')),
  reason        TEXT,
  status        INTEGER,
  bytes         INTEGER NOT NULL DEFAULT 0,
  content_hash  TEXT,
  etag          TEXT,
  last_modified TEXT,
  fetched_at    INTEGER NOT NULL,
  PRIMARY KEY (run_id, position)
) STRICT;
CREATE INDEX run_pages_by_url ON run_pages (run_id, url);
CREATE INDEX run_pages_by_content ON run_pages (company_id, content_hash) WHERE content_hash IS NOT NULL;

CREATE TABLE reports (
  id           TEXT PRIMARY KEY,
  company_id   TEXT    NOT NULL REFERENCES companies (id),
  widget_id    TEXT    NOT NULL REFERENCES widgets (id),
  run_id       TEXT    NOT NULL UNIQUE REFERENCES widget_runs (id),
  title        TEXT    NOT NULL,
  body_json    TEXT    NOT NULL,
  pages        INTEGER NOT NULL,
  findings     INTEGER NOT NULL,
  metrics      INTEGER NOT NULL,
  collected_at INTEGER NOT NULL,         -- the oldest page used: a report is as fresh as its oldest source
  created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX reports_by_widget ON reports (widget_id, created_at);

-- The time series of each metric: one point a report.
CREATE TABLE metric_points (
  widget_id    TEXT    NOT NULL REFERENCES widgets (id),
  name         TEXT    NOT NULL,
  unit         TEXT    NOT NULL DEFAULT '',
  report_id    TEXT    NOT NULL REFERENCES reports (id),
  company_id   TEXT    NOT NULL,
  position     INTEGER NOT NULL,         -- the metric's place in its report: 0 is the headline
  value        REAL    NOT NULL,
  as_of        TEXT,
  collected_at INTEGER NOT NULL,
  PRIMARY KEY (widget_id, name, unit, report_id)
) STRICT;
CREATE INDEX metric_points_by_report ON metric_points (report_id);

-- Events of widget runs and chat runs: what a follower is shown, from any point.
CREATE TABLE run_events (
  stream_id TEXT    NOT NULL,
  seq       INTEGER NOT NULL,
  kind      TEXT    NOT NULL,
  data_json TEXT    NOT NULL,
  at        INTEGER NOT NULL,
  PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;
