-- People whom another service knows: who they are here, sign-ins that are under way there, and which of its groups give which role.
CREATE TABLE sso_identities (
  identity_hash BLOB PRIMARY KEY,         -- SHA-256 of the kind of service, the service, and who they are to it
  source        TEXT    NOT NULL CHECK (source IN ('oidc', 'ldap')),
  user_id       TEXT    NOT NULL REFERENCES users (id),
  created_at    INTEGER NOT NULL,
  last_used_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX sso_identities_by_user ON sso_identities (user_id);

-- Everything that a sign-in agrees on with the provider is derived from a secret that only the browser has.
CREATE TABLE sso_pending (
  secret_hash BLOB PRIMARY KEY,           -- SHA-256 of it
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX sso_pending_by_end ON sso_pending (expires_at);

CREATE TABLE sso_group_roles (
  id         TEXT PRIMARY KEY,
  source     TEXT    NOT NULL CHECK (source IN ('oidc', 'ldap')),
  group_name TEXT    NOT NULL,            -- in the form in which it is compared
  company_id TEXT    NOT NULL REFERENCES companies (id),
  role       TEXT    NOT NULL CHECK (role IN ('admin', 'dev', 'member', 'viewer')),
  created_at INTEGER NOT NULL,
  UNIQUE (source, group_name, company_id)
) STRICT;
CREATE INDEX sso_group_roles_by_company ON sso_group_roles (company_id);

-- Memberships that groups gave, and may take. What a person gave is not here.
CREATE TABLE sso_memberships (
  company_id TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  source     TEXT NOT NULL CHECK (source IN ('oidc', 'ldap')),
  PRIMARY KEY (company_id, user_id),
  FOREIGN KEY (company_id, user_id) REFERENCES memberships (company_id, user_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX sso_memberships_by_user ON sso_memberships (user_id);

ALTER TABLE sessions ADD COLUMN factor_elsewhere INTEGER NOT NULL DEFAULT 0; -- whoever let them in asked for a second factor
ALTER TABLE users ADD COLUMN came_by_sso INTEGER NOT NULL DEFAULT 0;         -- nobody has chosen a password for it
