//! The judgement of one code: signature first, then what it says, then the calendar.

use std::collections::BTreeSet;
use std::time::Duration;

use ed25519_dalek::Signature;

use super::keys::KeyRing;
use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;
use crate::model::licence::{AUDIENCE, Claims, Environment, ReasonCode, SignedCode, SignedList};
use crate::model::plans;

/// How far the clock may be behind what is known to have passed.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3_600);

/// What a code is judged against, beside the key ring.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The clock.
    pub now: Timestamp,
    /// A moment known to have passed: the build, the latest time this installation has seen, its last signed audit checkpoint.
    pub floor: Timestamp,
    /// This installation; `None` when it is not known (a check away from it), which lets bound codes pass.
    pub install_id: Option<&'a str>,
    /// The other codes that were entered and whose signatures hold.
    pub others: &'a [Claims],
    /// Codes on the vendor's revocation list.
    pub revoked: &'a BTreeSet<LicenceId>,
}

/// Whether the signature is the vendor's: by a known key, in use when the code was issued.
///
/// # Errors
/// `unknown_key`, `bad_signature` or `key_retired`.
pub fn authenticate(code: &SignedCode, ring: &KeyRing) -> Result<(), ReasonCode> {
    let claims = code.claims();
    verify(ring, &claims.kid, claims.issued_at, &code.message(), &code.signature())
}

/// The same of a revocation list, whose signature is made over another beginning and so never that of a code.
///
/// # Errors
/// `unknown_key`, `bad_signature`, `key_retired` or `wrong_audience`.
pub fn authenticate_list(signed: &SignedList, ring: &KeyRing) -> Result<(), ReasonCode> {
    let list = signed.list();
    verify(ring, &list.kid, list.issued_at, &signed.message(), &signed.signature())?;
    if list.audience == AUDIENCE { Ok(()) } else { Err(ReasonCode::WrongAudience) }
}

fn verify(ring: &KeyRing, kid: &str, issued_at: Timestamp, message: &[u8], signature: &[u8; 64]) -> Result<(), ReasonCode> {
    let vendor = ring.find(kid).ok_or(ReasonCode::UnknownKey)?;
    // Strict: no weak keys, no weak R, no S that is not reduced, so that a signature has one form only.
    vendor.key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| ReasonCode::BadSignature)?;
    if vendor.in_use_at(issued_at) { Ok(()) } else { Err(ReasonCode::KeyRetired) }
}

/// What a code comes to, seats aside.
#[must_use]
pub fn judge(code: &SignedCode, ring: &KeyRing, circumstances: &Circumstances<'_>) -> ReasonCode {
    if let Err(reason) = authenticate(code, ring) {
        return reason;
    }
    let claims = code.claims();
    if claims.audience != AUDIENCE {
        ReasonCode::WrongAudience
    } else if claims.environment == Environment::Development && !ring.is_development() {
        ReasonCode::WrongEnvironment
    } else if plans::find(&claims.plan).is_none() {
        ReasonCode::UnsupportedVersion
    } else if matches!((&claims.install_id, circumstances.install_id), (Some(bound), Some(here)) if bound != here) {
        ReasonCode::WrongInstallation
    } else if circumstances.revoked.contains(&claims.jti) {
        ReasonCode::Revoked
    } else if circumstances.others.iter().any(|other| replaces(other, claims)) {
        ReasonCode::Superseded
    } else {
        by_calendar(claims, circumstances)
    }
}

/// Whether `other` stands in the place of `claims`: it names it, or counts higher for the same customer.
fn replaces(other: &Claims, claims: &Claims) -> bool {
    let same_count = other.seq == claims.seq && other.jti > claims.jti;
    other.jti != claims.jti && (other.supersedes.contains(&claims.jti) || other.customer == claims.customer && (other.seq > claims.seq || same_count))
}

fn by_calendar(claims: &Claims, circumstances: &Circumstances<'_>) -> ReasonCode {
    // The code itself proves that its own issue has passed. A clock behind what is known to have passed neither locks out nor extends.
    let floor = circumstances.floor.max(claims.issued_at);
    let now = circumstances.now.max(floor);
    if now < claims.not_before {
        ReasonCode::NotYetValid
    } else if now >= claims.grace_until() {
        ReasonCode::Expired
    } else if now >= claims.expires_at {
        ReasonCode::ExpiredInGrace
    } else if is_suspect(circumstances.now, floor) {
        ReasonCode::ClockSuspect
    } else {
        ReasonCode::Ok
    }
}

/// Whether the clock is more than a day behind the floor.
#[must_use]
pub fn is_suspect(now: Timestamp, floor: Timestamp) -> bool {
    floor.since(now) > CLOCK_TOLERANCE
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
