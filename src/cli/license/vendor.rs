//! The vendor's folder: the private key, the ring of public keys, the register, the newest revocation list.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use super::super::outcome::{CommandResult, Failure};
use super::passphrase::PassphraseArguments;
use crate::base::clock::Timestamp;
use crate::services::licensing::keys::{KeyRing, VendorKey};
use crate::services::licensing::private_key::{self, verifying_pem};
use crate::services::licensing::register::Register;

/// The private key's file.
pub(super) const PRIVATE_KEY: &str = "license-private-key.pem";
/// The ring: every public key with the time it is in use. What `LICENSE_PUBLIC_KEY_PEM` takes.
pub(super) const PUBLIC_KEYS: &str = "license-public-key.pem";
/// The newest revocation list.
pub(super) const REVOCATION_LIST: &str = "revocations.onsite";

/// Reads the private key of a file, asking for its passphrase when it is encrypted.
pub(super) fn signing_key(path: &Path, passphrase: &PassphraseArguments) -> Result<SigningKey, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let pem = std::fs::read_to_string(path).map(zeroize::Zeroizing::new).map_err(|error| failed(&error))?;
    let passphrase = if private_key::is_encrypted(&pem) { Some(passphrase.of_existing()?) } else { None };
    private_key::read_private_pem(&pem, passphrase.as_ref()).map_err(|error| failed(&error))
}

/// The register beside a key.
pub(super) fn register_beside(key: &Path) -> Result<Register, Failure> {
    Register::open(folder_of(key)).map_err(Failure::failed)
}

/// The folder a key lies in.
pub(super) fn folder_of(key: &Path) -> &Path {
    key.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The ring beside a key, if there is one.
pub(super) fn ring_beside(key: &Path) -> Result<Option<KeyRing>, Failure> {
    let path = folder_of(key).join(PUBLIC_KEYS);
    if !path.exists() {
        return Ok(None);
    }
    ring_of(&path).map(Some)
}

/// The ring of a file.
pub(super) fn ring_of(path: &Path) -> Result<KeyRing, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let pem = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    KeyRing::development(&pem).map_err(|error| failed(&error))
}

/// The ring as a file: blocks with the lines before them that say when each key is in use.
pub(super) fn ring_text(keys: &[VendorKey]) -> Result<String, Failure> {
    let mut text = String::from("# The keys that may sign activation codes: LICENSE_PUBLIC_KEY_PEM of a release build takes all of them.\n");
    for key in keys {
        text.push_str(&format!("# key {}\n", key.kid));
        if key.valid_from > Timestamp::from_millis(i64::MIN) {
            text.push_str(&format!("valid-from: {}\n", key.valid_from));
        }
        if let Some(at) = key.retired_at {
            text.push_str(&format!("retired-at: {at}\n"));
        }
        text.push_str(&verifying_pem(&key.key).map_err(Failure::failed)?);
    }
    Ok(text)
}

/// Writes a file that must not be there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> CommandResult {
    let written = File::options().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// Writes a file in one step, in the place of what was there.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> CommandResult {
    let part: PathBuf = path.with_extension("part");
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    write_new(&part, bytes, mode)?;
    std::fs::rename(&part, path).map_err(failed)
}
