//! A code as an argument: the line itself, a file, a picture of its QR code, or `-` for standard input.

use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::super::outcome::{CommandResult, Failure, say};
use crate::base::qr::{self, PICTURE_BYTES_MAX};
use crate::model::licence::text::{CODE, Carried, REQUEST, REVOCATIONS};
use crate::model::licence::{Claims, LicenceRequest, MalformedCode, ReasonCode, RevocationList};

/// The text of a code, from wherever the argument says.
pub(super) fn text_of(argument: &str) -> Result<String, Failure> {
    let begins = [&CODE, &REQUEST, &REVOCATIONS].iter().any(|carrier| carrier.begins(argument));
    if begins && !Path::new(argument).is_file() {
        return Ok(argument.to_owned());
    }
    let limit = u64::try_from(PICTURE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    if argument == "-" {
        let read = std::io::stdin().take(limit).read_to_end(&mut bytes);
        read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    } else {
        let read = std::fs::File::open(argument).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        read.map_err(|error| no_such_code(argument, &error))?;
    }
    if qr::is_picture(&bytes) {
        let texts = qr::read(&bytes).map_err(|error| Failure::failed(format!("{argument}: {error}")))?;
        return Ok(texts.into_iter().next().unwrap_or_default());
    }
    // What is not text is no code, which is said where codes are read.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn no_such_code(argument: &str, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound && !argument.contains('/') {
        return Failure::failed(format!(
            "`{argument}` is neither an activation code (which begins with ONSITE1-) nor a file that is there: give the code's line in quotes, the \
             path of the .onsite file or of a picture of its QR code, or - to read it from standard input"
        ));
    }
    let why = if error.kind() == std::io::ErrorKind::NotFound { "there is no such file".to_owned() } else { error.to_string() };
    Failure::failed(format!("{argument}: {why}; give the path of the .onsite file, of a picture of its QR code, or the code's line in quotes"))
}

/// Reads whatever it is; a malformed one is a check that does not hold.
pub(super) fn carried(argument: &str, as_json: bool) -> Result<Carried, Failure> {
    Carried::from_text(&text_of(argument)?).map_err(|error| refused(&error, as_json))
}

/// A request, from wherever the argument says.
pub(super) fn request_of(argument: &str) -> Result<LicenceRequest, Failure> {
    LicenceRequest::from_text(&text_of(argument)?)
        .map_err(|error| Failure::Usage(format!("--request: {error}. The customer makes one with `onsite license request`, or on the licence page")))
}

fn refused(error: &MalformedCode, as_json: bool) -> Failure {
    let reason = error.reason();
    if as_json {
        say(json!({ "reason": reason, "message": error.to_string(), "remedy": reason.remedy() }));
    } else {
        say(format!("{reason_code}: {error}. {remedy}", reason_code = reason.as_str(), remedy = reason.remedy()));
    }
    Failure::CheckFailed
}

/// Prints a reason; only one under which the plan applies ends with 0.
pub(super) fn conclude(reason: ReasonCode, claims: &Claims, as_json: bool) -> CommandResult {
    if as_json {
        say(json!({ "reason": reason, "message": reason.text(), "remedy": reason.remedy(), "claims": claims }));
    } else {
        say(format!("{}: {reason}", reason.as_str()));
    }
    if reason.is_effective() { Ok(()) } else { Err(Failure::CheckFailed) }
}

/// The claims for people: name and value.
pub(super) fn rows(claims: &Claims) -> Vec<Vec<String>> {
    let seats = if claims.seats == u32::MAX { "unlimited".to_owned() } else { claims.seats.to_string() };
    let features: Vec<String> = claims
        .features
        .iter()
        .map(|(key, limit)| format!("{key}={}", limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())))
        .collect();
    let supersedes: Vec<&str> = claims.supersedes.iter().map(crate::model::ids::LicenceId::as_str).collect();
    shown([
        ("id", claims.jti.to_string()),
        ("key", claims.kid.clone()),
        ("issuer", claims.issuer.clone()),
        ("audience", claims.audience.clone()),
        ("customer", claims.customer.clone()),
        ("company", claims.company.clone()),
        ("plan", claims.plan.clone()),
        ("features", features.join(", ")),
        ("seats", seats),
        ("seq", claims.seq.to_string()),
        ("supersedes", supersedes.join(", ")),
        ("issued at", claims.issued_at.to_string()),
        ("not before", claims.not_before.to_string()),
        ("expires at", claims.expires_at.to_string()),
        ("grace until", claims.grace_until().to_string()),
        ("installation", claims.install_id.clone().unwrap_or_else(|| "any".to_owned())),
        ("environment", claims.environment.to_string()),
    ])
}

/// A revocation list for people.
pub(super) fn list_rows(list: &RevocationList) -> Vec<Vec<String>> {
    let mut rows = shown([
        ("number", list.number.to_string()),
        ("key", list.kid.clone()),
        ("issuer", list.issuer.clone()),
        ("audience", list.audience.clone()),
        ("issued at", list.issued_at.to_string()),
        ("codes", list.revoked.len().to_string()),
    ]);
    rows.extend(list.revoked.iter().map(|id| vec!["revoked".to_owned(), id.to_string()]));
    rows
}

/// A request for people.
pub(super) fn request_rows(request: &LicenceRequest) -> Vec<Vec<String>> {
    shown([
        ("installation", request.install_id.clone()),
        ("company", request.company.clone().unwrap_or_default()),
        ("contact", request.contact.clone().unwrap_or_default()),
        ("product", request.product.clone()),
        ("made at", request.made_at.to_string()),
        ("users", request.seats_used.to_string()),
        ("present code", request.current.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("believes keys", request.keys.join(", ")),
    ])
}

fn shown<const N: usize>(rows: [(&str, String); N]) -> Vec<Vec<String>> {
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| vec![name.to_owned(), value]).collect()
}
