//! The bytes of a code: one form per statement.
//!
//! `version (1) | payload length (2) | payload | Ed25519 signature (64)`. The payload is a row of claims in strictly ascending order
//! of their tags: `tag (1) | length (2) | value`. Numbers are big-endian without leading zeros. Tags below 128 must be understood;
//! higher ones may be ignored. What is signed is [`DOMAIN`] followed by everything before the signature, version included.

use std::collections::BTreeMap;

use super::reason::MalformedCode;
use super::{Claims, Environment};
use crate::base::clock::Timestamp;
use crate::base::ids::BODY_CHARS;
use crate::model::ids::LicenceId;

/// The format version; it alone fixes the algorithm.
pub const VERSION: u8 = 1;
/// Longest code, bytes.
pub const CODE_BYTES_MAX: usize = 4096;
/// Bytes of the signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Keeps a signature of a code from being one of anything else.
pub const DOMAIN: &[u8] = b"onsite activation code\0";

const HEADER_BYTES: usize = 3;
/// Tags from here on may be ignored by a version that does not know them.
const FIRST_OPTIONAL_TAG: u8 = 128;
const UNLIMITED: u8 = 0xff;
/// Longest text claim, bytes.
const TEXT_BYTES_MAX: usize = 200;
/// The last second of the year 9999: the end of the calendar.
const LAST_SECOND: u64 = 253_402_300_799;

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
        if bytes.len() > CODE_BYTES_MAX {
            return Err(MalformedCode::TooLong);
        }
        let &[version, high, low, ..] = bytes else { return Err(MalformedCode::NotACode) };
        if version != VERSION {
            return Err(MalformedCode::Version(version.to_string()));
        }
        let payload_end = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let expected = payload_end + SIGNATURE_BYTES;
        if bytes.len() < expected {
            return Err(MalformedCode::Incomplete { missing: expected - bytes.len(), expected });
        }
        if bytes.len() > expected {
            return Err(MalformedCode::TrailingBytes);
        }
        let claims = decode(&bytes[HEADER_BYTES..payload_end])?;
        // The reader above is strict; comparing with the writer proves that no second form slips through it.
        if statement(&claims).ok().as_deref() != Some(&bytes[..payload_end]) {
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
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&self.bytes[self.bytes.len() - SIGNATURE_BYTES..]);
        signature
    }
}

fn message(statement: &[u8]) -> Vec<u8> {
    [DOMAIN, statement].concat()
}

/// Version, length and payload.
fn statement(claims: &Claims) -> Result<Vec<u8>, MalformedCode> {
    let payload = encode(claims)?;
    let length = u16::try_from(payload.len()).map_err(|_| MalformedCode::TooLong)?;
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&payload);
    if bytes.len() + SIGNATURE_BYTES > CODE_BYTES_MAX { Err(MalformedCode::TooLong) } else { Ok(bytes) }
}

fn encode(claims: &Claims) -> Result<Vec<u8>, MalformedCode> {
    let mut payload = Vec::new();
    let mut put = |tag: u8, value: &[u8]| -> Result<(), MalformedCode> {
        payload.push(tag);
        payload.extend_from_slice(&u16::try_from(value.len()).map_err(|_| MalformedCode::TooLong)?.to_be_bytes());
        payload.extend_from_slice(value);
        Ok(())
    };
    put(tag::KID, text(&claims.kid, "key id")?)?;
    put(tag::JTI, body(&claims.jti))?;
    put(tag::SEQ, &number(claims.seq))?;
    if !claims.supersedes.is_empty() {
        put(tag::SUPERSEDES, &claims.supersedes.iter().flat_map(|id| body(id).iter().copied()).collect::<Vec<u8>>())?;
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

/// Splits the payload into claims; their order must be strictly ascending, so that each stands once and in one place.
fn fields(mut payload: &[u8]) -> Result<BTreeMap<u8, &[u8]>, MalformedCode> {
    let mut fields = BTreeMap::new();
    let mut last = 0;
    while let [tag, high, low, rest @ ..] = payload {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (Some(value), Some(next)) = (rest.get(..length), rest.get(length..)) else { return Err(MalformedCode::NotCanonical) };
        if *tag <= last {
            return Err(MalformedCode::NotCanonical);
        }
        last = *tag;
        fields.insert(*tag, value);
        payload = next;
    }
    if payload.is_empty() { Ok(fields) } else { Err(MalformedCode::NotCanonical) }
}

fn text<'a>(value: &'a str, name: &'static str) -> Result<&'a [u8], MalformedCode> {
    let fits = !value.is_empty() && value.len() <= TEXT_BYTES_MAX && value.trim() == value && !value.chars().any(char::is_control);
    if fits { Ok(value.as_bytes()) } else { Err(MalformedCode::BadClaim(name)) }
}

fn read_text(value: &[u8], name: &'static str) -> Result<String, MalformedCode> {
    let value = std::str::from_utf8(value).map_err(|_| MalformedCode::BadClaim(name))?;
    text(value, name)?;
    Ok(value.to_owned())
}

fn body(id: &LicenceId) -> &[u8] {
    &id.as_str().as_bytes()[LicenceId::PREFIX.len()..]
}

fn read_ids(value: &[u8], name: &'static str) -> Result<Vec<LicenceId>, MalformedCode> {
    let bad = || MalformedCode::BadClaim(name);
    if value.is_empty() || !value.len().is_multiple_of(BODY_CHARS) {
        return Err(bad());
    }
    let ids = value.chunks(BODY_CHARS).map(|body| {
        let body = std::str::from_utf8(body).map_err(|_| bad())?;
        format!("{}{body}", LicenceId::PREFIX).parse().map_err(|_| bad())
    });
    let ids: Vec<LicenceId> = ids.collect::<Result<_, _>>()?;
    if ids.windows(2).all(|pair| pair[0] < pair[1]) { Ok(ids) } else { Err(bad()) }
}

fn number(value: u64) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect()
}

fn read_number(value: &[u8], name: &'static str) -> Result<u64, MalformedCode> {
    if value.len() > 8 || value.first() == Some(&0) {
        return Err(MalformedCode::BadClaim(name));
    }
    Ok(value.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
}

fn read_u32(value: &[u8], name: &'static str) -> Result<u32, MalformedCode> {
    u32::try_from(read_number(value, name)?).map_err(|_| MalformedCode::BadClaim(name))
}

fn seconds(at: Timestamp, name: &'static str) -> Result<Vec<u8>, MalformedCode> {
    let bad = || MalformedCode::BadClaim(name);
    let millis = u64::try_from(at.millis()).map_err(|_| bad())?;
    if millis % 1_000 != 0 || millis / 1_000 > LAST_SECOND { Err(bad()) } else { Ok(number(millis / 1_000)) }
}

fn read_seconds(value: &[u8], name: &'static str) -> Result<Timestamp, MalformedCode> {
    let seconds = read_number(value, name)?;
    if seconds > LAST_SECOND {
        return Err(MalformedCode::BadClaim(name));
    }
    i64::try_from(seconds * 1_000).map(Timestamp::from_millis).map_err(|_| MalformedCode::BadClaim(name))
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
