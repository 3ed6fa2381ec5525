-- Why an automation is paused though nobody paused it, and the end of a company: deleted, then after a while its rows removed.
ALTER TABLE widgets ADD COLUMN paused_reason TEXT CHECK (paused_reason IN ('maker_left', 'maker_disabled'));
ALTER TABLE companies ADD COLUMN purged_at INTEGER;
CREATE INDEX companies_deleted ON companies (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- Whoever left before this version had their schedules go on.
UPDATE widgets SET paused = 1, paused_reason = 'maker_left', next_run_at = NULL
WHERE deleted_at IS NULL AND NOT EXISTS
  (SELECT 1 FROM memberships m WHERE m.company_id = widgets.company_id AND m.user_id = widgets.created_by AND m.role <> 'viewer');
UPDATE widgets SET paused = 1, paused_reason = 'maker_disabled', next_run_at = NULL
WHERE deleted_at IS NULL AND paused_reason IS NULL AND EXISTS
  (SELECT 1 FROM users u WHERE u.id = widgets.created_by AND u.disabled_at IS NOT NULL);
-- Nor do invitations outlive the role that gave them.
UPDATE invitations SET withdrawn_at = created_at
WHERE accepted_at IS NULL AND withdrawn_at IS NULL AND NOT EXISTS
  (SELECT 1 FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.company_id = invitations.company_id AND m.user_id = invitations.invited_by
     AND u.disabled_at IS NULL AND m.role IN ('owner', 'admin'));
