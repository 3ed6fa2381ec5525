-- Refused sign-ins that repeat: the first of each account and network in a minute is a row of the audit log, the others are counted here, and their
-- number becomes one more row when the minute is over.
CREATE TABLE refused_sign_ins (
  object   TEXT    NOT NULL,             -- the account, as the audit log names it
  network  TEXT    NOT NULL,             -- where they come from; empty = not known, or from everywhere
  repeated INTEGER NOT NULL,             -- since the first one
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  ends_at  INTEGER NOT NULL,
  PRIMARY KEY (object, network)
) STRICT;
CREATE INDEX refused_sign_ins_by_end ON refused_sign_ins (ends_at);

-- What retention looks for, and nothing else: what it has removed is not looked at again.
CREATE INDEX run_events_first ON run_events (at) WHERE seq = 1;
CREATE INDEX reports_by_age ON reports (created_at);
CREATE INDEX widgets_deleted ON widgets (id) WHERE deleted_at IS NOT NULL;
CREATE INDEX widget_runs_without_report ON widget_runs (widget_id, queued_at) WHERE report_id IS NULL AND finished_at IS NOT NULL;
