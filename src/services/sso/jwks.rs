//! The keys of a provider (RFC 7517, RFC 8037) and the signatures that they verify (RFC 7518). A key serves the algorithms of its own type only,
//! so that no token can choose how it is looked at; `none` and the HMACs are not there.

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

/// Most keys of a provider.
const KEYS_MAX: usize = 100;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of a header; `None` for any that is not taken.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// What came of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// There is a key, and it is not right.
    Wrong,
    /// There is no such key (yet): the provider may have made a new one.
    UnknownKey,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

struct Key {
    id: Option<String>,
    only_for: Option<Algorithm>,
    material: Material,
}

/// The signing keys of a provider.
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a key set; keys of kinds that are not taken are passed over.
    ///
    /// # Errors
    /// When it is no key set, or has none that could be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("its keys are not JSON: {error}"))?;
        let list = document["keys"].as_array().ok_or("its key set has no keys")?;
        if list.len() > KEYS_MAX {
            return Err(format!("it has more than {KEYS_MAX} keys"));
        }
        let keys: Vec<Key> = list.iter().filter_map(|key| read_key(key.as_object()?)).collect();
        if keys.is_empty() {
            return Err("it has no key for RS256, PS256, ES256 or EdDSA".to_owned());
        }
        Ok(Self(keys))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether a message was signed by the key that is named, or, where none is, by one of them.
    #[must_use]
    pub fn verify(&self, algorithm: Algorithm, id: Option<&str>, message: &[u8], signature: &[u8]) -> Verdict {
        let fits = |key: &&Key| key.serves(algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id));
        let mut candidates = self.0.iter().filter(fits).peekable();
        if candidates.peek().is_none() {
            return Verdict::UnknownKey;
        }
        if candidates.any(|key| key.verify(algorithm, message, signature)) {
            return Verdict::Right;
        }
        // Without a name nobody can tell a wrong signature from a key that is new.
        if id.is_some() { Verdict::Wrong } else { Verdict::UnknownKey }
    }
}

impl Key {
    fn serves(&self, algorithm: Algorithm) -> bool {
        let fits = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        fits && self.only_for.is_none_or(|only| only == algorithm)
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => {
                let parameters: &RsaParameters = if algorithm == Algorithm::Ps256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok(),
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
        }
    }
}

fn read_key(key: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)?.as_bytes()).ok();
    if text("use").is_some_and(|what| what != "sig") {
        return None;
    }
    let operations = key.get("key_ops").and_then(Value::as_array);
    if operations.is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
        return None;
    }
    let only_for = match text("alg") {
        Some(algorithm) => Some(Algorithm::parse(algorithm)?),
        None => None,
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            // A leading zero says nothing, and the verifier takes none.
            let n = bytes("n")?;
            let from = n.iter().position(|byte| *byte != 0)?;
            Material::Rsa { n: n[from..].to_vec(), e: bytes("e")? }
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            (x.len() == 32 && y.len() == 32).then(|| Material::P256([&[4], x.as_slice(), y.as_slice()].concat()))?
        }
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key { id: text("kid").map(str::to_owned), only_for, material })
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("count", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
    use serde_json::json;

    fn b64(bytes: &[u8]) -> String {
        BASE64URL_NOPAD.encode(bytes)
    }

    #[test]
    fn a_key_verifies_what_it_signed_with_its_own_algorithm_only() {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
        let point = ec.public_key().as_ref();
        let set = json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..]) },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": b64(ed.public_key().as_ref()) },
            { "kty": "OKP", "crv": "Ed25519", "kid": "enc", "use": "enc", "x": b64(ed.public_key().as_ref()) },
            { "kty": "oct", "kid": "shared", "k": b64(b"a shared secret") },
        ] });
        let keys = Keys::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.count(), 2, "neither the one for encryption nor the shared secret");
        let message = b"header.payload";
        let by_ec = ec.sign(&random, message).unwrap();
        let by_ed = ed.sign(message);
        assert_eq!(keys.verify(Algorithm::Es256, Some("ec"), message, by_ec.as_ref()), Verdict::Right);
        assert_eq!(keys.verify(Algorithm::EdDsa, Some("ed"), message, by_ed.as_ref()), Verdict::Right);
        assert_eq!(keys.verify(Algorithm::EdDsa, None, message, by_ed.as_ref()), Verdict::Right);
        assert_eq!(keys.verify(Algorithm::Es256, Some("ec"), b"another", by_ec.as_ref()), Verdict::Wrong);
        assert_eq!(keys.verify(Algorithm::Es256, Some("ec"), message, by_ed.as_ref()), Verdict::Wrong);
        assert_eq!(keys.verify(Algorithm::EdDsa, Some("ec"), message, by_ed.as_ref()), Verdict::UnknownKey, "a key of another type");
        assert_eq!(keys.verify(Algorithm::EdDsa, Some("enc"), message, by_ed.as_ref()), Verdict::UnknownKey);
        assert_eq!(keys.verify(Algorithm::Rs256, None, message, by_ed.as_ref()), Verdict::UnknownKey);
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for wrong in
            ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"YQ"}]}"#, r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#]
        {
            assert!(Keys::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for algorithm in ["none", "None", "HS256", "RS1", "ES512", ""] {
            assert_eq!(Algorithm::parse(algorithm), None);
        }
    }
}
