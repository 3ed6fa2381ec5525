//! What an installation asks its vendor for: a file, a line or a picture to carry over where there is no network. It is not signed: it holds
//! nothing that must be believed, and whoever issues compares it with an order.

use serde::Serialize;

use super::reason::MalformedCode;
use super::text::REQUEST;
use super::tlv::{self, fields, number, put, read_number, read_seconds, read_text, seconds, text};
use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;

/// The format version.
pub const VERSION: u8 = 1;
/// Longest request, bytes.
pub const REQUEST_BYTES_MAX: usize = 2048;
/// Most keys that a request names.
pub const KEYS_MAX: usize = 16;

mod tag {
    pub(super) const INSTALL_ID: u8 = 1;
    pub(super) const COMPANY: u8 = 2;
    pub(super) const CONTACT: u8 = 3;
    pub(super) const PRODUCT: u8 = 4;
    pub(super) const MADE_AT: u8 = 5;
    pub(super) const SEATS_USED: u8 = 6;
    pub(super) const CURRENT: u8 = 7;
    pub(super) const KEYS: u8 = 8;
}

/// A request for an activation code that is bound to one installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LicenceRequest {
    /// The installation it is for.
    pub install_id: String,
    /// The company, as it wants to be named.
    pub company: Option<String>,
    /// Whom to answer.
    pub contact: Option<String>,
    /// Name and version of the product.
    pub product: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Active users.
    pub seats_used: u64,
    /// The code that is in force or was.
    pub current: Option<LicenceId>,
    /// Ids of the vendor keys that this build believes now: a code signed with another one would be refused.
    pub keys: Vec<String>,
}

impl LicenceRequest {
    /// Reads a request's bytes. Bounded, and refuses every form but the one.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedCode> {
        let request = decode(tlv::open(bytes, VERSION, 0, REQUEST_BYTES_MAX)?)?;
        if request.bytes().ok().as_deref() == Some(bytes) { Ok(request) } else { Err(MalformedCode::NotCanonical) }
    }

    /// Reads a request from what somebody pasted or uploaded.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_text(text: &str) -> Result<Self, MalformedCode> {
        REQUEST.read(text, Self::parse)
    }

    /// The request as bytes.
    ///
    /// # Errors
    /// A field that does not fit.
    pub fn bytes(&self) -> Result<Vec<u8>, MalformedCode> {
        let mut payload = Vec::new();
        let mut put = |tag: u8, value: &[u8]| put(&mut payload, tag, value);
        put(tag::INSTALL_ID, text(&self.install_id, "installation")?)?;
        if let Some(company) = &self.company {
            put(tag::COMPANY, text(company, "company")?)?;
        }
        if let Some(contact) = &self.contact {
            put(tag::CONTACT, text(contact, "contact")?)?;
        }
        put(tag::PRODUCT, text(&self.product, "product")?)?;
        put(tag::MADE_AT, &seconds(self.made_at, "date")?)?;
        put(tag::SEATS_USED, &number(self.seats_used))?;
        if let Some(current) = &self.current {
            put(tag::CURRENT, text(current.as_str(), "current code")?)?;
        }
        if !self.keys.is_empty() {
            put(tag::KEYS, text(&keys_text(&self.keys)?, "keys")?)?;
        }
        tlv::statement(VERSION, &payload, 0, REQUEST_BYTES_MAX)
    }
}

/// Ids with a space between them.
fn keys_text(keys: &[String]) -> Result<String, MalformedCode> {
    let holds = keys.len() <= KEYS_MAX && keys.iter().all(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if holds { Ok(keys.join(" ")) } else { Err(MalformedCode::BadClaim("keys")) }
}

fn decode(payload: &[u8]) -> Result<LicenceRequest, MalformedCode> {
    let mut fields = fields(payload)?;
    let mut take = |tag: u8| fields.remove(&tag);
    let need = |value: Option<_>, name: &'static str| value.ok_or(MalformedCode::Missing(name));
    let current = take(tag::CURRENT).map(|value| read_text(value, "current code")).transpose()?;
    let keys = take(tag::KEYS).map(|value| read_text(value, "keys")).transpose()?;
    let request = LicenceRequest {
        install_id: read_text(need(take(tag::INSTALL_ID), "installation")?, "installation")?,
        company: take(tag::COMPANY).map(|value| read_text(value, "company")).transpose()?,
        contact: take(tag::CONTACT).map(|value| read_text(value, "contact")).transpose()?,
        product: read_text(need(take(tag::PRODUCT), "product")?, "product")?,
        made_at: read_seconds(need(take(tag::MADE_AT), "date")?, "date")?,
        seats_used: read_number(need(take(tag::SEATS_USED), "number of users")?, "number of users")?,
        current: current.map(|id| id.parse().map_err(|_| MalformedCode::BadClaim("current code"))).transpose()?,
        keys: keys.map(|keys| keys.split(' ').map(str::to_owned).collect()).unwrap_or_default(),
    };
    match fields.keys().find(|tag| **tag < tlv::FIRST_OPTIONAL_TAG) {
        Some(&unknown) => Err(MalformedCode::UnknownClaim(unknown)),
        None => Ok(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> LicenceRequest {
        LicenceRequest {
            install_id: "ins_here".into(),
            company: Some("Acme Überwerke AG".into()),
            contact: Some("it@acme.example".into()),
            product: "onsite 0.1.0".into(),
            made_at: "2026-03-01T00:00:00Z".parse().unwrap(),
            seats_used: 3,
            current: Some("lic_01h00000000000000000000000".parse().unwrap()),
            keys: vec!["abc".into(), "def".into()],
        }
    }

    #[test]
    fn a_request_reads_back_from_line_file_and_picture() {
        let bare = LicenceRequest { company: None, contact: None, current: None, keys: Vec::new(), seats_used: 0, ..request() };
        for request in [request(), bare] {
            let bytes = request.bytes().unwrap();
            for text in [REQUEST.line(&bytes), REQUEST.armour(&bytes), REQUEST.picture_text(&bytes)] {
                assert_eq!(LicenceRequest::from_text(&text).as_ref(), Ok(&request), "{text}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        assert_eq!(LicenceRequest { company: Some(String::new()), ..request() }.bytes(), Err(MalformedCode::BadClaim("company")));
        assert_eq!(LicenceRequest { keys: vec!["a b".into()], ..request() }.bytes(), Err(MalformedCode::BadClaim("keys")));
        assert_eq!(LicenceRequest { keys: vec!["a".into(); 17], ..request() }.bytes(), Err(MalformedCode::BadClaim("keys")));
    }

    proptest! {
        #[test]
        fn arbitrary_and_mutated_bytes_never_panic(noise in proptest::collection::vec(any::<u8>(), 0..300), at in any::<proptest::sample::Index>(), byte: u8) {
            let _ = LicenceRequest::parse(&noise);
            let mut bytes = request().bytes().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(parsed) = LicenceRequest::parse(&bytes) {
                prop_assert_eq!(parsed.bytes().unwrap(), bytes);
            }
        }
    }
}
