//! What may leave the machine: rules with their checked syntax, and the rows of the log.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::{CompanyId, EgressRuleId};
use super::invalid::Invalid;
use crate::base::clock::Timestamp;

/// Most rules kept: every connection looks through them.
pub const RULES_MAX: u32 = 1_000;
/// The longest reason of a rule, characters.
pub const REASON_CHARS_MAX: usize = 500;
/// The longest host name DNS carries, bytes.
const HOST_BYTES_MAX: usize = 253;
/// The longest label of a host name, bytes.
const LABEL_BYTES_MAX: usize = 63;
/// A network wider than this is no network but the internet: `*` says that better.
const V4_PREFIX_MIN: u8 = 8;
/// As [`V4_PREFIX_MIN`]: fc00::/7 is the widest private network there is.
const V6_PREFIX_MIN: u8 = 7;

/// Why something leaves the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Collecting pages for an automation.
    Collect,
    /// Asking a model server.
    Model,
    /// Asking an embedding server.
    Embedding,
    /// Sending mail.
    Mail,
    /// Asking a provider or a directory who somebody is.
    SignIn,
}

impl Purpose {
    /// The name in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Model => "model",
            Self::Embedding => "embedding",
            Self::Mail => "mail",
            Self::SignIn => "sign_in",
        }
    }
}

/// A purpose that no version of Onsite writes.
#[derive(Debug, thiserror::Error)]
#[error("not an egress purpose")]
pub struct UnknownPurpose;

impl FromStr for Purpose {
    type Err = UnknownPurpose;

    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        [Self::Collect, Self::Model, Self::Embedding, Self::Mail, Self::SignIn]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
            .ok_or(UnknownPurpose)
    }
}

/// Where a rule leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `*`: every host that resolves to a public address.
    AnyPublic,
    /// One host by its name, in lower case and punycode.
    Host(String),
    /// `*.example.com`: every host below a name, not the name itself.
    Below(String),
    /// An address or a network.
    Network(IpNet),
}

fn wrong_destination(message: impl Into<String>, remedy: impl Into<String>) -> Invalid {
    Invalid::new("destination", message, remedy)
}

impl Destination {
    /// Whether the name of a host is covered. Addresses are the business of [`Destination::Network`].
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        match self {
            Self::AnyPublic => true,
            Self::Host(name) => name == host,
            Self::Below(name) => host.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Self::Network(_) => false,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyPublic => f.write_str("*"),
            Self::Host(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Network(net) => write!(f, "{net}"),
        }
    }
}

impl FromStr for Destination {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Err(wrong_destination(
                "a destination is missing",
                "Give a host (example.com), *.example.com, an address, a network (10.0.0.0/8), or * for every public host.",
            ));
        }
        if text == "*" {
            return Ok(Self::AnyPublic);
        }
        if let Some((_, rest)) = text.split_once("://") {
            let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
            return Err(wrong_destination("this is a whole address of a page, not a host", format!("Write {host} alone.")));
        }
        if text.contains('/') {
            return network(text);
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return single(address);
        }
        if let Some((host, port)) = text.rsplit_once(':')
            && port.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(wrong_destination("a destination has no port in it", format!("Write {host} here and {port} as the port.")));
        }
        match text.strip_prefix("*.") {
            Some(rest) => host_name(rest).and_then(|host| match host {
                Self::Host(name) => Ok(Self::Below(name)),
                _ => Err(wrong_destination("there are no hosts below an address", "Write the address alone, or a network such as 10.0.0.0/8.")),
            }),
            None => host_name(text),
        }
    }
}

fn host_name(text: &str) -> Result<Destination, Invalid> {
    if text.contains('*') {
        return Err(wrong_destination("* stands only at the start, as in *.example.com", "List the hosts one by one, or *.example.com."));
    }
    let wrong = |why: &str| wrong_destination(format!("{text} is not a host name: {why}"), "Write it as in the address bar: example.com.");
    let name = match url::Host::parse(text.trim_end_matches('.')) {
        Ok(url::Host::Domain(name)) => name,
        Ok(url::Host::Ipv4(address)) => return single(address.into()),
        Ok(url::Host::Ipv6(address)) => return single(address.into()),
        Err(error) => return Err(wrong(&error.to_string())),
    };
    if name.len() > HOST_BYTES_MAX {
        return Err(wrong("it is longer than 253 bytes"));
    }
    for label in name.split('.') {
        let fine = !label.is_empty() && label.len() <= LABEL_BYTES_MAX && !label.starts_with('-') && !label.ends_with('-');
        if !fine || !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_') {
            return Err(wrong("between its dots stand 1 to 63 letters, digits or hyphens"));
        }
    }
    Ok(Destination::Host(name))
}

fn network(text: &str) -> Result<Destination, Invalid> {
    let net: IpNet = text.parse().map_err(|_| {
        wrong_destination(format!("{text} is not a network"), "Write an address and a prefix length, such as 10.0.0.0/8 or fd00::/8.")
    })?;
    if net.addr() != net.network() {
        return Err(wrong_destination(
            format!("{text} has bits set behind its prefix"),
            format!("Write {} for the network, or {} for the one address.", net.trunc(), net.addr()),
        ));
    }
    let widest = if matches!(net, IpNet::V4(_)) { V4_PREFIX_MIN } else { V6_PREFIX_MIN };
    if net.prefix_len() < widest {
        return Err(wrong_destination(
            format!("{text} is wider than any one network (/{widest})"),
            "Write * for every public host, and each private network by itself.",
        ));
    }
    Ok(Destination::Network(net))
}

fn single(address: IpAddr) -> Result<Destination, Invalid> {
    let address = address.to_canonical();
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::from([255, 255, 255, 255]) {
        return Err(wrong_destination(format!("{address} is not the address of one machine"), "Give the address of the server itself."));
    }
    Ok(Destination::Network(IpNet::from(address)))
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A rule as somebody asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleDraft {
    /// Host, `*.host`, `*`, address or CIDR.
    pub destination: String,
    /// One port, or every port.
    pub port: Option<u16>,
    /// Whether the host may resolve to an address that is not public. Only for one host by name: an address or network says so itself.
    pub allow_private: bool,
    /// Why it is allowed: shown in the list and in the audit log.
    pub reason: String,
}

/// An allowed destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressRule {
    /// Its id.
    pub id: EgressRuleId,
    /// Where it leads.
    pub destination: Destination,
    /// One port, or every port.
    pub port: Option<u16>,
    /// Whether the host may resolve to an address that is not public.
    pub allow_private: bool,
    /// Why it is allowed.
    pub reason: String,
    /// Who added it: a user's id, or the name of a command.
    pub created_by: String,
    /// When it was added.
    pub created_at: Timestamp,
}

impl EgressRule {
    /// Checks a draft.
    ///
    /// # Errors
    /// Names the field and the remedy.
    pub fn checked(draft: &RuleDraft, id: EgressRuleId, created_by: String, created_at: Timestamp) -> Result<Self, Invalid> {
        let destination: Destination = draft.destination.parse()?;
        if draft.port == Some(0) {
            return Err(Invalid::new("port", "port 0 cannot be connected to", "Give a port from 1 to 65535, or none for every port."));
        }
        if draft.allow_private && matches!(destination, Destination::AnyPublic | Destination::Below(_)) {
            return Err(Invalid::new(
                "allow_private",
                format!("{destination} cannot allow private addresses: whoever owns one of those names could point it into your network"),
                "Name one host, or allow the private address or network itself.",
            ));
        }
        let reason = crate::base::text::collapse_whitespace(&draft.reason);
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
            return Err(Invalid::new(
                "reason",
                format!("a reason has 1 to {REASON_CHARS_MAX} characters"),
                "Say in a few words what needs this destination.",
            ));
        }
        let allow_private = draft.allow_private && matches!(destination, Destination::Host(_));
        Ok(Self { id, destination, port: draft.port, allow_private, reason, created_by, created_at })
    }
}

/// A row of the egress log that is about to be written: one attempt to reach one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEgressLogRow {
    /// When it began.
    pub at: Timestamp,
    /// For which company; `None` for the appliance itself.
    pub company: Option<CompanyId>,
    /// Why.
    pub purpose: Purpose,
    /// The HTTP method.
    pub method: String,
    /// `scheme://host:port/path`, never the query.
    pub destination: String,
    /// The address that was connected to, or refused.
    pub address: Option<IpAddr>,
    /// `ok`, or an error's code.
    pub outcome: &'static str,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Body bytes sent.
    pub bytes_sent: u64,
    /// Body bytes received, as on the wire.
    pub bytes_received: u64,
    /// How long it took, milliseconds.
    pub duration_millis: u64,
}

impl NewEgressLogRow {
    /// As it will be stored at this place.
    #[must_use]
    pub fn at_place(self, id: i64) -> EgressLogRow {
        EgressLogRow {
            id,
            at: self.at,
            company: self.company,
            purpose: self.purpose,
            method: self.method,
            destination: self.destination,
            address: self.address.map(|address| address.to_string()),
            outcome: self.outcome.to_owned(),
            status: self.status,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            duration_millis: self.duration_millis,
        }
    }
}

/// A row of the egress log as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressLogRow {
    /// Its place in the log.
    pub id: i64,
    /// When it began.
    pub at: Timestamp,
    /// For which company; `None` for the appliance itself.
    pub company: Option<CompanyId>,
    /// Why.
    pub purpose: Purpose,
    /// The HTTP method.
    pub method: String,
    /// `scheme://host:port/path`.
    pub destination: String,
    /// The address that was connected to, or refused.
    pub address: Option<String>,
    /// `ok`, or an error's code.
    pub outcome: String,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Body bytes sent.
    pub bytes_sent: u64,
    /// Body bytes received, as on the wire.
    pub bytes_received: u64,
    /// How long it took, milliseconds.
    pub duration_millis: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;

    fn canonical(text: &str) -> String {
        text.parse::<Destination>().unwrap().to_string()
    }

    #[test]
    fn destinations_are_written_in_one_way() {
        assert_eq!(canonical(" Example.COM. "), "example.com");
        assert_eq!(canonical("bücher.example"), "xn--bcher-kva.example");
        assert_eq!(canonical("*.Example.com"), "*.example.com");
        assert_eq!(canonical("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(canonical("[::1]"), "::1");
        assert_eq!(canonical("::ffff:10.1.2.3"), "10.1.2.3");
        assert_eq!(canonical("0x7f.1"), "127.0.0.1");
        assert_eq!(canonical("*"), "*");
    }

    #[test]
    fn a_wrong_destination_says_what_would_be_right() {
        let remedy = |text: &str| text.parse::<Destination>().unwrap_err().remedy;
        assert_eq!(remedy("https://example.com/x"), "Write example.com alone.");
        assert_eq!(remedy("example.com:8443"), "Write example.com here and 8443 as the port.");
        assert_eq!(remedy("10.1.2.3/8"), "Write 10.0.0.0/8 for the network, or 10.1.2.3 for the one address.");
        for wrong in
            ["", "a..b", "-a.example", "a b.example", "*.*.example", "ex*mple.com", "0.0.0.0/0", "::/0", "*.10.0.0.1", "0.0.0.0", "224.0.0.1", "a/b"]
        {
            assert!(wrong.parse::<Destination>().is_err(), "{wrong}");
        }
        assert!(format!("{}.example", "x".repeat(64)).parse::<Destination>().is_err());
    }

    #[test]
    fn below_means_below_and_not_the_name_itself_nor_one_that_ends_alike() {
        let below: Destination = "*.example.com".parse().unwrap();
        assert!(below.names("a.example.com") && below.names("a.b.example.com"));
        assert!(!below.names("example.com") && !below.names("badexample.com") && !below.names(".example.com"));
    }

    #[test]
    fn private_addresses_are_allowed_for_one_named_host_only() {
        let draft = |destination: &str| RuleDraft { destination: destination.into(), port: None, allow_private: true, reason: "wiki".into() };
        let check = |draft: &RuleDraft| EgressRule::checked(draft, EgressRuleId::new(&Seams::system()), "x".into(), Timestamp::from_millis(0));
        assert_eq!(check(&draft("*")).unwrap_err().field, "allow_private");
        assert_eq!(check(&draft("*.corp.example")).unwrap_err().field, "allow_private");
        assert!(check(&draft("wiki.corp.example")).unwrap().allow_private);
        assert_eq!(check(&RuleDraft { port: Some(0), ..draft("a.example") }).unwrap_err().field, "port");
        assert_eq!(check(&RuleDraft { reason: " ".into(), ..draft("a.example") }).unwrap_err().field, "reason");
    }
}
