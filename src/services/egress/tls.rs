//! Whom to trust: the host's certificate store, and a file of more authorities. Without either, only plain HTTP works.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::EgressSetupError;

/// Reads the file of additional authorities.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub(super) fn extra_authorities(path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, EgressSetupError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let wrong = |reason: String| EgressSetupError::Authorities { path: path.to_owned(), reason };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate in PEM form".into()));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(certificates)
}

/// The client's configuration. Reads the host's store: some milliseconds and about a megabyte, so only once something is fetched securely.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub(super) fn client_config(extra: &[CertificateDer<'static>]) -> Result<ClientConfig, EgressSetupError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "a trusted certificate of this machine cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
    roots.add_parsable_certificates(extra.iter().cloned());
    if roots.is_empty() {
        tracing::warn!("this machine trusts no certificate authority: no secure connection can be made");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_is_checked_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(extra_authorities(Some(&path)).is_err());
        std::fs::write(&path, "no certificate").unwrap();
        assert!(extra_authorities(Some(&path)).unwrap_err().to_string().contains("holds no certificate"));
        let made = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert_eq!(extra_authorities(Some(&path)).unwrap().len(), 1);
        assert!(client_config(&[]).is_ok());
    }
}
