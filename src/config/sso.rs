//! Single sign-on: a provider of OpenID Connect, a directory of LDAP, or both. Off until an issuer or a server is named.

use super::definition::{Kind, section};
use super::ldap::{FilterTemplate, LdapServer};
use super::{Config, Problem};
use crate::base::secret::Secret;
use crate::base::web_origin::is_loopback_name;

section! {
    /// Single sign-on: a provider of OpenID Connect, a directory of LDAP, or both. Off until an issuer or a server is named.
    Sso {
        /// The issuer of an OpenID Connect provider, exactly as its discovery document writes it: https://id.example.com/realms/staff. It needs an egress rule and APP_BASE_URL.
        oidc_issuer: Option<String> = "ONSITE_OIDC_ISSUER", Kind::Url, None, Yes;
        /// The id under which the provider knows this appliance.
        oidc_client_id: Option<String> = "ONSITE_OIDC_CLIENT_ID", Kind::Text, None, Yes;
        /// The secret that belongs to it; unset for a public client, which PKCE alone protects.
        oidc_client_secret: Option<Secret<String>> = "ONSITE_OIDC_CLIENT_SECRET", Kind::Secret(None), None, Yes;
        /// What the sign-in page calls the provider.
        oidc_name: String = "ONSITE_OIDC_NAME", Kind::Text, Some("single sign-on"), Yes;
        /// Scopes that are asked for beside openid, separated by commas.
        oidc_scopes: Vec<String> = "ONSITE_OIDC_SCOPES", Kind::List, Some("profile,email"), Yes;
        /// The claim that names a person's groups; a path with dots leads into objects (realm_access.roles).
        oidc_groups_claim: String = "ONSITE_OIDC_GROUPS_CLAIM", Kind::Text, Some("groups"), Yes;
        /// Whether the provider's mail addresses count as verified where it does not say so. Only for a provider whose people cannot enter just any address.
        oidc_mail_trusted: bool = "ONSITE_OIDC_MAIL_TRUSTED", Kind::Flag, Some("0"), Yes;
        /// Whether the provider asks for a second factor itself, so that none is asked for here.
        oidc_second_factor: bool = "ONSITE_OIDC_SECOND_FACTOR", Kind::Flag, Some("0"), Yes;
        /// A directory server: ldaps://host:636 (TLS) or ldap://host:389 (StartTLS). It needs an egress rule.
        ldap_url: Option<String> = "ONSITE_LDAP_URL", Kind::Text, None, Yes;
        /// What the sign-in page calls the directory.
        ldap_name: String = "ONSITE_LDAP_NAME", Kind::Text, Some("company directory"), Yes;
        /// The account that looks people up in the directory; unset = without one (anonymous).
        ldap_bind_dn: Option<String> = "ONSITE_LDAP_BIND_DN", Kind::Text, None, Yes;
        /// Its password.
        ldap_bind_password: Option<Secret<String>> = "ONSITE_LDAP_BIND_PASSWORD", Kind::Secret(None), None, Yes;
        /// Below which entry people and groups are looked for.
        ldap_base_dn: Option<String> = "ONSITE_LDAP_BASE_DN", Kind::Text, None, Yes;
        /// How the entry of a person is found; {user} stands for what was typed. Values with spaces or = stand in quotes.
        ldap_user_filter: String = "ONSITE_LDAP_USER_FILTER", Kind::Text, Some("(|(uid={user})(mail={user})(sAMAccountName={user})(userPrincipalName={user}))"), Yes;
        /// How the groups of a person are found, beside those that memberOf names; {dn} stands for the person's entry. A lone - asks for none.
        ldap_group_filter: String = "ONSITE_LDAP_GROUP_FILTER", Kind::Text, Some("(|(member={dn})(uniqueMember={dn}))"), Yes;
        /// Attributes that identify an entry for ever, the first that is there counts.
        ldap_id_attributes: Vec<String> = "ONSITE_LDAP_ID_ATTRIBUTES", Kind::List, Some("entryUUID,objectGUID,nsUniqueId"), Yes;
        /// Whether the directory's mail addresses count as verified. Only where people cannot change their own.
        ldap_mail_trusted: bool = "ONSITE_LDAP_MAIL_TRUSTED", Kind::Flag, Some("0"), Yes;
        /// Whether the directory's password counts as a second factor too, such as where the directory asks for more than a password itself.
        ldap_second_factor: bool = "ONSITE_LDAP_SECOND_FACTOR", Kind::Flag, Some("0"), Yes;
    }
}

/// Whether what goes to an address is protected on its way: by TLS, or because it does not leave this machine.
#[must_use]
pub fn is_protected(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else { return false };
    let here = || url.host().is_some_and(|host| is_loopback_name(&host.to_owned()));
    url.scheme() == "https" || (url.scheme() == "http" && here())
}

impl Config {
    /// What keeps people from signing in elsewhere, though a setting says that they should.
    pub(super) fn sso_problems(&self) -> Vec<Problem> {
        let sso = &self.sso;
        let mut problems = Vec::new();
        if let Some(issuer) = &sso.oidc_issuer {
            if !is_protected(issuer) {
                let what = "it does not begin with https://, so anybody on the way could sign in as anybody";
                problems.push(Problem::new("ONSITE_OIDC_ISSUER", what, "give the provider a certificate; ONSITE_EXTRA_CA_FILE names its authority"));
            }
            if sso.oidc_client_id.is_none() {
                let remedy = "register this appliance at the provider and set ONSITE_OIDC_CLIENT_ID";
                problems.push(Problem::new("ONSITE_OIDC_CLIENT_ID", "a provider has to know who asks", remedy));
            }
            if self.server.app_base_url.is_none() {
                let what = "a provider sends people back to the address that they use";
                problems.push(Problem::new("ONSITE_OIDC_ISSUER", what, "set APP_BASE_URL"));
            }
        }
        let Some(url) = &sso.ldap_url else { return problems };
        if let Err(what) = LdapServer::parse(url) {
            problems.push(Problem::new("ONSITE_LDAP_URL", what, "write ldaps://host:636, or ldap://host:389 for StartTLS"));
        }
        if sso.ldap_base_dn.is_none() {
            let remedy = "set ONSITE_LDAP_BASE_DN, such as dc=example,dc=com";
            problems.push(Problem::new("ONSITE_LDAP_BASE_DN", "it is not said where in the directory people are", remedy));
        }
        if sso.ldap_bind_dn.is_some() != sso.ldap_bind_password.is_some() {
            let what = "an account that looks people up needs both its name and its password";
            problems.push(Problem::new("ONSITE_LDAP_BIND_DN", what, "set ONSITE_LDAP_BIND_DN and ONSITE_LDAP_BIND_PASSWORD together"));
        }
        if let Err(what) = FilterTemplate::parse(&sso.ldap_user_filter, "{user}") {
            problems.push(Problem::new("ONSITE_LDAP_USER_FILTER", what, "write one such as (uid={user})"));
        }
        if sso.ldap_group_filter != "-"
            && let Err(what) = FilterTemplate::parse(&sso.ldap_group_filter, "{dn}")
        {
            problems.push(Problem::new("ONSITE_LDAP_GROUP_FILTER", what, "write one such as (member={dn}), or - for none"));
        }
        problems
    }
}
