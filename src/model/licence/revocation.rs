//! The vendor's list of codes that no longer count: signed apart from codes, and numbered so that an older list cannot replace a newer one.

use std::collections::BTreeSet;

use serde::Serialize;

use super::reason::MalformedCode;
use super::text::REVOCATIONS;
use super::tlv::{self, SIGNATURE_BYTES, fields, ids, number, put, read_ids, read_number, read_seconds, read_text, seconds, text};
use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;

/// The format version; it alone fixes the algorithm.
pub const VERSION: u8 = 1;
/// Longest list, bytes: about 2,300 codes.
pub const LIST_BYTES_MAX: usize = 60_000;
/// Keeps a signature of a list from being one of anything else.
pub const DOMAIN: &[u8] = b"onsite revocation list\0";

mod tag {
    pub(super) const KID: u8 = 1;
    pub(super) const NUMBER: u8 = 2;
    pub(super) const ISSUER: u8 = 3;
    pub(super) const AUDIENCE: u8 = 4;
    pub(super) const ISSUED_AT: u8 = 5;
    pub(super) const REVOKED: u8 = 6;
}

/// What a list states. It is complete: the newest one replaces every other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RevocationList {
    /// Which vendor key signed.
    pub kid: String,
    /// Counts the lists, from 1.
    pub number: u64,
    /// Who issued it.
    pub issuer: String,
    /// Whom it is for.
    pub audience: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The codes.
    pub revoked: BTreeSet<LicenceId>,
}

/// A list whose form is right; whether its signature is, a key ring says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedList {
    list: RevocationList,
    bytes: Vec<u8>,
}

impl SignedList {
    /// Reads a list's bytes. Bounded, and refuses every form but the one that a [`RevocationList`] encodes to.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedCode> {
        let payload = tlv::open(bytes, VERSION, SIGNATURE_BYTES, LIST_BYTES_MAX)?;
        let list = decode(payload)?;
        if statement(&list).ok().as_deref() != Some(&bytes[..bytes.len() - SIGNATURE_BYTES]) {
            return Err(MalformedCode::NotCanonical);
        }
        Ok(Self { list, bytes: bytes.to_vec() })
    }

    /// Writes a list down and signs it with `sign`, which is given the message.
    ///
    /// # Errors
    /// A claim that does not fit.
    pub fn sign(list: RevocationList, sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_BYTES]) -> Result<Self, MalformedCode> {
        let mut bytes = statement(&list)?;
        let signature = sign(&[DOMAIN, &bytes].concat());
        bytes.extend_from_slice(&signature);
        let signed = Self::parse(&bytes)?;
        if signed.list == list { Ok(signed) } else { Err(MalformedCode::NotCanonical) }
    }

    /// Reads a list from what somebody pasted or uploaded.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_text(text: &str) -> Result<Self, MalformedCode> {
        REVOCATIONS.read(text, Self::parse)
    }

    /// What it states.
    #[must_use]
    pub const fn list(&self) -> &RevocationList {
        &self.list
    }

    /// The whole list.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical text.
    #[must_use]
    pub fn to_line(&self) -> String {
        REVOCATIONS.line(&self.bytes)
    }

    /// The armoured file.
    #[must_use]
    pub fn to_armour(&self) -> String {
        REVOCATIONS.armour(&self.bytes)
    }

    /// What was signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        [DOMAIN, &self.bytes[..self.bytes.len() - SIGNATURE_BYTES]].concat()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> [u8; SIGNATURE_BYTES] {
        tlv::signature(&self.bytes)
    }
}

fn statement(list: &RevocationList) -> Result<Vec<u8>, MalformedCode> {
    let mut payload = Vec::new();
    let mut put = |tag: u8, value: &[u8]| put(&mut payload, tag, value);
    put(tag::KID, text(&list.kid, "key id")?)?;
    put(tag::NUMBER, &number(list.number))?;
    put(tag::ISSUER, text(&list.issuer, "issuer")?)?;
    put(tag::AUDIENCE, text(&list.audience, "audience")?)?;
    put(tag::ISSUED_AT, &seconds(list.issued_at, "issue date")?)?;
    if !list.revoked.is_empty() {
        put(tag::REVOKED, &ids(&list.revoked))?;
    }
    tlv::statement(VERSION, &payload, SIGNATURE_BYTES, LIST_BYTES_MAX)
}

fn decode(payload: &[u8]) -> Result<RevocationList, MalformedCode> {
    let mut fields = fields(payload)?;
    let mut need = |tag: u8, name: &'static str| fields.remove(&tag).ok_or(MalformedCode::Missing(name));
    let list = RevocationList {
        kid: read_text(need(tag::KID, "key id")?, "key id")?,
        number: read_number(need(tag::NUMBER, "number")?, "number")?,
        issuer: read_text(need(tag::ISSUER, "issuer")?, "issuer")?,
        audience: read_text(need(tag::AUDIENCE, "audience")?, "audience")?,
        issued_at: read_seconds(need(tag::ISSUED_AT, "issue date")?, "issue date")?,
        revoked: fields.remove(&tag::REVOKED).map_or(Ok(Vec::new()), |value| read_ids(value, "revoked ids"))?.into_iter().collect(),
    };
    // A list says what must not count: nothing in it may be passed over.
    match fields.keys().next() {
        Some(&unknown) => Err(MalformedCode::UnknownClaim(unknown)),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(count: u32) -> RevocationList {
        RevocationList {
            kid: "3k9t".into(),
            number: 4,
            issuer: "Vendor".into(),
            audience: crate::model::licence::AUDIENCE.into(),
            issued_at: "2026-03-01T00:00:00Z".parse().unwrap(),
            revoked: (0..count).map(|n| format!("lic_{n:026}").parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_list_reads_back_from_line_and_file_and_its_signature_is_for_lists_only() {
        for count in [0, 1, 2_000] {
            let signed = SignedList::sign(list(count), |_| [7; 64]).unwrap();
            assert_eq!(SignedList::from_text(&signed.to_line()).as_ref(), Ok(&signed));
            assert_eq!(SignedList::from_text(&signed.to_armour()).unwrap().list(), &list(count));
            assert!(signed.message().starts_with(b"onsite revocation list\0\x01"));
        }
        assert_eq!(SignedList::sign(list(3_000), |_| [7; 64]), Err(MalformedCode::TooLong));
    }

    #[test]
    fn second_forms_and_what_is_not_understood_are_refused() {
        let bytes = SignedList::sign(list(2), |_| [7; 64]).unwrap().bytes;
        assert_eq!(SignedList::parse(&[&bytes[..], &[0]].concat()), Err(MalformedCode::TrailingBytes));
        let payload = &bytes[3..bytes.len() - 64];
        let rebuilt = |payload: &[u8]| {
            let mut bytes = tlv::statement(VERSION, payload, 64, LIST_BYTES_MAX).unwrap();
            bytes.extend_from_slice(&[7; 64]);
            SignedList::parse(&bytes)
        };
        assert!(rebuilt(payload).is_ok());
        assert_eq!(rebuilt(&[payload, &[200, 0, 0]].concat()), Err(MalformedCode::UnknownClaim(200)), "nothing is passed over");
        let ids = payload.len() - 52;
        let swapped = [&payload[..ids], &payload[ids + 26..], &payload[ids..ids + 26]].concat();
        assert_eq!(rebuilt(&swapped), Err(MalformedCode::BadClaim("revoked ids")));
        assert_eq!(rebuilt(&[&payload[..ids - 3], &[tag::REVOKED, 0, 0]].concat()), Err(MalformedCode::BadClaim("revoked ids")));
    }

    proptest! {
        #[test]
        fn arbitrary_and_mutated_bytes_never_panic(noise in proptest::collection::vec(any::<u8>(), 0..300), at in any::<proptest::sample::Index>(), byte: u8) {
            let _ = SignedList::parse(&noise);
            let mut bytes = SignedList::sign(list(3), |_| [7; 64]).unwrap().bytes;
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(parsed) = SignedList::parse(&bytes) {
                prop_assert_eq!(&statement(parsed.list()).unwrap()[..], &bytes[..bytes.len() - SIGNATURE_BYTES]);
            }
        }
    }
}
