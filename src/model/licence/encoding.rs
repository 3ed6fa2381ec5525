//! The bytes of a code: one form per statement.
//!
//! `version (1) | payload length (2) | payload | Ed25519 signature (64)`. The payload is a row of claims in strictly ascending order
//! of their tags: `tag (1) | length (2) | value`. Numbers are big-endian without leading zeros. Tags below 128 must be understood;
//! higher ones may be ignored. What is signed is [`DOMAIN`] followed by everything before the signature, version included.

use std::collections::BTreeMap;

use super::reason::MalformedCode;
use super::tlv::{FIRST_OPTIONAL_TAG, body, fields, ids, number, put, read_ids, read_number, read_seconds, read_text, read_u32, seconds, text};
use super::{Claims, Environment, tlv};

/// The format version; it alone fixes the algorithm.
pub const VERSION: u8 = 1;
/// Longest code, bytes.
pub const CODE_BYTES_MAX: usize = 4096;
pub use super::tlv::SIGNATURE_BYTES;
/// Keeps a signature of a code from being one of anything else.
pub const DOMAIN: &[u8] = b"onsite activation code\0";

const UNLIMITED: u8 = 0xff;

mod tag {
    pub(super) const KID: u8 = 1;
    pub(super) const JTI: u8 = 2;
    pub(super) const SEQ: u8 = 3;
    pub(super) const SUPERSEDES: u8 = 4;
    pub(super) const ISSUER: u8 = 5;
    pub(super) const AUDIENCE: u8 = 6;
    pub(super) const CUSTOMER: u8 = 7;
    pub(super) const COMPANY: u8 = 8;
    pub(super) const PLAN: u8 = 9;
    pub(super) const FEATURES: u8 = 10;
    pub(super) const SEATS: u8 = 11;
    pub(super) const ISSUED_AT: u8 = 12;
    pub(super) const NOT_BEFORE: u8 = 13;
    pub(super) const EXPIRES_AT: u8 = 14;
    pub(super) const GRACE_DAYS: u8 = 15;
    pub(super) const INSTALL_ID: u8 = 16;
    pub(super) const ENVIRONMENT: u8 = 17;
}

/// A code whose form is right; whether its signature is, a key ring says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCode {
    claims: Claims,
    bytes: Vec<u8>,
}

impl SignedCode {
    /// Reads a code's bytes. Bounded, and refuses every form but the one that [`Claims`] encode to.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedCode> {
        let payload = tlv::open(bytes, VERSION, SIGNATURE_BYTES, CODE_BYTES_MAX)?;
        let claims = decode(payload)?;
        // The reader above is strict; comparing with the writer proves that no second form slips through it.
        if statement(&claims).ok().as_deref() != Some(&bytes[..bytes.len() - SIGNATURE_BYTES]) {
            return Err(MalformedCode::NotCanonical);
        }
        Ok(Self { claims, bytes: bytes.to_vec() })
    }

    /// Writes claims down and signs them with `sign`, which is given the message.
    ///
    /// # Errors
    /// A claim that does not fit.
    pub fn sign(claims: Claims, sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES]) -> Result<Self, MalformedCode> {
        let mut bytes = statement(&claims)?;
        let signature = sign(&message(&bytes));
        bytes.extend_from_slice(&signature);
        // A statement that reads back otherwise, or not at all, is not signed away.
        let code = Self::parse(&bytes)?;
        if code.claims == claims { Ok(code) } else { Err(MalformedCode::NotCanonical) }
    }

    /// What it states.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The whole code.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        message(&self.bytes[..self.bytes.len() - SIGNATURE_BYTES])
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> [u8; SIGNATURE_BYTES] {
        tlv::signature(&self.bytes)
    }
}

fn message(statement: &[u8]) -> Vec<u8> {
    [DOMAIN, statement].concat()
}

/// Version, length and payload.
fn statement(claims: &Claims) -> Result<Vec<u8>, MalformedCode> {
    tlv::statement(VERSION, &encode(claims)?, SIGNATURE_BYTES, CODE_BYTES_MAX)
}

fn encode(claims: &Claims) -> Result<Vec<u8>, MalformedCode> {
    let mut payload = Vec::new();
    let mut put = |tag: u8, value: &[u8]| put(&mut payload, tag, value);
    put(tag::KID, text(&claims.kid, "key id")?)?;
    put(tag::JTI, body(&claims.jti))?;
    put(tag::SEQ, &number(claims.seq))?;
    if !claims.supersedes.is_empty() {
        put(tag::SUPERSEDES, &ids(&claims.supersedes))?;
    }
    put(tag::ISSUER, text(&claims.issuer, "issuer")?)?;
    put(tag::AUDIENCE, text(&claims.audience, "audience")?)?;
    put(tag::CUSTOMER, text(&claims.customer, "customer")?)?;
    put(tag::COMPANY, text(&claims.company, "company")?)?;
    put(tag::PLAN, text(&claims.plan, "plan")?)?;
    if !claims.features.is_empty() {
        put(tag::FEATURES, &encode_features(&claims.features)?)?;
    }
    put(tag::SEATS, &number(u64::from(claims.seats)))?;
    put(tag::ISSUED_AT, &seconds(claims.issued_at, "issue date")?)?;
    put(tag::NOT_BEFORE, &seconds(claims.not_before, "begin")?)?;
    put(tag::EXPIRES_AT, &seconds(claims.expires_at, "end")?)?;
    put(tag::GRACE_DAYS, &number(u64::from(claims.grace_days)))?;
    if let Some(install_id) = &claims.install_id {
        put(tag::INSTALL_ID, text(install_id, "installation")?)?;
    }
    if claims.environment == Environment::Development {
        put(tag::ENVIRONMENT, claims.environment.as_str().as_bytes())?;
    }
    for (tag, value) in &claims.extensions {
        put(*tag, value)?;
    }
    Ok(payload)
}

fn decode(payload: &[u8]) -> Result<Claims, MalformedCode> {
    let mut fields = fields(payload)?;
    let extensions = fields.split_off(&FIRST_OPTIONAL_TAG);
    let mut take = |tag: u8| fields.remove(&tag);
    let mut need = |tag: u8, name: &'static str| take(tag).ok_or(MalformedCode::Missing(name));
    let claims = Claims {
        kid: read_text(need(tag::KID, "key id")?, "key id")?,
        jti: read_ids(need(tag::JTI, "id")?, "id")?.pop().ok_or(MalformedCode::BadClaim("id"))?,
        seq: read_number(need(tag::SEQ, "counter")?, "counter")?,
        issuer: read_text(need(tag::ISSUER, "issuer")?, "issuer")?,
        audience: read_text(need(tag::AUDIENCE, "audience")?, "audience")?,
        customer: read_text(need(tag::CUSTOMER, "customer")?, "customer")?,
        company: read_text(need(tag::COMPANY, "company")?, "company")?,
        plan: read_text(need(tag::PLAN, "plan")?, "plan")?,
        seats: read_u32(need(tag::SEATS, "seats")?, "seats")?,
        issued_at: read_seconds(need(tag::ISSUED_AT, "issue date")?, "issue date")?,
        not_before: read_seconds(need(tag::NOT_BEFORE, "begin")?, "begin")?,
        expires_at: read_seconds(need(tag::EXPIRES_AT, "end")?, "end")?,
        grace_days: read_u32(need(tag::GRACE_DAYS, "days of grace")?, "days of grace")?,
        supersedes: take(tag::SUPERSEDES).map_or(Ok(Vec::new()), |value| read_ids(value, "superseded ids"))?,
        features: take(tag::FEATURES).map_or(Ok(BTreeMap::new()), decode_features)?,
        install_id: take(tag::INSTALL_ID).map(|value| read_text(value, "installation")).transpose()?,
        environment: match take(tag::ENVIRONMENT) {
            None => Environment::Production,
            Some(value) if value == Environment::Development.as_str().as_bytes() => Environment::Development,
            Some(_) => return Err(MalformedCode::BadClaim("environment")),
        },
        extensions: extensions.into_iter().map(|(tag, value)| (tag, value.to_vec())).collect(),
    };
    match fields.keys().next() {
        Some(&unknown) => Err(MalformedCode::UnknownClaim(unknown)),
        None => Ok(claims),
    }
}

/// `key length (1) | key | number length (1), or 255 for unlimited | number`, in ascending order of the keys.
fn encode_features(features: &BTreeMap<String, Option<u64>>) -> Result<Vec<u8>, MalformedCode> {
    let mut bytes = Vec::new();
    for (key, limit) in features {
        let key = text(key, "features")?;
        bytes.push(u8::try_from(key.len()).map_err(|_| MalformedCode::TooLong)?);
        bytes.extend_from_slice(key);
        match limit {
            None => bytes.push(UNLIMITED),
            Some(limit) => {
                let number = number(*limit);
                bytes.push(u8::try_from(number.len()).map_err(|_| MalformedCode::TooLong)?);
                bytes.extend_from_slice(&number);
            }
        }
    }
    Ok(bytes)
}

fn decode_features(mut bytes: &[u8]) -> Result<BTreeMap<String, Option<u64>>, MalformedCode> {
    let bad = || MalformedCode::BadClaim("features");
    let mut features = BTreeMap::new();
    while let [key_length, rest @ ..] = bytes {
        let (key, rest) = rest.split_at_checked(usize::from(*key_length)).ok_or_else(bad)?;
        let (&length, rest) = rest.split_first().ok_or_else(bad)?;
        let (limit, rest) = if length == UNLIMITED {
            (None, rest)
        } else {
            let (number, rest) = rest.split_at_checked(usize::from(length)).ok_or_else(bad)?;
            (Some(read_number(number, "features")?), rest)
        };
        let key = read_text(key, "features")?;
        if features.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(bad());
        }
        features.insert(key, limit);
        bytes = rest;
    }
    if features.is_empty() { Err(bad()) } else { Ok(features) }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
pub(crate) mod tests;
