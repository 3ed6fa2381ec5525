//! The two settings that name a mail server, taken apart: `SMTP_URL` and Azure's connection string.

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::base::secret::Secret;

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (`smtps://`).
    Tls,
    /// A plain beginning that must become TLS (`smtp://`).
    StartTls,
    /// No TLS: on this machine, or with `?tls=none`.
    None,
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How it is spoken to.
    pub security: Security,
    /// The name and password it asks for.
    pub credentials: Option<(String, Secret<String>)>,
}

impl SmtpServer {
    /// Reads `smtp://user:password@host:port` or `smtps://...`; `?tls=none` says that a server of one's own network has no TLS.
    ///
    /// # Errors
    /// What is wrong, without any of the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| "it is not an address such as smtp://user:password@host:587")?;
        let host = match url.host() {
            Some(Host::Domain("")) | None => return Err("it names no host"),
            Some(Host::Domain(name)) => name.to_ascii_lowercase(),
            // The scheme is not one of the web's, so the host may hold an address that was not read as one.
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
        };
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let asked = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let security = match (url.scheme(), asked.as_deref()) {
            ("smtps", None | Some("required")) => Security::Tls,
            ("smtp", Some("required")) => Security::StartTls,
            ("smtp", Some("none")) => Security::None,
            ("smtp", None) => {
                if here {
                    Security::None
                } else {
                    Security::StartTls
                }
            }
            ("smtp" | "smtps", Some(_)) => return Err("its tls is neither required nor none"),
            _ => return Err("it begins neither with smtp:// nor with smtps://"),
        };
        let default = match security {
            Security::Tls => 465,
            Security::StartTls => 587,
            Security::None => 25,
        };
        let decode =
            |part: &str| percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| "its user or password is not text");
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => Some((decode(user)?, Secret::new(decode(password)?))),
            _ => return Err("it has a user without a password, or a password without a user"),
        };
        if credentials.is_some() && security == Security::None && !here {
            return Err("it would send its password over the network without TLS");
        }
        Ok(Self { host, port: url.port().unwrap_or(default), security, credentials })
    }
}

/// A resource of Azure Communication Services.
#[derive(Clone, Debug)]
pub struct AzureAccount {
    /// Its address.
    pub endpoint: Url,
    /// The key that signs.
    pub access_key: Secret<Vec<u8>>,
}

impl AzureAccount {
    /// Reads `endpoint=https://...;accesskey=...`, as the portal shows it.
    ///
    /// # Errors
    /// What is wrong, without any of the text: it holds the key.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let part = |wanted: &str| {
            let parts = text.split(';').filter_map(|part| part.trim().split_once('='));
            parts.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
        };
        let endpoint = part("endpoint").ok_or("it has no endpoint=")?;
        let endpoint = Url::parse(endpoint).map_err(|_| "its endpoint is not an address")?;
        let here = match endpoint.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err("its endpoint has no host"),
        };
        if endpoint.scheme() != "https" && !(endpoint.scheme() == "http" && here) {
            return Err("its endpoint does not begin with https://");
        }
        let key = BASE64.decode(part("accesskey").ok_or("it has no accesskey=")?.as_bytes()).map_err(|_| "its accesskey is not base64")?;
        if key.is_empty() {
            return Err("its accesskey is empty");
        }
        Ok(Self { endpoint, access_key: Secret::new(key) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp(text: &str) -> (String, u16, Security, Option<String>) {
        let server = SmtpServer::parse(text).unwrap();
        (server.host, server.port, server.security, server.credentials.map(|(user, password)| format!("{user}/{}", password.expose())))
    }

    #[test]
    fn a_mail_server_is_spoken_to_with_tls_unless_it_is_here_or_somebody_says_otherwise() {
        assert_eq!(
            smtp("smtp://ada%40example.org:p%23w@Mail.example.org"),
            ("mail.example.org".into(), 587, Security::StartTls, Some("ada@example.org/p#w".into()))
        );
        assert_eq!(smtp("smtps://mail.example.org"), ("mail.example.org".into(), 465, Security::Tls, None));
        assert_eq!(smtp("smtp://10.0.0.5:25?tls=none"), ("10.0.0.5".into(), 25, Security::None, None));
        assert_eq!(smtp("smtp://u:p@127.0.0.1:2525"), ("127.0.0.1".into(), 2525, Security::None, Some("u/p".into())));
        assert_eq!(smtp("smtp://localhost:2525?tls=required").2, Security::StartTls);
        for wrong in [
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp://u@h",
            "smtp://u:p@10.0.0.5?tls=none",
            "smtp://h?tls=maybe",
            "smtps://h?tls=none",
        ] {
            assert!(SmtpServer::parse(wrong).is_err(), "{wrong}");
        }
        assert!(!format!("{:?}", SmtpServer::parse("smtp://u:canary@h").unwrap()).contains("canary"));
    }

    #[test]
    fn azures_connection_string_is_read_in_any_order() {
        let account = AzureAccount::parse("accesskey=a2V5PT0=;Endpoint=https://x.communication.azure.com/").unwrap();
        assert_eq!((account.endpoint.host_str(), account.access_key.expose().as_slice()), (Some("x.communication.azure.com"), &b"key=="[..]));
        for wrong in
            ["", "endpoint=https://x", "endpoint=http://x.example;accesskey=a2V5", "endpoint=https://x;accesskey=#", "endpoint=https://x;accesskey="]
        {
            assert!(AzureAccount::parse(wrong).is_err(), "{wrong}");
        }
    }
}
