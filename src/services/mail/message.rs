//! A mail as the bytes that travel (RFC 5322), and whom the mail server is told about.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::{Address, Message};

use super::MailError;
use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::model::ids::MailId;
use crate::model::user::Email;

/// A mail with its text open.
pub(super) struct Letter {
    pub(super) id: MailId,
    pub(super) from: Email,
    pub(super) to: Email,
    pub(super) subject: String,
    pub(super) text: Secret<String>,
    pub(super) at: Timestamp,
}

impl Letter {
    /// The whole mail, lines ended by CR LF.
    pub(super) fn formatted(&self) -> Result<Vec<u8>, MailError> {
        let wrong = |error: &dyn std::fmt::Display| MailError::Message(error.to_string());
        let mailbox = |name: Option<&str>, email: &Email| {
            let address: Address = email.as_str().parse().map_err(|error| wrong(&error))?;
            Ok::<_, MailError>(Mailbox::new(name.map(str::to_owned), address))
        };
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.at.millis()).unwrap_or_default());
        let host = self.from.as_str().rsplit('@').next().unwrap_or("localhost");
        let mut message = Message::builder()
            .from(mailbox(Some("Onsite"), &self.from)?)
            .to(mailbox(None, &self.to)?)
            .subject(self.subject.clone())
            .date(date)
            .message_id(Some(format!("<{}@{host}>", self.id)))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(self.text.expose().clone())
            .map_err(|error| wrong(&error))?;
        // No answering machine answers (RFC 3834).
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        message.headers_mut().insert_raw(automatic);
        Ok(message.formatted())
    }
}

/// An address as a mail server is told it: the host in punycode. Whether it holds more than ASCII all the same.
pub(super) fn envelope_address(email: &Email) -> (String, bool) {
    let (local, host) = email.as_str().rsplit_once('@').unwrap_or((email.as_str(), ""));
    let host = match url::Host::parse(host) {
        Ok(url::Host::Domain(name)) => name,
        _ => host.to_owned(),
    };
    let address = format!("{local}@{host}");
    let beyond_ascii = !address.is_ascii();
    (address, beyond_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;

    #[test]
    fn a_mail_has_its_heads_and_its_text() {
        let letter = Letter {
            id: MailId::new(&Seams::system()),
            from: "onsite@example.org".parse().unwrap(),
            to: "bea@example.com".parse().unwrap(),
            subject: "Einladung zu Böhm & Söhne".into(),
            text: Secret::new("Grüße\n.\nEnde\n".into()),
            at: Timestamp::from_millis(1_893_456_000_000),
        };
        let text = String::from_utf8(letter.formatted().unwrap()).unwrap();
        for part in [
            "From: Onsite <onsite@example.org>\r\n",
            "To: bea@example.com\r\n",
            "Date: Tue, 01 Jan 2030 00:00:00 ",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "Message-ID: <mai_",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.contains("Subject: Einladung zu =?utf-8?b?"), "{text}");
        assert!(!text.contains("X-Mailer") && text.is_ascii());
    }

    #[test]
    fn hosts_travel_in_punycode() {
        assert_eq!(envelope_address(&"ada@bücher.example".parse().unwrap()), ("ada@xn--bcher-kva.example".into(), false));
        assert!(envelope_address(&"jürgen@example.org".parse().unwrap()).1);
    }
}
