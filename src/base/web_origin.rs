//! The origin of a web page: scheme, host and port, compared exactly.

use std::net::IpAddr;

use url::{Host, Url};

/// An origin in its one canonical form: `https://onsite.example`, with the port only where it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    text: String,
}

impl WebOrigin {
    /// Reads an `http` or `https` address that names nothing but an origin. `None` for anything else: a path, a query, a user, a wildcard.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let named = url.host_str().is_some_and(|host| !host.contains('*'));
        let web = matches!(url.scheme(), "http" | "https");
        (bare && named && web).then(|| Self { scheme: url.scheme().to_owned(), text: url.origin().ascii_serialization() })
    }

    /// As browsers write it in `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of its host; `None` where it is an address.
    #[must_use]
    pub fn domain(&self) -> Option<String> {
        Url::parse(&self.text).ok()?.domain().map(str::to_owned)
    }

    /// Whether a `Host` (or `:authority`) names this origin.
    #[must_use]
    pub fn is_asked_by(&self, host: &str) -> bool {
        Self::parse(&format!("{}://{host}", self.scheme)).is_some_and(|asked| asked == *self)
    }
}

/// What a `Host` names: an address by its number, or a name. `None` when it is neither.
#[must_use]
pub fn host_of(host: &str) -> Option<Host<String>> {
    let origin = WebOrigin::parse(&format!("http://{host}"))?;
    Url::parse(origin.as_str()).ok()?.host().map(|host| host.to_owned())
}

/// Whether a `Host` names this machine to itself. A name that resolves to a loopback address is not enough: whoever owns the name decides that.
#[must_use]
pub fn is_loopback_name(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).to_canonical().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_nothing_but_an_origin_in_one_form() {
        let text = |text: &str| WebOrigin::parse(text).map(|origin| origin.as_str().to_owned());
        assert_eq!(text("https://Onsite.Example:443").as_deref(), Some("https://onsite.example"));
        assert_eq!(text("https://onsite.example:8443/").as_deref(), Some("https://onsite.example:8443"));
        for wrong in [
            "*",
            "https://*.example",
            "onsite.example",
            "null",
            "https://a.example/app",
            "https://u@a.example",
            "https://a.example?x",
            "ftp://a.example",
            "",
        ] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_told_from_an_address() {
        let domain = |text: &str| WebOrigin::parse(text).unwrap().domain();
        assert_eq!(domain("https://Onsite.Example:8443").as_deref(), Some("onsite.example"));
        assert_eq!(domain("http://localhost:1").as_deref(), Some("localhost"));
        for address in ["https://127.0.0.1", "https://[::1]:8443", "https://2130706433", "https://192.0.2.1:8443"] {
            assert_eq!(domain(address), None, "{address}");
        }
    }

    #[test]
    fn a_host_asks_for_an_origin_by_name_and_port() {
        let origin = WebOrigin::parse("https://onsite.example").unwrap();
        assert!(origin.is_asked_by("ONSITE.example") && origin.is_asked_by("onsite.example:443"));
        for other in ["onsite.example:8443", "onsite.example.evil", "evil.example", "", "onsite.example@evil.example", "onsite.example/../x"] {
            assert!(!origin.is_asked_by(other), "{other}");
        }
    }

    #[test]
    fn loopback_is_what_no_stranger_can_name() {
        let loopback = |host: &str| host_of(host).is_some_and(|host| is_loopback_name(&host));
        for own in ["localhost", "LOCALHOST:8443", "app.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:8443", "[::ffff:127.0.0.1]"] {
            assert!(loopback(own), "{own}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "[::2]", "0.0.0.0", ""] {
            assert!(!loopback(foreign), "{foreign}");
        }
    }
}
