-- The audit log is searched by each of these, the newest first. Acts are few words: a search by how they begin asks for each in turn.
CREATE INDEX audit_log_by_action ON audit_log (action, sequence);
CREATE INDEX audit_log_by_actor ON audit_log (actor, sequence);
CREATE INDEX audit_log_by_object ON audit_log (object, sequence);
CREATE INDEX audit_log_by_company ON audit_log (company_id, sequence) WHERE company_id IS NOT NULL;
CREATE INDEX audit_log_by_outcome ON audit_log (outcome, sequence);
