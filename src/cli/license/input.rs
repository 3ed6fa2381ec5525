//! A code as an argument: the line itself, a file, or `-` for standard input.

use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::super::outcome::{CommandResult, Failure, say};
use crate::model::licence::text::TEXT_BYTES_MAX;
use crate::model::licence::{Claims, MalformedCode, ReasonCode, SignedCode};

/// The text of a code, from wherever the argument says.
pub(super) fn text_of(argument: &str) -> Result<String, Failure> {
    let limit = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let mut text = String::new();
    if argument == "-" {
        let read = std::io::stdin().take(limit).read_to_string(&mut text);
        read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    } else if looks_like_a_path(argument) {
        let read = std::fs::File::open(argument).and_then(|file| file.take(limit).read_to_string(&mut text));
        read.map_err(|error| Failure::failed(format!("{argument}: {error}")))?;
    } else {
        argument.clone_into(&mut text);
    }
    Ok(text)
}

/// Whatever begins as a code is one; anything else names a file.
fn looks_like_a_path(argument: &str) -> bool {
    let is_code = argument.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("onsite")) && argument.len() > 40;
    !is_code && !argument.starts_with("-----") || Path::new(argument).is_file()
}

/// Reads a code; a malformed one is a check that does not hold.
pub(super) fn code_of(argument: &str, as_json: bool) -> Result<SignedCode, Failure> {
    SignedCode::from_text(&text_of(argument)?).map_err(|error| refused(&error, as_json))
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
    [
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
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect()
}
