//! The setting that names a directory server, taken apart, and the filters that look in it.

use ldap3_proto::{LdapFilter, parse_ldap_filter_str};
use url::{Host, Url};

/// The longest filter.
const FILTER_BYTES_MAX: usize = 2_000;

/// A directory server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapServer {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it is spoken to.
    pub security: LdapSecurity,
}

/// How a directory server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LdapSecurity {
    /// TLS from the first byte (`ldaps://`).
    Tls,
    /// A plain beginning that must become TLS (`ldap://`).
    StartTls,
    /// No TLS: on this machine only.
    None,
}

impl LdapServer {
    /// Reads `ldaps://host:636` or `ldap://host:389`; `?tls=none` for a server on this machine.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| "it is not an address such as ldaps://directory.example.com")?;
        let host = match url.host() {
            Some(Host::Domain("")) | None => return Err("it names no host"),
            Some(Host::Domain(name)) => name.to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user in it; the account stands in ONSITE_LDAP_BIND_DN and its password in ONSITE_LDAP_BIND_PASSWORD");
        }
        if !matches!(url.path(), "" | "/") {
            return Err("it has a path; where to look stands in ONSITE_LDAP_BASE_DN");
        }
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let security = match (url.scheme(), url.query()) {
            ("ldaps", None) => LdapSecurity::Tls,
            ("ldap", None) => LdapSecurity::StartTls,
            ("ldap", Some("tls=none")) if here => LdapSecurity::None,
            ("ldap", Some("tls=none")) => return Err("it would send passwords over the network without TLS"),
            ("ldap" | "ldaps", Some(_)) => return Err("it has something behind its port"),
            _ => return Err("it begins neither with ldaps:// nor with ldap://"),
        };
        let default = if security == LdapSecurity::Tls { 636 } else { 389 };
        Ok(Self { host, port: url.port().unwrap_or(default), security })
    }
}

/// A filter with places to fill. It is taken apart before anything is filled in, so what somebody types is only ever a value.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterTemplate(LdapFilter);

impl FilterTemplate {
    /// Reads a filter in which `place` (`{user}`, `{dn}`) stands for a value.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str, place: &str) -> Result<Self, String> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(format!("it is longer than {FILTER_BYTES_MAX} bytes"));
        }
        let filter = parse_ldap_filter_str(text).map_err(|error| format!("it is not a filter (at character {})", error.location.column))?;
        let template = Self(filter);
        let probe = "\u{1}";
        if template.fill(place, probe) == template.0 {
            return Err(format!("it has no {place} in a comparison such as (uid={place})"));
        }
        Ok(template)
    }

    /// The filter with `value` in every such place.
    #[must_use]
    pub fn fill(&self, place: &str, value: &str) -> LdapFilter {
        filled(&self.0, place, value)
    }
}

fn filled(filter: &LdapFilter, place: &str, value: &str) -> LdapFilter {
    let put = |text: &String| text.replace(place, value);
    let each = |filters: &[LdapFilter]| filters.iter().map(|filter| filled(filter, place, value)).collect();
    match filter {
        LdapFilter::And(filters) => LdapFilter::And(each(filters)),
        LdapFilter::Or(filters) => LdapFilter::Or(each(filters)),
        LdapFilter::Not(inner) => LdapFilter::Not(Box::new(filled(inner, place, value))),
        LdapFilter::Equality(attribute, text) => LdapFilter::Equality(attribute.clone(), put(text)),
        LdapFilter::Extensible(rule) => {
            let mut rule = rule.clone();
            rule.match_value = put(&rule.match_value);
            LdapFilter::Extensible(rule)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_this_machine_under_tls_only() {
        let read = |text: &str| LdapServer::parse(text).map(|server| (server.host, server.port, server.security));
        assert_eq!(read("ldaps://Directory.Example"), Ok(("directory.example".into(), 636, LdapSecurity::Tls)));
        assert_eq!(read("ldap://10.0.0.5:3389/"), Ok(("10.0.0.5".into(), 3389, LdapSecurity::StartTls)));
        assert_eq!(read("ldap://127.0.0.1:1389?tls=none"), Ok(("127.0.0.1".into(), 1389, LdapSecurity::None)));
        for wrong in [
            "directory.example",
            "http://directory.example",
            "ldap://",
            "ldap://10.0.0.5?tls=none",
            "ldaps://h?tls=none",
            "ldap://cn=x:pw@h",
            "ldap://h/dc=example",
            "ldap://h??sub",
        ] {
            assert!(LdapServer::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_typed_is_a_value_and_never_a_part_of_the_filter() {
        let template = FilterTemplate::parse("(&(objectClass=person)(|(uid={user})(mail={user})))", "{user}").unwrap();
        let hostile = "*)(uid=*))(|(uid=*";
        let LdapFilter::And(parts) = template.fill("{user}", hostile) else { panic!("it is an and") };
        let uid = LdapFilter::Equality("uid".into(), hostile.into());
        let mail = LdapFilter::Equality("mail".into(), hostile.into());
        assert_eq!(parts, [LdapFilter::Equality("objectClass".into(), "person".into()), LdapFilter::Or(vec![uid, mail])]);
        let nested = FilterTemplate::parse("(member:1.2.840.113556.1.4.1941:={dn})", "{dn}").unwrap();
        assert!(matches!(nested.fill("{dn}", "cn=a"), LdapFilter::Extensible(rule) if rule.match_value == "cn=a"));
        for wrong in ["uid={user}", "(uid=ada)", "(uid={user}", "", "(uid=*{user}*)"] {
            assert!(FilterTemplate::parse(wrong, "{user}").is_err(), "{wrong}");
        }
        assert!(FilterTemplate::parse(&format!("({}uid={{user}})", "x".repeat(3_000)), "{user}").is_err());
    }
}
