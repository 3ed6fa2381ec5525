-- The audit log is searched by each of these, the newest first. Acts are few words: a search by how they begin asks for each in turn.
CREATE INDEX audit_log_by_action ON audit_log (action, sequence);
CREATE INDEX audit_log_by_actor ON audit_log (actor, sequence);
CREATE INDEX audit_log_by_object ON audit_log (object, sequence);
CREATE INDEX audit_log_by_company ON audit_log (company_id, sequence) WHERE company_id IS NOT NULL;
CREATE INDEX audit_log_by_outcome ON audit_log (outcome, sequence);

-- A page that a redirect led to is named by evidence as it was found: what it says now is looked up by that address too.
ALTER TABLE run_pages ADD COLUMN final_url TEXT;
CREATE INDEX run_pages_by_final_url ON run_pages (run_id, final_url) WHERE final_url IS NOT NULL;

-- Where automations are not recalled, a search looks at documents only.
CREATE INDEX chunks_by_origin ON chunks (company_id, origin, collected_at);

-- Deleted conversations whose messages are still to be removed.
CREATE INDEX conversations_to_empty ON conversations (deleted_at) WHERE deleted_at IS NOT NULL AND title <> '';
