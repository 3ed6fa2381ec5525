//! An authenticator and the browser before it, in software: makes passkeys and shows them, rightly, or wrongly where a test says so.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key of nobody: ring makes no RSA keys, so this one was made once.
const RSA_KEY: &[u8] = include_bytes!("../fixtures/passkeys/rsa-2048.pk8");

pub const PRESENT: u8 = 0x01;
pub const VERIFIED: u8 = 0x04;
pub const BACKUP_ELIGIBLE: u8 = 0x08;
pub const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;

/// The algorithm of an authenticator's key.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Es256,
    EdDsa,
    Rs256,
}

/// Its private key.
pub enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// One passkey, and what its next answers say. Everything that a test may want to be wrong is open.
pub struct Authenticator {
    pub key: Key,
    pub id: Vec<u8>,
    pub flags: u8,
    pub counter: u32,
    pub user: Vec<u8>,
    /// What comes after the credential, or after the counter.
    pub trailing: Vec<u8>,
    /// Other members of the client data than the right ones.
    pub client: Value,
    /// Another host than the one that asks.
    pub host: Option<String>,
    /// The statement that an attestation brings.
    pub format: &'static str,
    /// Another key than its own.
    pub other_cose: Option<Vec<u8>>,
}

impl Authenticator {
    pub fn new(kind: Kind) -> Self {
        let random = SystemRandom::new();
        let key = match kind {
            Kind::Es256 => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
                Key::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, made.as_ref(), &random).unwrap())
            }
            Kind::EdDsa => Key::EdDsa(Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap()),
            Kind::Rs256 => Key::Rs256(RsaKeyPair::from_pkcs8(RSA_KEY).unwrap()),
        };
        let mut id = vec![0; 32];
        random.fill(&mut id).unwrap();
        let (flags, client) = (PRESENT | VERIFIED, json!({}));
        Self { key, id, flags, counter: 1, user: Vec::new(), trailing: Vec::new(), client, host: None, format: "none", other_cose: None }
    }

    /// The entries of its public key.
    pub fn cose(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        match &self.key {
            Key::Es256(key) => {
                let point = key.public_key().as_ref();
                vec![
                    (number(1), number(2)),
                    (number(3), number(-7)),
                    (number(-1), number(1)),
                    (number(-2), bytes(&point[1..33])),
                    (number(-3), bytes(&point[33..])),
                ]
            }
            Key::EdDsa(key) => {
                vec![(number(1), number(1)), (number(3), number(-8)), (number(-1), number(6)), (number(-2), bytes(key.public_key().as_ref()))]
            }
            Key::Rs256(key) => {
                let parts = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public_key());
                vec![(number(1), number(3)), (number(3), number(-257)), (number(-1), bytes(&parts.n)), (number(-2), bytes(&parts.e))]
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// Client data of a page at `origin`.
    fn client_data(&self, kind: &str, options: &Value, origin: &str) -> Vec<u8> {
        let mut data = json!({ "type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": false });
        for (name, value) in self.client.as_object().unwrap() {
            data[name] = value.clone();
        }
        serde_json::to_vec(&data).unwrap()
    }

    fn data(&self, host: &str, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.host.as_deref().unwrap_or(host)).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// What a page sends when a passkey was made for these options: name it and post it.
    pub fn create(&mut self, options: &Value, origin: &str) -> Value {
        self.user = BASE64URL_NOPAD.decode(options["user"]["id"].as_str().unwrap().as_bytes()).unwrap();
        let client = self.client_data("webauthn.create", options, origin);
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), self.flags | HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(self.other_cose.clone().unwrap_or_else(|| map(&self.cose())));
        data.extend(&self.trailing);
        let statement = match self.format {
            "none" => map(&[]),
            _ => {
                let signed = [&data[..], &Sha256::digest(&client)[..]].concat();
                map(&[(text("alg"), self.cose()[1].1.clone()), (text("sig"), bytes(&self.sign(&signed)))])
            }
        };
        let attestation = map(&[(text("fmt"), text(self.format)), (text("attStmt"), statement), (text("authData"), bytes(&data))]);
        json!({ "id": base64(&self.id), "client_data": base64(&client), "attestation_object": base64(&attestation), "transports": ["internal", "new"] })
    }

    /// What a page sends when the passkey is shown for these options.
    pub fn show(&mut self, options: &Value, origin: &str) -> Value {
        let client = self.client_data("webauthn.get", options, origin);
        let mut data = self.data(options["rpId"].as_str().unwrap(), self.flags);
        data.extend(&self.trailing);
        let signature = self.sign(&[&data[..], &Sha256::digest(&client)[..]].concat());
        json!({
            "id": base64(&self.id), "client_data": base64(&client), "authenticator_data": base64(&data), "signature": base64(&signature),
            "user_handle": base64(&self.user),
        })
    }
}

pub fn base64(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn head(kind: u8, argument: u64) -> Vec<u8> {
    let long = argument.to_be_bytes();
    match argument {
        0..24 => vec![kind << 5 | long[7]],
        24..0x100 => vec![kind << 5 | 24, long[7]],
        0x100..0x1_0000 => [&[kind << 5 | 25][..], &long[6..]].concat(),
        _ => [&[kind << 5 | 26][..], &long[4..]].concat(),
    }
}

pub fn number(value: i64) -> Vec<u8> {
    if value < 0 { head(1, value.unsigned_abs() - 1) } else { head(0, value.unsigned_abs()) }
}

pub fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len() as u64), value.to_vec()].concat()
}

pub fn text(value: &str) -> Vec<u8> {
    [head(3, value.len() as u64), value.as_bytes().to_vec()].concat()
}

pub fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let parts = entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()]);
    [head(5, entries.len() as u64)].into_iter().chain(parts).collect::<Vec<_>>().concat()
}
