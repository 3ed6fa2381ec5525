//! Speaking to a mail server (RFC 5321) over a connection of egress: STARTTLS (RFC 3207) or TLS from the start, AUTH PLAIN or LOGIN (RFC 4954),
//! 8BITMIME and SMTPUTF8 where they are needed. One connection carries the mails of one turn.

use std::time::Duration;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::{Host, Url};

use super::MailError;
use super::message::{Letter, envelope_address};
use crate::base::secret::Secret;
use crate::base::text::{collapse_whitespace, truncate};
use crate::config::mail::{Security, SmtpServer};
use crate::services::egress::{Connection, Destination, Egress, Purpose};

/// Most bytes of one reply, however many lines it has.
const REPLY_BYTES_MAX: usize = 16 * 1024;
/// The longest wait for one reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a reply that an error repeats.
const REASON_BYTES_MAX: usize = 300;

/// A connection to a mail server that has been greeted.
pub(super) struct Session {
    connection: Connection,
    unread: Vec<u8>,
    extensions: Vec<String>,
    hello: String,
}

/// What the server said.
struct Reply {
    code: u16,
    text: String,
}

impl Reply {
    /// Goes on when it is of the wanted hundred. `of_the_mail`: a lasting refusal is one of this mail, not of the server's state.
    fn expect(self, hundred: u16, step: &'static str, of_the_mail: bool) -> Result<Self, MailError> {
        if self.code / 100 == hundred {
            return Ok(self);
        }
        let reply = collapse_whitespace(&format!("{} {}", self.code, truncate(&self.text, REASON_BYTES_MAX)));
        Err(MailError::Refused { step, reply, for_good: of_the_mail && self.code / 100 == 5 })
    }
}

impl Session {
    /// Connects, secures the connection as the settings say, and signs in.
    pub(super) async fn open(egress: &Egress, server: &SmtpServer, own: Option<&Url>) -> Result<Self, MailError> {
        let to = Destination { purpose: Purpose::Mail, protocol: "smtp", host: &server.host, port: server.port };
        let mut connection = egress.connect(to).await?;
        if server.security == Security::Tls {
            connection = egress.secure(connection).await?;
        }
        let mut session = Self { connection, unread: Vec::new(), extensions: Vec::new(), hello: hello_name(own) };
        session.reply().await?.expect(2, "the connection", false)?;
        session.greet().await?;
        if server.security == Security::StartTls {
            session = session.start_tls(egress).await?;
        }
        if let Some((user, password)) = &server.credentials {
            session.sign_in(user, password).await?;
        }
        Ok(session)
    }

    /// Hands one mail over.
    pub(super) async fn send(&mut self, letter: &Letter) -> Result<(), MailError> {
        let bytes = letter.formatted()?;
        let ((from, from_beyond), (to, to_beyond)) = (envelope_address(&letter.from), envelope_address(&letter.to));
        let beyond_ascii = from_beyond || to_beyond || !bytes.is_ascii();
        let mut parameters = String::new();
        if self.offers("8BITMIME") && beyond_ascii {
            parameters.push_str(" BODY=8BITMIME");
        }
        if from_beyond || to_beyond {
            if !self.offers("SMTPUTF8") {
                return Err(MailError::Message(format!("the mail server does not take addresses such as {to}")));
            }
            parameters.push_str(" SMTPUTF8");
        }
        self.command(&format!("MAIL FROM:<{from}>{parameters}")).await?.expect(2, "the sender", false)?;
        self.command(&format!("RCPT TO:<{to}>")).await?.expect(2, "the recipient", true)?;
        self.command("DATA").await?.expect(3, "the mail", true)?;
        self.write(&stuffed(&bytes)).await?;
        self.reply().await?.expect(2, "the mail", true)?;
        Ok(())
    }

    /// Takes leave. Whether the server answers changes nothing.
    pub(super) async fn quit(mut self) {
        let _ = self.command("QUIT").await;
        let _ = self.connection.shutdown().await;
    }

    async fn greet(&mut self) -> Result<(), MailError> {
        let hello = format!("EHLO {}", self.hello);
        let reply = self.command(&hello).await?.expect(2, "EHLO", false)?;
        self.extensions = reply.text.lines().skip(1).map(str::to_ascii_uppercase).collect();
        Ok(())
    }

    async fn start_tls(mut self, egress: &Egress) -> Result<Self, MailError> {
        if !self.offers("STARTTLS") {
            self.connection.failed();
            let reply = "it does not offer STARTTLS; ?tls=none in SMTP_URL does without, in a network of one's own".to_owned();
            return Err(MailError::Refused { step: "TLS", reply, for_good: false });
        }
        self.command("STARTTLS").await?.expect(2, "STARTTLS", false)?;
        if !self.unread.is_empty() {
            // Words from before the encryption must not be taken for words from after it (CVE-2011-0411).
            self.connection.failed();
            return Err(MailError::Protocol("it spoke on in the clear after STARTTLS".to_owned()));
        }
        let connection = egress.secure(self.connection).await?;
        let mut session = Self { connection, ..self };
        session.greet().await?;
        Ok(session)
    }

    async fn sign_in(&mut self, user: &str, password: &Secret<String>) -> Result<(), MailError> {
        let offered = self.extensions.iter().find_map(|line| line.strip_prefix("AUTH")).unwrap_or_default().to_owned();
        let offers = |mechanism: &str| offered.split([' ', '=']).any(|word| word == mechanism);
        let encode = |bytes: &[u8]| Secret::new(BASE64.encode(bytes));
        if offers("PLAIN") {
            let both = Secret::new(format!("\0{user}\0{}", password.expose()));
            let line = Secret::new(format!("AUTH PLAIN {}", encode(both.expose().as_bytes()).expose()));
            self.command(line.expose()).await?.expect(2, "the name and password", false)?;
        } else if offers("LOGIN") {
            self.command("AUTH LOGIN").await?.expect(3, "AUTH LOGIN", false)?;
            self.command(encode(user.as_bytes()).expose()).await?.expect(3, "the name", false)?;
            self.command(encode(password.expose().as_bytes()).expose()).await?.expect(2, "the name and password", false)?;
        } else {
            self.connection.failed();
            let reply = "it offers neither AUTH PLAIN nor AUTH LOGIN on this connection".to_owned();
            return Err(MailError::Refused { step: "signing in", reply, for_good: false });
        }
        Ok(())
    }

    fn offers(&self, extension: &str) -> bool {
        self.extensions.iter().any(|line| line.split(' ').next() == Some(extension))
    }

    async fn command(&mut self, line: &str) -> Result<Reply, MailError> {
        debug_assert!(!line.contains(['\r', '\n']), "one command is one line");
        let line = Secret::new(format!("{line}\r\n"));
        self.write(line.expose().as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        let written = async {
            self.connection.write_all(bytes).await?;
            self.connection.flush().await
        };
        written.await.map_err(|error| MailError::Protocol(error.to_string()))
    }

    /// Reads one reply, of however many lines.
    async fn reply(&mut self) -> Result<Reply, MailError> {
        let read = tokio::time::timeout(REPLY_TIMEOUT, self.read_reply()).await;
        let reply = read.unwrap_or(Err(MailError::Timeout(REPLY_TIMEOUT)));
        if reply.is_err() {
            self.connection.failed();
        }
        reply
    }

    async fn read_reply(&mut self) -> Result<Reply, MailError> {
        let wrong = |what: &str| MailError::Protocol(what.to_owned());
        let (mut text, mut size) = (String::new(), 0);
        loop {
            let line = self.line().await?;
            size += line.len();
            if size > REPLY_BYTES_MAX {
                return Err(wrong("its reply does not end"));
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            let code = code.ok_or_else(|| wrong("its reply has no code"))?;
            text.push_str(line.get(4..).unwrap_or_default());
            text.push('\n');
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, MailError> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.truncate(line.trim_ascii_end().len());
                return Ok(line);
            }
            if self.unread.len() > REPLY_BYTES_MAX {
                return Err(MailError::Protocol("its reply does not end".to_owned()));
            }
            let mut bytes = [0; 1024];
            let read = self.connection.read(&mut bytes).await.map_err(|error| MailError::Protocol(error.to_string()))?;
            if read == 0 {
                return Err(MailError::Protocol("it closed the connection".to_owned()));
            }
            self.unread.extend_from_slice(&bytes[..read]);
        }
    }
}

/// What we call ourselves: the host that people use.
fn hello_name(own: Option<&Url>) -> String {
    match own.and_then(Url::host) {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => format!("[{address}]"),
        Some(Host::Ipv6(address)) => format!("[IPv6:{address}]"),
        None => "localhost".to_owned(),
    }
}

/// The mail with every dot at the start of a line doubled, and its end.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(mail.len() + 64);
    let mut at_start = true;
    for &byte in mail {
        if at_start && byte == b'.' {
            bytes.push(b'.');
        }
        bytes.push(byte);
        at_start = byte == b'\n';
    }
    if !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b".\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_a_dot() {
        assert_eq!(stuffed(b"a\r\n.\r\n..b\r\n"), b"a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
    }

    #[test]
    fn we_call_ourselves_what_people_call_us() {
        assert_eq!(hello_name(Some(&"https://onsite.example:8443".parse().unwrap())), "onsite.example");
        assert_eq!(hello_name(Some(&"https://10.0.0.1".parse().unwrap())), "[10.0.0.1]");
        assert_eq!(hello_name(None), "localhost");
    }
}
