//! Every reason, produced; and the edge cases of Ed25519.

use super::*;
use crate::model::licence::encoding::tests::claims;
use crate::services::licensing::issue;
use crate::services::licensing::keys::fingerprint;
use ed25519_dalek::{SigningKey, VerifyingKey};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn ring() -> KeyRing {
    KeyRing::release(&issue::public_pem(&key(1)).unwrap()).unwrap()
}

fn signed(claims: Claims) -> SignedCode {
    issue::sign(Claims { kid: fingerprint(&key(1).verifying_key()), ..claims }, &key(1)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id(n: u32) -> LicenceId {
    format!("lic_{n:026}").parse().unwrap()
}

/// Mid-2026, on installation `ins_here`, with nothing else entered.
fn judged(code: &SignedCode, change: impl FnOnce(&mut Circumstances<'_>)) -> ReasonCode {
    let revoked = BTreeSet::new();
    let mut circumstances = Circumstances {
        now: at("2026-06-01T00:00:00Z"),
        floor: at("2026-05-31T23:00:00Z"),
        install_id: Some("ins_here"),
        others: &[],
        revoked: &revoked,
    };
    change(&mut circumstances);
    judge(code, &ring(), &circumstances)
}

#[test]
fn a_code_lives_from_its_begin_over_its_end_and_grace_to_the_free_tier() {
    let code = signed(Claims { not_before: at("2026-02-01T00:00:00Z"), ..claims() });
    for (now, reason) in [
        ("2026-01-31T23:59:59Z", ReasonCode::NotYetValid),
        ("2026-02-01T00:00:00Z", ReasonCode::Ok),
        ("2026-12-31T23:59:59Z", ReasonCode::Ok),
        ("2027-01-01T00:00:00Z", ReasonCode::ExpiredInGrace),
        ("2027-01-14T23:59:59Z", ReasonCode::ExpiredInGrace),
        ("2027-01-15T00:00:00Z", ReasonCode::Expired),
    ] {
        let reached = judged(&code, |circumstances| {
            circumstances.now = at(now);
            circumstances.floor = at("2026-01-01T00:00:00Z");
        });
        assert_eq!(reached, reason, "{now}");
    }
}

#[test]
fn a_clock_set_back_is_seen_locks_nothing_and_extends_nothing() {
    let code = signed(claims());
    let back_to = |now: &str, floor: &str| {
        judged(&code, |circumstances| {
            circumstances.now = at(now);
            circumstances.floor = at(floor);
        })
    };
    assert_eq!(back_to("2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z"), ReasonCode::Ok, "a day behind is not much");
    assert_eq!(back_to("2026-06-01T00:00:00Z", "2026-06-02T00:00:01Z"), ReasonCode::ClockSuspect);
    assert_eq!(back_to("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"), ReasonCode::ClockSuspect, "the code's own issue has passed");
    assert_eq!(back_to("2026-06-01T00:00:00Z", "2027-01-10T00:00:00Z"), ReasonCode::ExpiredInGrace, "no extension");
    assert_eq!(back_to("2026-06-01T00:00:00Z", "2027-02-01T00:00:00Z"), ReasonCode::Expired, "no extension");
}

#[test]
fn keys_and_signatures() {
    let code = signed(claims());
    assert_eq!(judged(&code, |_| {}), ReasonCode::Ok);
    let foreign = issue::sign(Claims { kid: fingerprint(&key(2).verifying_key()), ..claims() }, &key(2)).unwrap();
    assert_eq!(judged(&foreign, |_| {}), ReasonCode::UnknownKey);
    let pretending = issue::sign(Claims { kid: fingerprint(&key(1).verifying_key()), ..claims() }, &key(2)).unwrap();
    assert_eq!(judged(&pretending, |_| {}), ReasonCode::BadSignature);

    let pem = issue::public_pem(&key(1)).unwrap();
    let revoked = BTreeSet::new();
    let now = at("2026-06-01T00:00:00Z");
    let circumstances = Circumstances { now, floor: now, install_id: None, others: &[], revoked: &revoked };
    for (lines, reason) in [
        ("retired-at: 2026-01-01T00:00:00Z", ReasonCode::KeyRetired),
        ("valid-from: 2026-01-01T00:00:01Z", ReasonCode::KeyRetired),
        ("retired-at: 2026-01-01T00:00:01Z", ReasonCode::Ok),
    ] {
        let ring = KeyRing::release(&format!("{lines}\n{pem}")).unwrap();
        assert_eq!(judge(&code, &ring, &circumstances), reason, "{lines}");
    }
}

#[test]
fn what_it_says_must_fit_here() {
    assert_eq!(judged(&signed(Claims { audience: "other".into(), ..claims() }), |_| {}), ReasonCode::WrongAudience);
    assert_eq!(judged(&signed(Claims { environment: Environment::Development, ..claims() }), |_| {}), ReasonCode::WrongEnvironment);
    assert_eq!(judged(&signed(Claims { plan: "galactic".into(), ..claims() }), |_| {}), ReasonCode::UnsupportedVersion);
    let bound = signed(Claims { install_id: Some("ins_there".into()), ..claims() });
    assert_eq!(judged(&bound, |_| {}), ReasonCode::WrongInstallation);
    assert_eq!(judged(&bound, |circumstances| circumstances.install_id = Some("ins_there")), ReasonCode::Ok);
    assert_eq!(judged(&bound, |circumstances| circumstances.install_id = None), ReasonCode::Ok, "checked away from any installation");

    let development = KeyRing::development(&issue::public_pem(&key(1)).unwrap()).unwrap();
    let revoked = BTreeSet::new();
    let now = at("2026-06-01T00:00:00Z");
    let circumstances = Circumstances { now, floor: now, install_id: None, others: &[], revoked: &revoked };
    let code = signed(Claims { environment: Environment::Development, ..claims() });
    assert_eq!(judge(&code, &development, &circumstances), ReasonCode::Ok);
}

#[test]
fn newer_codes_and_the_revocation_list_end_a_code() {
    let code = signed(Claims { jti: id(5), ..claims() });
    let with = |other: Claims| judged(&code, |circumstances| circumstances.others = std::slice::from_ref(Box::leak(Box::new(other))));
    assert_eq!(with(Claims { jti: id(6), seq: 8, ..claims() }), ReasonCode::Superseded);
    assert_eq!(with(Claims { jti: id(6), ..claims() }), ReasonCode::Superseded, "the same count twice: one of them stands");
    assert_eq!(with(Claims { jti: id(4), ..claims() }), ReasonCode::Ok);
    assert_eq!(with(Claims { jti: id(6), seq: 6, ..claims() }), ReasonCode::Ok);
    assert_eq!(with(Claims { jti: id(6), seq: 99, customer: "someone else".into(), ..claims() }), ReasonCode::Ok);
    assert_eq!(with(Claims { jti: id(6), customer: "someone else".into(), supersedes: vec![id(5)], ..claims() }), ReasonCode::Superseded);
    let revoked = BTreeSet::from([id(5)]);
    let now = at("2026-06-01T00:00:00Z");
    let circumstances = Circumstances { now, floor: now, install_id: None, others: &[], revoked: &revoked };
    assert_eq!(judge(&code, &ring(), &circumstances), ReasonCode::Revoked);
}

#[test]
fn a_mutation_of_any_bit_of_any_byte_is_refused() {
    let code = signed(claims());
    for at in 0..code.bytes().len() {
        for bit in 0..8 {
            let mut bytes = code.bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(mutant) = SignedCode::parse(&bytes) {
                let reason = judged(&mutant, |_| {});
                assert!(matches!(reason, ReasonCode::BadSignature | ReasonCode::UnknownKey), "byte {at}, bit {bit}: {reason:?}");
            }
        }
    }
}

#[test]
fn a_signature_with_an_unreduced_s_is_refused() {
    // S + L satisfies the equation as well as S; only one of the two may count.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x10,
    ];
    let mut bytes = signed(claims()).bytes().to_vec();
    let s = bytes.len() - 32;
    let mut carry = 0_u16;
    for (byte, l) in bytes[s..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(l);
        *byte = u8::try_from(carry & 0xff).unwrap();
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(judged(&SignedCode::parse(&bytes).unwrap(), |_| {}), ReasonCode::BadSignature);
}

#[test]
fn signatures_of_odd_form_are_refused_and_none_panics() {
    let code = signed(claims());
    let with = |r: [u8; 32], s: [u8; 32]| {
        let mut bytes = code.bytes().to_vec();
        let at = bytes.len() - 64;
        bytes[at..at + 32].copy_from_slice(&r);
        bytes[at + 32..].copy_from_slice(&s);
        judged(&SignedCode::parse(&bytes).unwrap(), |_| {})
    };
    let genuine: [u8; 32] = code.signature()[32..].try_into().unwrap();
    let neutral: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
    let eight: [u8; 32] = hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a").unwrap().try_into().unwrap();
    // R of small order, R that is no point, R above the prime; S of zero, S of all ones, S with its top bits set.
    let mut topped = genuine;
    topped[31] |= 0xe0;
    for r in [[0; 32], neutral, eight, [0xff; 32], [2; 32]] {
        for s in [genuine, [0; 32], [0xff; 32], topped] {
            assert_eq!(with(r, s), ReasonCode::BadSignature);
        }
    }
    let r: [u8; 32] = code.signature()[..32].try_into().unwrap();
    assert_eq!(with(r, topped), ReasonCode::BadSignature);
    assert_eq!(with(r, genuine), ReasonCode::Ok, "only the genuine one");
}

#[test]
fn any_other_symbol_at_any_place_of_the_line_is_refused() {
    let line = signed(claims()).to_line();
    for at in 0..line.len() {
        for symbol in "0123456789ABCDEFGHJKMNPQRSTVWXYZ-U*".chars() {
            let mut mutant = line.clone();
            mutant.replace_range(at..=at, &symbol.to_string());
            if mutant != line && SignedCode::from_text(&mutant).is_ok_and(|code| judged(&code, |_| {}) == ReasonCode::Ok) {
                // A hyphen more or less is the one change that changes nothing.
                panic!("{mutant}");
            }
        }
    }
}

#[test]
fn a_signature_for_a_weak_key_is_refused_even_if_the_key_got_in() {
    // With the neutral element as key, R = B and S = 1 satisfy the unstrict equation for every message.
    let neutral: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
    let weak = VerifyingKey::from_bytes(&neutral).unwrap();
    let base: [u8; 32] = std::array::from_fn(|at| if at == 0 { 0x58 } else { 0x66 });
    let forged: [u8; 64] = std::array::from_fn(|at| if at < 32 { base[at] } else { u8::from(at == 32) });
    let code = SignedCode::sign(claims(), |_| forged).unwrap();
    let signature = Signature::from_bytes(&forged);
    assert!(ed25519_dalek::Verifier::verify(&weak, &code.message(), &signature).is_ok(), "the forgery works where it may");
    assert!(weak.verify_strict(&code.message(), &signature).is_err());
}
