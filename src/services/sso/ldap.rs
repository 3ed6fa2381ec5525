//! Signing in with the password of a directory: a service account looks the person up, and the directory is asked whether the password is right by
//! a bind as that entry.

use std::time::Duration;

use ldap3_proto::proto::LdapSearchResultEntry;

use super::LdapError;
use super::ldap_wire::{Conversation, Search};
use crate::base::secret::Secret;
use crate::config::ldap::{FilterTemplate, LdapServer};
use crate::model::sso::{GROUP_BYTES_MAX, GROUPS_MAX, SsoIdentity, SsoSource};
use crate::services::egress::Egress;

/// The longest time for one sign-in.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The longest name somebody signs in with.
const USER_BYTES_MAX: usize = 254;
/// The longest password that is passed on.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Most groups that one search finds.
const GROUPS_FOUND_MAX: u16 = 1_000;

/// A directory, and how people are found in it.
#[derive(Clone, Debug)]
pub struct LdapSettings {
    /// The server.
    pub server: LdapServer,
    /// The account that looks people up, and its password; `None`: anonymous.
    pub account: Option<(String, Secret<String>)>,
    /// Below which entry people and groups are.
    pub base: String,
    /// How the entry of a person is found.
    pub user_filter: FilterTemplate,
    /// How their groups are found; `None`: `memberOf` alone says so.
    pub group_filter: Option<FilterTemplate>,
    /// Attributes that identify an entry for ever.
    pub id_attributes: Vec<String>,
    /// Whether its addresses count as verified.
    pub mail_trusted: bool,
}

/// A directory of LDAP.
#[derive(Clone, Debug)]
pub struct Ldap {
    egress: Egress,
    settings: LdapSettings,
}

impl Ldap {
    /// Names the directory.
    #[must_use]
    pub const fn new(egress: Egress, settings: LdapSettings) -> Self {
        Self { egress, settings }
    }

    /// How people are found in it.
    #[must_use]
    pub const fn settings(&self) -> &LdapSettings {
        &self.settings
    }

    /// Who signs in with this name and password. `None`: there is no one such person, or the password is not right.
    ///
    /// # Errors
    /// See [`LdapError`].
    pub async fn identify(&self, user: &str, password: &Secret<String>) -> Result<Option<SsoIdentity>, LdapError> {
        let user = user.trim();
        let fits = (1..=USER_BYTES_MAX).contains(&user.len()) && !user.contains(char::is_control);
        if !fits || !(1..=PASSWORD_BYTES_MAX).contains(&password.expose().len()) {
            return Ok(None);
        }
        tokio::time::timeout(TIMEOUT, self.ask(user, password)).await.unwrap_or(Err(LdapError::Timeout(TIMEOUT)))
    }

    /// Looks whether the account comes in and may search.
    ///
    /// # Errors
    /// See [`LdapError`].
    pub async fn probe(&self) -> Result<(), LdapError> {
        let probed = async {
            let mut talk = Conversation::open(&self.egress, &self.settings.server).await?;
            self.as_account(&mut talk).await?;
            let filter = self.settings.user_filter.fill("{user}", "onsite-looks-whether-it-may-search");
            talk.search(Search { base: &self.settings.base, filter, attributes: vec!["1.1".to_owned()], entries_max: 1 }).await?;
            talk.unbind().await;
            Ok(())
        };
        tokio::time::timeout(TIMEOUT, probed).await.unwrap_or(Err(LdapError::Timeout(TIMEOUT)))
    }

    async fn ask(&self, user: &str, password: &Secret<String>) -> Result<Option<SsoIdentity>, LdapError> {
        let mut talk = Conversation::open(&self.egress, &self.settings.server).await?;
        self.as_account(&mut talk).await?;
        let entry = self.person(&mut talk, user).await?;
        // An unknown name takes the same way as a wrong password.
        let dn = entry.as_ref().map_or_else(|| format!("cn=nobody-of-this-name,{}", self.settings.base), |entry| entry.dn.clone());
        let right = talk.bind(&dn, password).await?;
        let identity = match entry {
            Some(entry) if right => {
                self.as_account(&mut talk).await?;
                let found = self.groups(&mut talk, &entry).await?;
                Some(self.identity(&entry, found)?)
            }
            _ => None,
        };
        talk.unbind().await;
        Ok(identity)
    }

    async fn as_account(&self, talk: &mut Conversation) -> Result<(), LdapError> {
        let Some((dn, password)) = &self.settings.account else { return Ok(()) };
        if talk.bind(dn, password).await? {
            return Ok(());
        }
        Err(LdapError::Refused { step: "the bind of ONSITE_LDAP_BIND_DN", reply: "its name or password is not right".to_owned() })
    }

    /// The one entry of a person. Two are none: whose password would it be?
    async fn person(&self, talk: &mut Conversation, user: &str) -> Result<Option<LdapSearchResultEntry>, LdapError> {
        let mut attributes: Vec<String> = ["mail", "displayName", "cn", "memberOf"].map(str::to_owned).to_vec();
        attributes.extend(self.settings.id_attributes.iter().cloned());
        let filter = self.settings.user_filter.fill("{user}", user);
        let mut entries = talk.search(Search { base: &self.settings.base, filter, attributes, entries_max: 2 }).await?;
        if entries.len() > 1 {
            tracing::warn!("a name finds more than one entry of the directory, so nobody signs in with it; ONSITE_LDAP_USER_FILTER decides");
            return Ok(None);
        }
        Ok(entries.pop().filter(|entry| !entry.dn.is_empty()))
    }

    async fn groups(&self, talk: &mut Conversation, entry: &LdapSearchResultEntry) -> Result<Vec<String>, LdapError> {
        let mut groups = values(entry, "memberOf");
        if let Some(template) = &self.settings.group_filter {
            let filter = template.fill("{dn}", &entry.dn);
            let search = Search { base: &self.settings.base, filter, attributes: vec!["1.1".to_owned()], entries_max: GROUPS_FOUND_MAX };
            groups.extend(talk.search(search).await?.into_iter().map(|group| group.dn));
        }
        let mut groups: Vec<String> = groups.iter().filter(|dn| dn.len() <= GROUP_BYTES_MAX).map(|dn| SsoSource::Ldap.group_name(dn)).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.truncate(GROUPS_MAX);
        Ok(groups)
    }

    fn identity(&self, entry: &LdapSearchResultEntry, groups: Vec<String>) -> Result<SsoIdentity, LdapError> {
        let id = self.settings.id_attributes.iter().find_map(|name| Some((name, raw(entry, name).find(|value| !value.is_empty())?)));
        let (name, value) = id.ok_or_else(|| LdapError::Protocol("its entry has none of ONSITE_LDAP_ID_ATTRIBUTES".to_owned()))?;
        Ok(SsoIdentity {
            source: SsoSource::Ldap,
            // The id is one of the whole world, whichever server tells it.
            issuer: "directory".to_owned(),
            subject: format!("{}:{}", name.to_lowercase(), hex::encode(value)),
            email: values(entry, "mail").iter().find_map(|mail| mail.parse().ok()),
            email_verified: self.settings.mail_trusted,
            name: values(entry, "displayName").into_iter().chain(values(entry, "cn")).next(),
            groups,
        })
    }
}

fn raw<'a>(entry: &'a LdapSearchResultEntry, name: &str) -> impl Iterator<Item = &'a Vec<u8>> {
    // A server may write a name as it likes, and put options behind it.
    let named = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.eq_ignore_ascii_case(name));
    entry.attributes.iter().filter(move |attribute| named(&attribute.atype)).flat_map(|attribute| &attribute.vals).collect::<Vec<_>>().into_iter()
}

fn values(entry: &LdapSearchResultEntry, name: &str) -> Vec<String> {
    raw(entry, name).filter_map(|value| String::from_utf8(value.clone()).ok()).filter(|value| !value.trim().is_empty()).collect()
}
