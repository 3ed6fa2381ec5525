//! The vendor's signing key as a file: PKCS#8 in PEM form, encrypted with a passphrase (PBES2: scrypt and AES-256) unless somebody insists.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{SigningKey, VerifyingKey};
use pkcs8::der::pem::PemLabel;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument};
use zeroize::Zeroizing;

use crate::base::seams::Seams;
use crate::base::secret::Secret;

/// scrypt's cost: 16 MiB, five times over, for each try. More memory at once is more than OpenSSL reads (32 MiB and it refuses).
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 5;
/// Shortest passphrase, characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;

/// Why a private key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a key.
    #[error("this is not an Ed25519 private key in PKCS#8 PEM form (-----BEGIN PRIVATE KEY----- or -----BEGIN ENCRYPTED PRIVATE KEY-----)")]
    NotAKey,
    /// Encrypted, and no passphrase was given.
    #[error("this private key is encrypted, and its passphrase was not given")]
    NeedsPassphrase,
    /// The passphrase does not open it.
    #[error("the passphrase does not open this private key, or its file is damaged")]
    WrongPassphrase,
    /// Too short.
    #[error("a passphrase has at least {PASSPHRASE_CHARS_MIN} characters")]
    ShortPassphrase,
    /// It could not be written down.
    #[error("the key could not be written as PEM")]
    Encoding,
}

/// A new signing key.
#[must_use]
pub fn generate_key(seams: &Seams) -> SigningKey {
    SigningKey::from_bytes(&Zeroizing::new(seams.random_bytes::<32>()))
}

/// Whether a PEM text is an encrypted private key.
#[must_use]
pub fn is_encrypted(pem: &str) -> bool {
    pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

/// Reads a private key. `\n` written out counts as a line end, because environment files cannot hold one.
///
/// # Errors
/// See [`KeyError`].
pub fn read_private_pem(pem: &str, passphrase: Option<&Secret<String>>) -> Result<SigningKey, KeyError> {
    let pem = Zeroizing::new(pem.trim().replace("\\n", "\n"));
    if !is_encrypted(&pem) {
        return SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::NotAKey);
    }
    let passphrase = passphrase.ok_or(KeyError::NeedsPassphrase)?;
    let (label, document) = SecretDocument::from_pem(&pem).map_err(|_| KeyError::NotAKey)?;
    EncryptedPrivateKeyInfo::validate_pem_label(label).map_err(|_| KeyError::NotAKey)?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| KeyError::NotAKey)?;
    let clear = encrypted.decrypt(passphrase.expose().as_bytes()).map_err(|_| KeyError::WrongPassphrase)?;
    SigningKey::from_pkcs8_der(clear.as_bytes()).map_err(|_| KeyError::NotAKey)
}

/// A private key in the version that OpenSSL reads, in the clear.
///
/// # Errors
/// [`KeyError::Encoding`], which does not happen with a generated key.
pub fn private_pem(key: &SigningKey) -> Result<Zeroizing<String>, KeyError> {
    bytes_of(key).to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Encoding)
}

/// A private key encrypted with a passphrase, as `openssl pkey` reads it.
///
/// # Errors
/// A passphrase that is too short.
pub fn encrypted_private_pem(key: &SigningKey, passphrase: &Secret<String>, seams: &Seams) -> Result<Zeroizing<String>, KeyError> {
    if passphrase.expose().chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(KeyError::ShortPassphrase);
    }
    let (salt, iv) = (seams.random_bytes::<16>(), seams.random_bytes::<16>());
    let encode = || {
        let clear = bytes_of(key).to_pkcs8_der().ok()?;
        let scrypt = pkcs8::pkcs5::scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, 32).ok()?;
        let parameters = pbes2::Parameters::scrypt_aes256cbc(scrypt, &salt, &iv).ok()?;
        let info = PrivateKeyInfo::try_from(clear.as_bytes()).ok()?;
        let document = info.encrypt_with_params(parameters, passphrase.expose().as_bytes()).ok()?;
        document.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF).ok()
    };
    encode().ok_or(KeyError::Encoding)
}

fn bytes_of(key: &SigningKey) -> KeypairBytes {
    KeypairBytes { secret_key: key.to_bytes(), public_key: None }
}

/// The public half in PEM form.
///
/// # Errors
/// [`KeyError::Encoding`], which does not happen with a generated key.
pub fn public_pem(key: &SigningKey) -> Result<String, KeyError> {
    verifying_pem(&key.verifying_key())
}

/// A public key in PEM form: a block of what `LICENSE_PUBLIC_KEY_PEM` takes.
///
/// # Errors
/// [`KeyError::Encoding`], which does not happen with a key that was read.
pub fn verifying_pem(key: &VerifyingKey) -> Result<String, KeyError> {
    key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_from_their_files() {
        let key = generate_key(&Seams::system());
        let pem = private_pem(&key).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(read_private_pem(&pem, None).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(read_private_pem(&pem.replace('\n', "\\n"), None).unwrap().to_bytes(), key.to_bytes(), "from an environment file");
        assert_eq!(read_private_pem("-----BEGIN PUBLIC KEY-----", None).unwrap_err(), KeyError::NotAKey);
    }

    #[test]
    fn an_encrypted_key_opens_with_its_passphrase_only() {
        let seams = Seams::system();
        let key = generate_key(&seams);
        let passphrase = |text: &str| Secret::new(text.to_owned());
        let right = passphrase("correct horse battery");
        let pem = encrypted_private_pem(&key, &right, &seams).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        assert_eq!(read_private_pem(&pem, Some(&right)).unwrap().to_bytes(), key.to_bytes());
        assert_eq!(read_private_pem(&pem, None).unwrap_err(), KeyError::NeedsPassphrase);
        assert_eq!(read_private_pem(&pem, Some(&passphrase("wrong horse battery"))).unwrap_err(), KeyError::WrongPassphrase);
        assert_eq!(encrypted_private_pem(&key, &passphrase("short"), &seams).unwrap_err(), KeyError::ShortPassphrase);
        let again = encrypted_private_pem(&key, &right, &seams).unwrap();
        assert_ne!(*pem, *again, "salt and vector are new each time");
    }
}
