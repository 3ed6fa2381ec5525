//! Tests of the one form of a code.

use super::super::tlv::HEADER_BYTES;
use super::*;
use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;
use proptest::prelude::*;

/// Claims for tests, issued at the start of 2026 for a year.
pub(crate) fn claims() -> Claims {
    let at = |text: &str| text.parse().unwrap();
    Claims {
        kid: "3k9t".into(),
        jti: "lic_01h00000000000000000000000".parse().unwrap(),
        seq: 7,
        supersedes: Vec::new(),
        issuer: "Onsite GmbH".into(),
        audience: crate::model::licence::AUDIENCE.into(),
        customer: "acme".into(),
        company: "Acme Überwerke AG".into(),
        plan: "business".into(),
        features: BTreeMap::new(),
        seats: 25,
        issued_at: at("2026-01-01T00:00:00Z"),
        not_before: at("2026-01-01T00:00:00Z"),
        expires_at: at("2027-01-01T00:00:00Z"),
        grace_days: 14,
        install_id: None,
        environment: Environment::Production,
        extensions: BTreeMap::new(),
    }
}

fn code(claims: Claims) -> SignedCode {
    SignedCode::sign(claims, |_| [9; 64]).unwrap()
}

fn rebuilt(payload: &[u8]) -> Result<SignedCode, MalformedCode> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&[0; 64]);
    SignedCode::parse(&bytes)
}

fn payload(claims: Claims) -> Vec<u8> {
    let bytes = code(claims).bytes;
    bytes[HEADER_BYTES..bytes.len() - SIGNATURE_BYTES].to_vec()
}

#[test]
fn everything_a_code_can_say_reads_back() {
    let id = |n: u32| format!("lic_{n:026}").parse::<LicenceId>().unwrap();
    let full = Claims {
        supersedes: vec![id(1), id(2)],
        features: [("crawl_pages_max".to_owned(), Some(0)), ("max_widgets".to_owned(), None), ("seats".to_owned(), Some(u64::MAX))].into(),
        install_id: Some("inst-1".into()),
        environment: Environment::Development,
        extensions: [(200, vec![1, 2]), (255, vec![])].into(),
        seq: 0,
        seats: u32::MAX,
        ..claims()
    };
    let code = code(full.clone());
    assert_eq!(SignedCode::parse(code.bytes()).unwrap().claims(), &full);
    assert!(code.message().starts_with(b"onsite activation code\0\x01"), "the version is signed");
}

#[test]
fn a_version_an_unknown_claim_and_a_cut_or_longer_code_are_told_apart() {
    let bytes = code(claims()).bytes;
    let mut other = bytes.clone();
    other[0] = 2;
    assert_eq!(SignedCode::parse(&other).unwrap_err().reason(), super::super::ReasonCode::UnsupportedVersion);
    assert!(matches!(SignedCode::parse(&bytes[..bytes.len() - 5]), Err(MalformedCode::Incomplete { missing: 5, .. })));
    assert_eq!(SignedCode::parse(&[&bytes[..], &[0]].concat()), Err(MalformedCode::TrailingBytes));
    let unknown = [&payload(claims())[..], &[99, 0, 1, 7]].concat();
    assert_eq!(rebuilt(&unknown), Err(MalformedCode::UnknownClaim(99)));
    assert!(rebuilt(&[&payload(claims())[..], &[199, 0, 1, 7]].concat()).is_ok(), "may be ignored");
}

#[test]
fn second_forms_of_the_same_claims_are_refused() {
    let payload = payload(claims());
    // The first field again at the end: out of order.
    let first_length = 3 + usize::from(u16::from_be_bytes([payload[1], payload[2]]));
    assert_eq!(rebuilt(&[&payload[..], &payload[..first_length]].concat()), Err(MalformedCode::NotCanonical));
    assert_eq!(rebuilt(&[&payload[first_length..], &payload[..first_length]].concat()), Err(MalformedCode::NotCanonical));
    assert_eq!(rebuilt(&[&payload[..first_length], &payload[..]].concat()), Err(MalformedCode::NotCanonical));
    // `seq` 7 with a leading zero.
    let at = payload.windows(4).position(|window| window == [tag::SEQ, 0, 1, 7]).unwrap();
    let padded = [&payload[..at], &[tag::SEQ, 0, 2, 0, 7], &payload[at + 4..]].concat();
    assert_eq!(rebuilt(&padded), Err(MalformedCode::BadClaim("counter")));
    // Production is said by saying nothing.
    let spelt = [&payload[..], &[tag::ENVIRONMENT, 0, 10], b"production"].concat();
    assert_eq!(rebuilt(&spelt), Err(MalformedCode::BadClaim("environment")));
    assert_eq!(rebuilt(&[&payload[..], &[tag::INSTALL_ID, 0, 0]].concat()), Err(MalformedCode::BadClaim("installation")));
}

#[test]
fn claims_that_cannot_be_written_are_not_signed() {
    let refused = |claims| SignedCode::sign(claims, |_| panic!("signed")).unwrap_err();
    assert_eq!(refused(Claims { customer: " acme".into(), ..claims() }), MalformedCode::BadClaim("customer"));
    assert_eq!(refused(Claims { company: "a\nb".into(), ..claims() }), MalformedCode::BadClaim("company"));
    assert_eq!(refused(Claims { company: "x".repeat(201), ..claims() }), MalformedCode::BadClaim("company"));
    assert_eq!(refused(Claims { issued_at: Timestamp::from_millis(1), ..claims() }), MalformedCode::BadClaim("issue date"));
    assert_eq!(refused(Claims { expires_at: Timestamp::from_millis(i64::MAX), ..claims() }), MalformedCode::BadClaim("end"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = SignedCode::parse(&bytes);
        let _ = rebuilt(&bytes);
    }

    // Whatever parses is the one form of what it says.
    #[test]
    fn a_mutated_code_is_refused_or_is_itself_canonical(at in any::<proptest::sample::Index>(), byte: u8, cut in any::<proptest::sample::Index>()) {
        let mut bytes = code(Claims { features: [("max_widgets".to_owned(), Some(300))].into(), ..claims() }).bytes;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(parsed) = SignedCode::parse(&bytes) {
            prop_assert_eq!(&statement(parsed.claims()).unwrap()[..], &bytes[..bytes.len() - SIGNATURE_BYTES]);
        }
        let _ = SignedCode::parse(&bytes[..cut.index(bytes.len())]);
    }
}
