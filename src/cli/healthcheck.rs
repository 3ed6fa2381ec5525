//! `onsite healthcheck`: ask a running appliance on this machine whether it is ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::outcome::{CommandResult, Failure, say};

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 65_536;

/// Ask a running appliance whether it is ready: exit 0 when it is, 3 when it answers that it is not, 1 when it does not answer.
#[derive(Debug, Args)]
pub(in crate::cli) struct Healthcheck {
    /// Address of the appliance, on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    address: SocketAddr,
    /// It serves plain HTTP (`onsite serve --dev`).
    #[arg(long)]
    dev: bool,
    /// The appliance's own JSON document instead of text.
    #[arg(long)]
    json: bool,
}

impl Healthcheck {
    pub(in crate::cli) fn run(self) -> CommandResult {
        if !self.address.ip().is_loopback() {
            return Err(Failure::Usage("healthcheck asks this machine only: give a loopback --address".to_owned()));
        }
        let answer =
            self.ask().map_err(|error| Failure::failed(format!("no answer from {}: {error}; is `onsite serve` running there?", self.address)))?;
        let status = answer.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
        let ready = status == "200";
        if self.json {
            say(body);
        } else if ready {
            say("ready");
        } else {
            let answer: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            let reasons: Vec<&str> = answer["reasons"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
            say(format!("not ready: {}", if reasons.is_empty() { format!("it answered {status}") } else { reasons.join(", ") }));
        }
        if ready { Ok(()) } else { Err(Failure::CheckFailed) }
    }

    fn ask(&self) -> std::io::Result<String> {
        let stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        if self.dev {
            return exchange(stream);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ThisMachine(provider)))
            .with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), ServerName::from(self.address.ip())).map_err(std::io::Error::other)?;
        exchange(StreamOwned::new(connection, stream))
    }
}

fn exchange(mut stream: impl Read + Write) -> std::io::Result<String> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer) {
        // A server may close without a TLS goodbye; what was read counts.
        Ok(_) => Ok(answer),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(answer),
        Err(error) => Err(error),
    }
}

/// Accepts the certificate of whoever listens on this machine's loopback address: nothing secret is sent, and only readiness is read.
#[derive(Debug)]
struct ThisMachine(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for ThisMachine {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
