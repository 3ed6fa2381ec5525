//! The policy: nothing leaves unless a rule allows it. Decides on a host, a port and the address about to be connected to.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::{AddressClass, classify};
use super::error::EgressError;
use crate::model::egress::{Destination, EgressRule};

/// Where a request goes, as far as its URL tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Lower case, punycode, without the final dot; an address without brackets.
    pub host: String,
    /// The address, when the URL holds one in place of a name.
    pub literal: Option<IpAddr>,
    /// The port, default ports filled in.
    pub port: u16,
}

impl Target {
    /// Reads the target from a URL; refuses what is never fetched.
    ///
    /// # Errors
    /// [`EgressError::BadUrl`] for another scheme than http and https, for credentials in the URL, for a URL without a host.
    pub fn of(url: &Url) -> Result<Self, EgressError> {
        let bad = |reason: String| EgressError::BadUrl { reason };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(format!("its scheme is {}, not http or https", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it has a user name or password in it".into()));
        }
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or_else(|| bad("it has no port to connect to".into()))?;
        match url.host() {
            Some(Host::Domain(name)) => Self::of_host(name, port).ok_or_else(|| bad("it has no host".into())),
            Some(Host::Ipv4(v4)) => Ok(Self::of_address(v4.into(), port)),
            Some(Host::Ipv6(v6)) => Ok(Self::of_address(v6.into(), port)),
            None => Err(bad("it has no host".into())),
        }
    }

    /// From a host as a connector gets it.
    pub(super) fn of_host(host: &str, port: u16) -> Option<Self> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::of_address(address, port));
        }
        let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
        (!name.is_empty()).then_some(Self { host: name, literal: None, port })
    }

    fn of_address(address: IpAddr, port: u16) -> Self {
        let address = address.to_canonical();
        Self { host: address.to_string(), literal: Some(address), port }
    }
}

/// The rules in force. Immutable: a change of rules makes a new policy and, with it, new connections.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<EgressRule>,
}

impl Policy {
    /// A policy of these rules.
    #[must_use]
    pub const fn new(rules: Vec<EgressRule>) -> Self {
        Self { rules }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[EgressRule] {
        &self.rules
    }

    /// Whether anything could allow this target, before its name is resolved: even a DNS query tells somebody something.
    ///
    /// # Errors
    /// [`EgressError::NotAllowed`].
    pub fn precheck(&self, target: &Target) -> Result<(), EgressError> {
        if let Some(address) = target.literal {
            return self.check(target, address);
        }
        let possible = |rule: &EgressRule| {
            rule.port.is_none_or(|port| port == target.port)
                && (rule.destination.names(&target.host) || matches!(rule.destination, Destination::Network(_)))
        };
        if self.rules.iter().any(possible) { Ok(()) } else { Err(unlisted(target)) }
    }

    /// Whether a connection for this target may be made to this address: asked in the connector, for the address it connects to.
    ///
    /// # Errors
    /// [`EgressError::NotAllowed`].
    pub fn check(&self, target: &Target, address: IpAddr) -> Result<(), EgressError> {
        let address = address.to_canonical();
        let class = classify(address);
        if !class.is_never() && self.rules.iter().any(|rule| allows(rule, target, address, class)) {
            return Ok(());
        }
        Err(if class == AddressClass::Public { unlisted(target) } else { not_public(target, address, class) })
    }

    /// Whether a page fetched securely may send us to one that is not: only where one rule covers both, so that an admin meant both.
    #[must_use]
    pub fn may_downgrade(&self, from: &Target, from_address: Option<IpAddr>, to: &Target) -> bool {
        let covers = |rule: &EgressRule, target: &Target, address: Option<IpAddr>| {
            let address = target.literal.or(address);
            let by_address = matches!((&rule.destination, address), (Destination::Network(net), Some(address)) if net.contains(&address));
            rule.port.is_none_or(|port| port == target.port) && (rule.destination.names(&target.host) || by_address)
        };
        let to_address = from_address.filter(|_| from.host == to.host);
        self.rules.iter().any(|rule| covers(rule, from, from_address) && covers(rule, to, to_address))
    }
}

fn allows(rule: &EgressRule, target: &Target, address: IpAddr, class: AddressClass) -> bool {
    if rule.port.is_some_and(|port| port != target.port) {
        return false;
    }
    match (&rule.destination, class) {
        // A metadata service hands out credentials: only the exact address opens it.
        (Destination::Network(net), AddressClass::Metadata) => net.prefix_len() == net.max_prefix_len() && net.addr() == address,
        (_, AddressClass::Metadata) => false,
        (Destination::Network(net), _) => net.contains(&address),
        (destination, AddressClass::Public) => destination.names(&target.host),
        (Destination::Host(name), _) => rule.allow_private && *name == target.host,
        (Destination::AnyPublic | Destination::Below(_), _) => false,
    }
}

fn unlisted(target: &Target) -> EgressError {
    EgressError::NotAllowed {
        host: target.host.clone(),
        port: target.port,
        address: target.literal,
        reason: "no egress rule lists it".into(),
        remedy: format!("A system admin can allow {} under Appliance › Egress.", target.host),
    }
}

fn not_public(target: &Target, address: IpAddr, class: AddressClass) -> EgressError {
    let what = class.described();
    let (host, port) = (target.host.clone(), target.port);
    let reason = if target.literal.is_some() { format!("it is {what}") } else { format!("it resolves to {address}, {what}") };
    let remedy = match class {
        AddressClass::Multicast | AddressClass::Nowhere => "Such an address cannot be allowed; give the server's own.".to_owned(),
        AddressClass::Metadata => format!("Metadata services hand out credentials: only a rule for exactly {address} opens this one."),
        _ if target.literal.is_some() => format!("A system admin can allow {address}, or the network it is in, under Appliance › Egress."),
        _ => format!(
            "If {host} is a server of yours, a system admin can allow {address}, its network, or {host} with private addresses, under Appliance › Egress."
        ),
    };
    EgressError::NotAllowed { host, port, address: Some(address), reason, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::seams::Seams;
    use crate::model::egress::RuleDraft;
    use crate::model::ids::EgressRuleId;

    pub(in crate::services::egress) fn policy(rules: &[(&str, Option<u16>, bool)]) -> Policy {
        let rule = |(destination, port, allow_private): &(&str, Option<u16>, bool)| {
            let draft = RuleDraft { destination: (*destination).into(), port: *port, allow_private: *allow_private, reason: "test".into() };
            EgressRule::checked(&draft, EgressRuleId::new(&Seams::system()), "test".into(), Timestamp::from_millis(0)).unwrap()
        };
        Policy::new(rules.iter().map(rule).collect())
    }

    fn target(url: &str) -> Target {
        Target::of(&url.parse().unwrap()).unwrap()
    }

    fn allowed(policy: &Policy, url: &str, address: &str) -> bool {
        policy.check(&target(url), address.parse().unwrap()).is_ok()
    }

    #[test]
    fn without_rules_nothing_leaves_and_no_name_is_looked_up() {
        let none = Policy::default();
        assert!(none.precheck(&target("https://example.com/")).is_err());
        assert!(none.precheck(&target("http://127.0.0.1/")).is_err());
        assert!(!allowed(&none, "https://example.com/", "1.1.1.1"));
    }

    #[test]
    fn a_star_reaches_public_addresses_only() {
        let star = policy(&[("*", None, false)]);
        assert!(allowed(&star, "https://example.com/", "1.1.1.1"));
        assert!(star.precheck(&target("http://1.1.1.1/")).is_ok());
        for private in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "0.0.0.0", "fd00::1", "100.64.0.1"] {
            assert!(!allowed(&star, "https://example.com/", private), "{private}");
        }
    }

    #[test]
    fn every_way_to_write_an_address_is_the_address() {
        let star = policy(&[("*", None, false)]);
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://0x7f000001/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
        ] {
            let error = star.precheck(&target(url)).unwrap_err();
            assert_eq!(error.code(), "not_allowed", "{url}");
        }
        let loopback = policy(&[("127.0.0.1", Some(8080), false)]);
        assert!(loopback.precheck(&target("http://[::ffff:127.0.0.1]:8080/")).is_ok());
        assert!(loopback.precheck(&target("http://127.0.0.1:8081/")).is_err());
    }

    #[test]
    fn private_addresses_need_their_network_or_a_host_that_may() {
        assert!(allowed(&policy(&[("10.0.0.0/8", None, false)]), "http://wiki.corp/", "10.1.2.3"));
        assert!(!allowed(&policy(&[("10.0.0.0/8", None, false)]), "http://wiki.corp/", "192.168.0.1"));
        assert!(!allowed(&policy(&[("wiki.corp", None, false)]), "http://wiki.corp/", "10.1.2.3"));
        assert!(allowed(&policy(&[("wiki.corp", None, true)]), "http://wiki.corp./", "10.1.2.3"));
        assert!(!allowed(&policy(&[("wiki.corp", Some(443), true)]), "http://wiki.corp/", "10.1.2.3"));
        assert!(!allowed(&policy(&[("wiki.corp", None, true), ("other.corp", None, false)]), "http://other.corp/", "10.1.2.3"));
    }

    #[test]
    fn metadata_opens_to_its_exact_address_only() {
        let metadata = "169.254.169.254";
        assert!(!allowed(&policy(&[("169.254.0.0/16", None, false)]), "http://169.254.169.254/", metadata));
        assert!(!allowed(&policy(&[("metadata.example", None, true)]), "http://metadata.example/", metadata));
        assert!(allowed(&policy(&[(metadata, None, false)]), "http://169.254.169.254/", metadata));
        assert!(!allowed(&policy(&[("fc00::/7", None, false)]), "http://[fd00:ec2::254]/", "fd00:ec2::254"));
    }

    #[test]
    fn what_is_never_fetched() {
        for url in [
            "ftp://a.example/",
            "file:///etc/passwd",
            "http://user:pw@a.example/",
            "http://user@a.example/",
            "http://a.example:0/",
            "data:text/plain,x",
        ] {
            assert_eq!(Target::of(&url.parse().unwrap()).unwrap_err().code(), "bad_url", "{url}");
        }
    }

    #[test]
    fn leaving_tls_needs_one_rule_for_both_ends() {
        let ports = policy(&[("a.example", Some(443), false), ("a.example", Some(80), false)]);
        let whole = policy(&[("a.example", None, false)]);
        let (from, to) = (target("https://a.example/"), target("http://a.example/"));
        assert!(!ports.may_downgrade(&from, None, &to));
        assert!(whole.may_downgrade(&from, None, &to));
        let net = policy(&[("10.0.0.0/8", None, false)]);
        assert!(net.may_downgrade(&from, Some([10, 0, 0, 1].into()), &to));
        assert!(!net.may_downgrade(&from, Some([10, 0, 0, 1].into()), &target("http://b.example/")));
    }
}
