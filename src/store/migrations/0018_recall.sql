-- Documents of the company that a run over all of them did not read: it says so as long as its report stands.
ALTER TABLE widget_runs ADD COLUMN documents_left_out INTEGER NOT NULL DEFAULT 0;
