//! The form that every statement of the vendor has, and the request too: a row of fields, each once and in one place.
//!
//! `version (1) | payload length (2) | payload`, and after a signed one its Ed25519 signature (64). The payload is a row of fields in
//! strictly ascending order of their tags: `tag (1) | length (2) | value`. Numbers are big-endian without leading zeros. Tags below 128
//! must be understood; higher ones may be ignored.

use std::collections::BTreeMap;

use super::reason::MalformedCode;
use crate::base::clock::Timestamp;
use crate::base::ids::BODY_CHARS;
use crate::model::ids::LicenceId;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 3;
/// Tags from here on may be ignored by a version that does not know them.
pub(super) const FIRST_OPTIONAL_TAG: u8 = 128;
/// Longest text field, bytes.
const TEXT_BYTES_MAX: usize = 200;
/// The last second of the year 9999: the end of the calendar.
const LAST_SECOND: u64 = 253_402_300_799;

/// The payload of a statement of this version, of which exactly `tail` bytes must follow; bounded by `max`.
pub(super) fn open(bytes: &[u8], version: u8, tail: usize, max: usize) -> Result<&[u8], MalformedCode> {
    if bytes.len() > max {
        return Err(MalformedCode::TooLong);
    }
    let &[found, high, low, ..] = bytes else {
        return Err(MalformedCode::Incomplete { missing: HEADER_BYTES - bytes.len(), expected: HEADER_BYTES });
    };
    if found != version {
        return Err(MalformedCode::Version(found.to_string()));
    }
    let payload_end = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    let expected = payload_end + tail;
    if bytes.len() < expected {
        return Err(MalformedCode::Incomplete { missing: expected - bytes.len(), expected });
    }
    if bytes.len() > expected {
        return Err(MalformedCode::TrailingBytes);
    }
    Ok(&bytes[HEADER_BYTES..payload_end])
}

/// Version, length and payload, together with what follows at most `max` bytes long.
pub(super) fn statement(version: u8, payload: &[u8], tail: usize, max: usize) -> Result<Vec<u8>, MalformedCode> {
    let length = u16::try_from(payload.len()).map_err(|_| MalformedCode::TooLong)?;
    let mut bytes = vec![version];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    if bytes.len() + tail > max { Err(MalformedCode::TooLong) } else { Ok(bytes) }
}

/// The last 64 bytes of a signed statement.
pub(super) fn signature(bytes: &[u8]) -> [u8; SIGNATURE_BYTES] {
    let mut signature = [0; SIGNATURE_BYTES];
    signature.copy_from_slice(&bytes[bytes.len() - SIGNATURE_BYTES..]);
    signature
}

/// Appends a field. Whoever writes keeps the tags in ascending order.
pub(super) fn put(payload: &mut Vec<u8>, tag: u8, value: &[u8]) -> Result<(), MalformedCode> {
    payload.push(tag);
    payload.extend_from_slice(&u16::try_from(value.len()).map_err(|_| MalformedCode::TooLong)?.to_be_bytes());
    payload.extend_from_slice(value);
    Ok(())
}

/// Splits the payload into claims; their order must be strictly ascending, so that each stands once and in one place.
pub(super) fn fields(mut payload: &[u8]) -> Result<BTreeMap<u8, &[u8]>, MalformedCode> {
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

pub(super) fn text<'a>(value: &'a str, name: &'static str) -> Result<&'a [u8], MalformedCode> {
    let fits = !value.is_empty() && value.len() <= TEXT_BYTES_MAX && value.trim() == value && !value.chars().any(char::is_control);
    if fits { Ok(value.as_bytes()) } else { Err(MalformedCode::BadClaim(name)) }
}

pub(super) fn read_text(value: &[u8], name: &'static str) -> Result<String, MalformedCode> {
    let value = std::str::from_utf8(value).map_err(|_| MalformedCode::BadClaim(name))?;
    text(value, name)?;
    Ok(value.to_owned())
}

pub(super) fn body(id: &LicenceId) -> &[u8] {
    &id.as_str().as_bytes()[LicenceId::PREFIX.len()..]
}

pub(super) fn read_ids(value: &[u8], name: &'static str) -> Result<Vec<LicenceId>, MalformedCode> {
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

pub(super) fn number(value: u64) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect()
}

pub(super) fn read_number(value: &[u8], name: &'static str) -> Result<u64, MalformedCode> {
    if value.len() > 8 || value.first() == Some(&0) {
        return Err(MalformedCode::BadClaim(name));
    }
    Ok(value.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
}

pub(super) fn read_u32(value: &[u8], name: &'static str) -> Result<u32, MalformedCode> {
    u32::try_from(read_number(value, name)?).map_err(|_| MalformedCode::BadClaim(name))
}

pub(super) fn seconds(at: Timestamp, name: &'static str) -> Result<Vec<u8>, MalformedCode> {
    let bad = || MalformedCode::BadClaim(name);
    let millis = u64::try_from(at.millis()).map_err(|_| bad())?;
    if millis % 1_000 != 0 || millis / 1_000 > LAST_SECOND { Err(bad()) } else { Ok(number(millis / 1_000)) }
}

pub(super) fn read_seconds(value: &[u8], name: &'static str) -> Result<Timestamp, MalformedCode> {
    let seconds = read_number(value, name)?;
    if seconds > LAST_SECOND {
        return Err(MalformedCode::BadClaim(name));
    }
    i64::try_from(seconds * 1_000).map(Timestamp::from_millis).map_err(|_| MalformedCode::BadClaim(name))
}

/// Ids in ascending order, without their prefix.
pub(super) fn ids<'a>(ids: impl IntoIterator<Item = &'a LicenceId>) -> Vec<u8> {
    ids.into_iter().flat_map(|id| body(id).iter().copied()).collect()
}
