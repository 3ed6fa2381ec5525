-- What somebody made or gave, found by who they are: for the day they leave.
CREATE INDEX widgets_by_maker ON widgets (created_by) WHERE deleted_at IS NULL;
CREATE INDEX invitations_open_by_inviter ON invitations (invited_by) WHERE accepted_at IS NULL AND withdrawn_at IS NULL;
