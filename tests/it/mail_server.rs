//! A mail server on loopback that speaks SMTP as one does: EHLO, STARTTLS or TLS from the start, AUTH PLAIN and LOGIN, and refusals.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use onsite::base::tasks::Tasks;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offer {
    /// No TLS.
    Plain,
    /// STARTTLS, and nothing else before it.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// A mail that came.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub text: String,
    pub secure: bool,
    /// `user:password` of who signed in.
    pub signed_in: Option<String>,
}

impl Mail {
    /// Its text as it was written, whatever it travelled as.
    pub fn body(&self) -> String {
        let (head, body) = self.text.split_once("\r\n\r\n").unwrap();
        if head.contains("quoted-printable") {
            let joined = body.replace("=\r\n", "");
            let mut bytes = Vec::new();
            let mut rest = joined.bytes();
            while let Some(byte) = rest.next() {
                if byte == b'=' {
                    let pair = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
                } else {
                    bytes.push(byte);
                }
            }
            return String::from_utf8(bytes).unwrap();
        }
        if head.contains("base64") {
            String::from_utf8(BASE64.decode(body.replace("\r\n", "").as_bytes()).unwrap()).unwrap()
        } else {
            body.to_owned()
        }
    }

    /// What stands behind the # of the link to this page.
    pub fn token(&self, page: &str) -> String {
        let body = self.body();
        let link = body.lines().find(|line| line.contains(&format!("/{page}#"))).unwrap_or_else(|| panic!("no link to {page} in {body}"));
        link.split_once('#').unwrap().1.trim().to_owned()
    }

    /// The code that it carries.
    pub fn code(&self) -> String {
        self.body().lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
    }
}

pub struct MailServer {
    pub address: SocketAddr,
    /// The certificate, which whoever connects has to trust.
    pub certificate: String,
    mails: tokio::sync::Mutex<mpsc::UnboundedReceiver<Mail>>,
    replies: Arc<Mutex<Vec<&'static str>>>,
}

impl MailServer {
    pub async fn start(offer: Offer) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mails) = mpsc::unbounded_channel();
        let replies: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let next = Arc::clone(&replies);
        let tasks = Tasks::default();
        let talks = tasks.clone();
        tasks.spawn("test-mail", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = Talk { acceptor: acceptor.clone(), offer, sender: sender.clone(), replies: Arc::clone(&next) };
                talks.spawn("test-mail-talk", talk.begin(stream));
            }
        });
        Self { address, certificate: made.cert.pem(), mails: tokio::sync::Mutex::new(mails), replies }
    }

    /// Writes the certificate to a file for `ONSITE_EXTRA_CA_FILE`.
    pub fn trust(&self, folder: &Path) -> String {
        let path = folder.join("mail-ca.pem");
        std::fs::write(&path, &self.certificate).unwrap();
        path.display().to_string()
    }

    /// The next recipients get these replies instead of a welcome.
    pub fn refuse(&self, replies: &[&'static str]) {
        self.replies.lock().unwrap().extend(replies.iter().rev());
    }

    /// The next mail that comes.
    pub async fn next(&self) -> Mail {
        tokio::time::timeout(Duration::from_secs(20), self.mails.lock().await.recv()).await.unwrap().unwrap()
    }

    /// Whether nothing came up to now.
    pub async fn is_empty(&self) -> bool {
        self.mails.lock().await.is_empty()
    }
}

struct Talk {
    acceptor: TlsAcceptor,
    offer: Offer,
    sender: mpsc::UnboundedSender<Mail>,
    replies: Arc<Mutex<Vec<&'static str>>>,
}

impl Talk {
    async fn begin(self, stream: TcpStream) {
        if self.offer == Offer::Tls {
            if let Ok(stream) = self.acceptor.accept(stream).await {
                self.talk(stream, true, true).await;
            }
            return;
        }
        let wants_tls = self.offer == Offer::StartTls;
        if let Some(stream) = self.talk(stream, false, true).await
            && wants_tls
            && let Ok(stream) = self.acceptor.accept(stream).await
        {
            self.talk(stream, true, false).await;
        }
    }

    /// Talks until QUIT; gives the stream back when it is to become secure.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, secure: bool, greet: bool) -> Option<S> {
        let mut stream = BufReader::new(stream);
        if greet {
            stream.write_all(b"220 mail.test ESMTP\r\n").await.ok()?;
        }
        let (mut from, mut to, mut signed_in) = (String::new(), String::new(), None);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            let upper = line.to_ascii_uppercase();
            let before_tls = self.offer == Offer::StartTls && !secure;
            let reply = match upper.split(' ').next().unwrap_or_default() {
                "EHLO" if before_tls => "250-mail.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n".to_owned(),
                "EHLO" => "250-mail.test\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME\r\n".to_owned(),
                "STARTTLS" if before_tls => {
                    stream.write_all(b"220 go ahead\r\n").await.ok()?;
                    return Some(stream.into_inner());
                }
                _ if before_tls => "530 Must issue a STARTTLS command first\r\n".to_owned(),
                "AUTH" => {
                    let given = BASE64.decode(line.split(' ').nth(2).unwrap_or_default().as_bytes()).unwrap();
                    let given = String::from_utf8(given).unwrap();
                    let parts: Vec<&str> = given.split('\0').collect();
                    signed_in = Some(format!("{}:{}", parts[1], parts[2]));
                    if parts[2] == "wrong" { "535 5.7.8 no\r\n".to_owned() } else { "235 ok\r\n".to_owned() }
                }
                "MAIL" => {
                    from = address(&line);
                    "250 ok\r\n".to_owned()
                }
                "RCPT" => {
                    to = address(&line);
                    let refusal = self.replies.lock().unwrap().pop();
                    refusal.map_or_else(|| "250 ok\r\n".to_owned(), |refusal| format!("{refusal}\r\n"))
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await.ok()?;
                    let mut text = String::new();
                    loop {
                        let mut line = String::new();
                        if stream.read_line(&mut line).await.ok()? == 0 {
                            return None;
                        }
                        if line == ".\r\n" {
                            break;
                        }
                        text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    }
                    let mail = Mail { from: from.clone(), to: to.clone(), text, secure, signed_in: signed_in.clone() };
                    self.sender.send(mail).ok()?;
                    "250 taken\r\n".to_owned()
                }
                "QUIT" => {
                    let _ = stream.write_all(b"221 bye\r\n").await;
                    return None;
                }
                _ => "250 ok\r\n".to_owned(),
            };
            stream.write_all(reply.as_bytes()).await.ok()?;
        }
    }
}

fn address(line: &str) -> String {
    line.split_once('<').unwrap().1.split_once('>').unwrap().0.to_owned()
}
