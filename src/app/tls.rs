//! The server's certificate: the operator's files, or one made here whose fingerprint is compared by eye.

use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::base::clock::Timestamp;
use crate::base::secret::sha256;

/// A self-signed certificate is trusted by its fingerprint, not by its dates: it lives long, so that it need not be compared often.
const VALID_YEARS: i32 = 10;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file does not hold what its name says.
    #[error("{path} does not hold a PEM {what}: replace it, or remove the folder to get a new self-signed certificate")]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The certificate could not be made.
    #[error("making a self-signed certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("the certificate and key in {path} cannot be used: {source}")]
    Rejected {
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
}

/// A ready TLS configuration and what people compare.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For the listener.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, as hexadecimal pairs with colons.
    pub fingerprint: String,
}

/// Reads `cert.pem` and `key.pem` from `folder`; makes both when neither is there.
///
/// # Errors
/// When a file is unreadable or not what it should be.
pub fn load_or_create(folder: &Path, listen: IpAddr, now: Timestamp) -> Result<Tls, TlsError> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    // The certificate is written last: a key alone is what a first start left behind when it was killed, or an operator's.
    // Either way it is used, never replaced.
    if !certificate.exists() {
        create(folder, &certificate, &key, listen, now)?;
    }
    let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::Io { path: path.to_owned(), source });
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(&certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NotPem { path: certificate.clone(), what: "certificate" })?;
    let leaf = chain.first().ok_or_else(|| TlsError::NotPem { path: certificate.clone(), what: "certificate" })?;
    let fingerprint = sha256(leaf).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    let secret = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|_| TlsError::NotPem { path: key.clone(), what: "private key" })?;
    let rejected = |source| TlsError::Rejected { path: folder.to_owned(), source };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(rejected)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(rejected)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { config: Arc::new(config), fingerprint })
}

fn create(folder: &Path, certificate: &Path, key: &Path, listen: IpAddr, now: Timestamp) -> Result<(), TlsError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if let Ok(host) = rustix::system::uname().nodename().to_str()
        && !host.is_empty()
        && host != "localhost"
    {
        names.push(host.to_owned());
    }
    if !listen.is_unspecified() && !listen.is_loopback() {
        names.push(listen.to_string());
    }
    let mut parameters = rcgen::CertificateParams::new(names)?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Onsite (self-signed)");
    let year = i32::from(now.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).year());
    parameters.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year + VALID_YEARS, 1, 1);
    let pair = match std::fs::read_to_string(key) {
        Ok(pem) => rcgen::KeyPair::from_pem(&pem).map_err(|_| TlsError::NotPem { path: key.to_owned(), what: "private key" })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => rcgen::KeyPair::generate()?,
        Err(source) => return Err(TlsError::Io { path: key.to_owned(), source }),
    };
    let signed = parameters.self_signed(&pair)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    if !key.exists() {
        write(key, pair.serialize_pem().as_bytes(), 0o600).map_err(io(key))?;
    }
    write(certificate, signed.pem().as_bytes(), 0o644).map_err(io(certificate))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    // Under another name first, so that no reader and no next start meets half a file.
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let listen = "192.0.2.7".parse().unwrap();
        let first = load_or_create(&folder.path().join("tls"), listen, NOW).unwrap();
        let second = load_or_create(&folder.path().join("tls"), listen, NOW).unwrap();
        assert_eq!(first.fingerprint, second.fingerprint);
        assert_eq!(first.fingerprint.len(), 95);
        let mode = std::fs::metadata(folder.path().join("tls/key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(folder.path().join("tls/cert.pem")).unwrap();
        let key = std::fs::read(folder.path().join("tls/key.pem")).unwrap();
        load_or_create(&folder.path().join("tls"), listen, NOW).unwrap();
        assert_eq!(std::fs::read(folder.path().join("tls/key.pem")).unwrap(), key, "a key that is there is used");
    }

    #[test]
    fn rubbish_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), "rubbish").unwrap();
        std::fs::write(folder.path().join("key.pem"), "rubbish").unwrap();
        let error = load_or_create(folder.path(), "127.0.0.1".parse().unwrap(), NOW).unwrap_err();
        assert!(error.to_string().contains("cert.pem"), "{error}");
    }
}
