//! The key that an issuer signs with, from its settings; or why there is none.

use ed25519_dalek::SigningKey;

use crate::base::clock::Timestamp;
use crate::base::secret::Secret;
use crate::services::licensing::keys::{KeyRing, fingerprint, has_compiled_in_keys};
use crate::services::licensing::private_key::read_private_pem;

/// The key to sign with, or why there is none.
pub struct Signing(Result<Ready, String>);

struct Ready {
    key: Box<SigningKey>,
    kid: String,
    ring: KeyRing,
}

impl Signing {
    /// Reads the keys of the settings. Nothing here stops the start: orders are kept until the settings are right.
    #[must_use]
    pub fn of_settings(public: Option<&str>, private: Option<&Secret<String>>, passphrase: Option<&Secret<String>>) -> Self {
        Self(read(public, private, passphrase))
    }

    /// The key, if it may sign now.
    ///
    /// # Errors
    /// Why not, in words that name the setting; never the key.
    pub fn key_at(&self, now: Timestamp) -> Result<&SigningKey, String> {
        let ready = self.0.as_ref().map_err(Clone::clone)?;
        match ready.ring.find(&ready.kid) {
            Some(vendor) if vendor.in_use_at(now) => Ok(&ready.key),
            Some(_) => Err(format!("The key {} is not in use now: LICENSE_PUBLIC_KEY_PEM says when it is.", ready.kid)),
            None => Err(format!("The key {} of LICENSE_SIGNING_PRIVATE_KEY_PEM is not among those of LICENSE_PUBLIC_KEY_PEM.", ready.kid)),
        }
    }

    /// The id of the key, if there is one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.0.as_ref().ok().map(|ready| ready.kid.as_str())
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signing").field(&self.kid()).finish()
    }
}

fn read(public: Option<&str>, private: Option<&Secret<String>>, passphrase: Option<&Secret<String>>) -> Result<Ready, String> {
    let given = |present: bool, name: &'static str| if present { None } else { Some(name) };
    let missing: Vec<&str> =
        [given(public.is_some() || has_compiled_in_keys(), "LICENSE_PUBLIC_KEY_PEM"), given(private.is_some(), "LICENSE_SIGNING_PRIVATE_KEY_PEM")]
            .into_iter()
            .flatten()
            .collect();
    let Some(private) = private.filter(|_| missing.is_empty()) else {
        return Err(format!("{} not set.", if missing.len() == 1 { format!("{} is", missing[0]) } else { format!("{} are", missing.join(" and ")) }));
    };
    let key = read_private_pem(private.expose(), passphrase)
        .map_err(|error| format!("LICENSE_SIGNING_PRIVATE_KEY_PEM: {error} (LICENSE_SIGNING_KEY_PASSPHRASE holds the passphrase)."))?;
    let ring = match public {
        Some(pem) => KeyRing::release(pem),
        None => KeyRing::of_build(None),
    };
    let ring = ring.map_err(|error| format!("LICENSE_PUBLIC_KEY_PEM: {error}."))?;
    Ok(Ready { kid: fingerprint(&key.verifying_key()), key: Box::new(key), ring })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seams::Seams;
    use crate::services::licensing::private_key::{encrypted_private_pem, generate_key, private_pem, public_pem};

    #[test]
    fn a_key_signs_only_where_both_settings_are_right() {
        let seams = Seams::system();
        let (key, other) = (generate_key(&seams), generate_key(&seams));
        let secret = |text: &str| Secret::new(text.to_owned());
        let public = public_pem(&key).unwrap();
        let private = secret(&private_pem(&key).unwrap());
        let told = |public: Option<&str>, private: Option<&Secret<String>>, passphrase: Option<&Secret<String>>| {
            Signing::of_settings(public, private, passphrase).key_at(seams.now()).map(|key| key.to_bytes())
        };
        assert_eq!(told(Some(&public), Some(&private), None), Ok(key.to_bytes()));
        assert!(told(None, None, None).unwrap_err().contains("LICENSE_SIGNING_PRIVATE_KEY_PEM"));
        assert_eq!(told(Some(&public), None, None).unwrap_err(), "LICENSE_SIGNING_PRIVATE_KEY_PEM is not set.");
        assert!(told(Some(&public_pem(&other).unwrap()), Some(&private), None).unwrap_err().contains("not among"));
        assert!(told(Some(&format!("retired-at: 2020-01-01T00:00:00Z\n{public}")), Some(&private), None).unwrap_err().contains("not in use now"));
        let passphrase = secret("correct horse battery");
        let encrypted = secret(&encrypted_private_pem(&key, &passphrase, &seams).unwrap());
        assert_eq!(told(Some(&public), Some(&encrypted), Some(&passphrase)), Ok(key.to_bytes()));
        let without = told(Some(&public), Some(&encrypted), None).unwrap_err();
        assert!(without.contains("LICENSE_SIGNING_KEY_PASSPHRASE") && !without.contains("BEGIN"), "{without}");
        let debug = format!("{:?}", Signing::of_settings(Some(&public), Some(&private), None));
        assert!(!debug.contains("secret") && debug.len() < 60, "{debug}");
    }
}
