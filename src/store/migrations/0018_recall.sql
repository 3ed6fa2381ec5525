-- Documents of the company that a run over all of them did not read: it says so as long as its report stands.
ALTER TABLE widget_runs ADD COLUMN documents_left_out INTEGER NOT NULL DEFAULT 0;

-- What a page calls itself, to whoever may see this page: another with the same text may have another title, and be somebody's own.
ALTER TABLE run_pages ADD COLUMN title TEXT;
