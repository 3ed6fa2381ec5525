//! Who knows people beside this appliance, from the settings.

use url::Url;

use super::instance::StartError;
use crate::base::seams::Seams;
use crate::config::Config;
use crate::config::ldap::{FilterTemplate, LdapServer};
use crate::features::sign_on::{LdapSignOn, OidcSignOn};
use crate::services::egress::Egress;
use crate::services::sso::{Ldap, LdapSettings, Oidc, OidcSettings};

/// A setting that was checked when it was read, and does not hold all the same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Wrong(String);

/// The page to which a provider sends people back.
const RETURN_PATH: &str = "/sign-in/oidc";

/// The OpenID Connect provider, where one is set.
pub(super) fn oidc(config: &Config, egress: &Egress, seams: &Seams) -> Result<Option<OidcSignOn>, StartError> {
    let sso = &config.sso;
    let (Some(issuer), Some(client_id), Some(base)) = (&sso.oidc_issuer, &sso.oidc_client_id, &config.server.app_base_url) else { return Ok(None) };
    let redirect_uri = Url::parse(base).and_then(|base| base.join(RETURN_PATH)).map_err(StartError::part("APP_BASE_URL"))?;
    let settings = OidcSettings {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: sso.oidc_client_secret.clone(),
        redirect_uri,
        scopes: sso.oidc_scopes.clone(),
        groups_claim: sso.oidc_groups_claim.clone(),
        mail_trusted: sso.oidc_mail_trusted,
    };
    let provider = Oidc::new(egress.clone(), seams.clone(), settings);
    Ok(Some(OidcSignOn { provider, name: sso.oidc_name.clone(), second_factor: sso.oidc_second_factor }))
}

/// The directory of LDAP, where one is set.
pub(super) fn ldap(config: &Config, egress: &Egress) -> Result<Option<LdapSignOn>, StartError> {
    let sso = &config.sso;
    let (Some(url), Some(base)) = (&sso.ldap_url, &sso.ldap_base_dn) else { return Ok(None) };
    let wrong = |setting: &'static str| move |what: String| StartError::part(setting)(Wrong(what));
    let group_filter = match sso.ldap_group_filter.as_str() {
        "-" => None,
        text => Some(FilterTemplate::parse(text, "{dn}").map_err(wrong("ONSITE_LDAP_GROUP_FILTER"))?),
    };
    let settings = LdapSettings {
        server: LdapServer::parse(url).map_err(|what| wrong("ONSITE_LDAP_URL")(what.to_owned()))?,
        account: sso.ldap_bind_dn.clone().zip(sso.ldap_bind_password.clone()),
        base: base.clone(),
        user_filter: FilterTemplate::parse(&sso.ldap_user_filter, "{user}").map_err(wrong("ONSITE_LDAP_USER_FILTER"))?,
        group_filter,
        id_attributes: sso.ldap_id_attributes.clone(),
        mail_trusted: sso.ldap_mail_trusted,
    };
    let directory = Ldap::new(egress.clone(), settings);
    Ok(Some(LdapSignOn { directory, name: sso.ldap_name.clone(), second_factor: sso.ldap_second_factor }))
}
