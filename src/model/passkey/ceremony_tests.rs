//! Both ceremonies against an authenticator in software: what is right, and each refusal alone.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::super::authenticator::{Authenticator, BACKED_UP, BACKUP_ELIGIBLE, Kind, PRESENT, VERIFIED, base64, bytes, map, number, text};
use super::*;
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::web_origin::WebOrigin;
use crate::model::ids::{PasskeyId, UserId};

const ORIGIN: &str = "https://onsite.example:8443";
const CHALLENGE: [u8; 32] = [7; 32];

fn party() -> RelyingParty {
    RelyingParty::of(&WebOrigin::parse(ORIGIN).unwrap()).unwrap()
}

fn user() -> UserId {
    "usr_00000000000000000000000000".parse().unwrap()
}

fn options() -> Value {
    json!({
        "challenge": base64(&CHALLENGE), "rp": { "id": "onsite.example" }, "rpId": "onsite.example",
        "user": { "id": base64(user().as_str().as_bytes()) },
    })
}

fn part(answer: &Value, name: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(answer[name].as_str().unwrap().as_bytes()).unwrap()
}

fn created(made: &Value) -> Created {
    Created { credential_id: part(made, "id"), client_data: part(made, "client_data"), attestation: part(made, "attestation_object") }
}

fn shown(answer: &Value) -> Assertion {
    Assertion {
        credential_id: part(answer, "id"),
        client_data: part(answer, "client_data"),
        authenticator_data: part(answer, "authenticator_data"),
        signature: part(answer, "signature"),
        user_handle: Some(part(answer, "user_handle")),
    }
}

fn registers(authenticator: &mut Authenticator) -> Result<Registered, Refusal> {
    register(&party(), &CHALLENGE, &created(&authenticator.create(&options(), ORIGIN)))
}

fn proves(authenticator: &mut Authenticator, passkey: &Passkey) -> Result<Used, Refusal> {
    prove(&party(), &CHALLENGE, passkey, &shown(&authenticator.show(&options(), ORIGIN)))
}

fn kept(registered: Registered) -> Passkey {
    Passkey {
        id: PasskeyId::new(&Seams::system()),
        user: user(),
        relying_party: "onsite.example".to_owned(),
        credential_id: registered.credential_id,
        key: registered.key,
        sign_count: registered.sign_count,
        backup_eligible: registered.backup_eligible,
        backed_up: registered.backed_up,
        transports: Vec::new(),
        name: "Laptop".to_owned(),
        created_at: Timestamp::from_millis(0),
        last_used_at: None,
    }
}

/// An authenticator, and its passkey as it is kept.
fn set_up(kind: Kind) -> (Authenticator, Passkey) {
    let mut authenticator = Authenticator::new(kind);
    let passkey = kept(registers(&mut authenticator).unwrap());
    authenticator.counter += 1;
    (authenticator, passkey)
}

#[test]
fn every_algorithm_that_is_offered_is_set_up_and_shown() {
    for kind in [Kind::Es256, Kind::EdDsa, Kind::Rs256] {
        let (mut authenticator, passkey) = set_up(kind);
        assert_eq!(proves(&mut authenticator, &passkey), Ok(Used { sign_count: 2, backed_up: false }), "{kind:?}");
        let mut other = Authenticator::new(Kind::Es256);
        other.id.clone_from(&authenticator.id);
        assert_eq!(proves(&mut other, &passkey), Err(Refusal::OtherAccount), "a handle that is not its owner's");
        other.user.clone_from(&authenticator.user);
        other.counter = 9;
        assert_eq!(proves(&mut other, &passkey), Err(Refusal::Signature), "{kind:?}");
    }
}

#[test]
fn client_data_must_be_of_this_ceremony_this_challenge_and_this_page() {
    let cases = [
        (json!({ "type": "webauthn.other" }), Refusal::WrongType),
        (json!({ "challenge": base64(&[8; 32]) }), Refusal::WrongChallenge),
        (json!({ "challenge": base64(&CHALLENGE[..31]) }), Refusal::WrongChallenge),
        (json!({ "challenge": format!("{}=", base64(&CHALLENGE)) }), Refusal::WrongChallenge),
        (json!({ "origin": "https://onsite.example" }), Refusal::WrongOrigin),
        (json!({ "origin": "http://onsite.example:8443" }), Refusal::WrongOrigin),
        (json!({ "origin": "https://evil.example:8443" }), Refusal::WrongOrigin),
        (json!({ "origin": "https://onsite.example:8443.evil.example" }), Refusal::WrongOrigin),
        (json!({ "crossOrigin": true }), Refusal::Embedded),
        (json!({ "topOrigin": "https://evil.example" }), Refusal::Embedded),
        (json!({ "origin": null }), Refusal::Malformed("client data")),
        (json!({ "padding": "x".repeat(5_000) }), Refusal::Malformed("client data")),
    ];
    for (client, refusal) in cases {
        let (mut authenticator, passkey) = set_up(Kind::Es256);
        authenticator.client = client.clone();
        assert_eq!(proves(&mut authenticator, &passkey), Err(refusal), "{client}");
        assert_eq!(registers(&mut authenticator), Err(refusal), "{client}");
    }
    let (mut authenticator, passkey) = set_up(Kind::Es256);
    authenticator.client = json!({ "type": "webauthn.create" });
    assert_eq!(proves(&mut authenticator, &passkey), Err(Refusal::WrongType), "of the other ceremony");
    authenticator.client = json!({ "later_browsers": "say more" });
    assert!(proves(&mut authenticator, &passkey).is_ok());
    let mut twice = shown(&authenticator.show(&options(), ORIGIN));
    twice.client_data = br#"{"type":"webauthn.get","type":"webauthn.get","challenge":"","origin":""}"#.to_vec();
    assert_eq!(prove(&party(), &CHALLENGE, &passkey, &twice), Err(Refusal::Malformed("client data")));
}

#[test]
fn the_authenticator_must_have_seen_this_host_and_its_owner() {
    let cases: [(u8, Refusal); 5] = [
        (0, Refusal::NotPresent),
        (VERIFIED, Refusal::NotPresent),
        (PRESENT, Refusal::NotVerified),
        (PRESENT | VERIFIED | BACKED_UP, Refusal::Copies),
        (PRESENT | BACKUP_ELIGIBLE, Refusal::NotVerified),
    ];
    for (flags, refusal) in cases {
        let (mut authenticator, passkey) = set_up(Kind::Es256);
        authenticator.flags = flags;
        assert_eq!(proves(&mut authenticator, &passkey), Err(refusal), "{flags:#x}");
        assert_eq!(registers(&mut authenticator), Err(refusal), "{flags:#x}");
    }
    let (mut authenticator, passkey) = set_up(Kind::Es256);
    authenticator.host = Some("evil.example".to_owned());
    assert_eq!(proves(&mut authenticator, &passkey), Err(Refusal::WrongHost));
    assert_eq!(registers(&mut authenticator), Err(Refusal::WrongHost));
    authenticator.host = None;
    let elsewhere = Passkey { relying_party: "old.example".to_owned(), ..passkey.clone() };
    assert_eq!(proves(&mut authenticator, &elsewhere), Err(Refusal::WrongHost), "kept for another host");
    authenticator.flags |= BACKUP_ELIGIBLE;
    assert_eq!(proves(&mut authenticator, &passkey), Err(Refusal::Copies), "says otherwise than when it was set up");

    let mut synced = Authenticator::new(Kind::Es256);
    synced.flags |= BACKUP_ELIGIBLE;
    let passkey = kept(registers(&mut synced).unwrap());
    (synced.flags, synced.counter) = (synced.flags | BACKED_UP, 2);
    assert_eq!(proves(&mut synced, &passkey), Ok(Used { sign_count: 2, backed_up: true }), "copied since");
}

#[test]
fn a_counter_goes_on_and_one_that_does_not_count_stays_at_nothing() {
    let (mut authenticator, mut passkey) = set_up(Kind::Es256);
    for (kept, shown, counts) in [(5, 6, true), (5, 5, false), (5, 4, false), (5, 0, false), (0, 0, true), (0, 1, true)] {
        (passkey.sign_count, authenticator.counter) = (kept, shown);
        let refused = proves(&mut authenticator, &passkey).err();
        assert_eq!(refused, (!counts).then_some(Refusal::CountWentBack), "{kept} then {shown}");
    }
    // A forged counter is no reason to warn of a copy.
    authenticator.counter = 1;
    passkey.sign_count = 5;
    let mut forged = shown(&authenticator.show(&options(), ORIGIN));
    forged.signature[9] ^= 1;
    assert_eq!(prove(&party(), &CHALLENGE, &passkey, &forged), Err(Refusal::Signature));
}

#[test]
fn another_credential_and_what_cannot_be_read_are_refused() {
    let (mut authenticator, passkey) = set_up(Kind::Es256);
    let right = shown(&authenticator.show(&options(), ORIGIN));
    let refused = |change: &dyn Fn(&mut Assertion)| {
        let mut changed = right.clone();
        change(&mut changed);
        prove(&party(), &CHALLENGE, &passkey, &changed).err()
    };
    assert_eq!(refused(&|_| ()), None);
    assert_eq!(refused(&|shown| shown.user_handle = None), None, "not every authenticator knows");
    assert_eq!(refused(&|shown| shown.credential_id[0] ^= 1), Some(Refusal::OtherCredential));
    assert_eq!(refused(&|shown| shown.user_handle = Some(b"usr_1".to_vec())), Some(Refusal::OtherAccount));
    assert_eq!(refused(&|shown| shown.authenticator_data.truncate(36)), Some(Refusal::Malformed("authenticator data")));
    assert_eq!(refused(&|shown| shown.authenticator_data.push(0)), Some(Refusal::Malformed("authenticator data")));
    assert_eq!(refused(&|shown| shown.authenticator_data[36] ^= 1), Some(Refusal::Signature));
    assert_eq!(refused(&|shown| shown.client_data.push(b' ')), Some(Refusal::Signature));
    assert_eq!(refused(&|shown| shown.signature.clear()), Some(Refusal::Signature));
    authenticator.trailing = map(&[(text("ext"), number(1))]);
    authenticator.flags |= 0x80;
    assert!(proves(&mut authenticator, &passkey).is_ok(), "extensions that nobody asked for are passed over");
    authenticator.trailing.push(0);
    assert_eq!(proves(&mut authenticator, &passkey), Err(Refusal::Malformed("authenticator data")));
}

#[test]
fn attestation_is_none_or_the_keys_own() {
    let mut own = Authenticator::new(Kind::EdDsa);
    own.format = "packed";
    assert!(registers(&mut own).is_ok(), "signed by the new key itself");
    own.format = "fido-u2f";
    assert_eq!(registers(&mut own), Err(Refusal::Attestation));
    own.format = "none";
    let mut made = created(&own.create(&options(), ORIGIN));
    let attempt = |made: &Created| register(&party(), &CHALLENGE, made).err();
    made.credential_id[0] ^= 1;
    assert_eq!(attempt(&made), Some(Refusal::OtherCredential));
    let object = |statement: Vec<u8>, data: &[u8]| map(&[(text("fmt"), text("none")), (text("attStmt"), statement), (text("authData"), bytes(data))]);
    made.attestation = object(map(&[]), &[0; 37]);
    assert_eq!(attempt(&made), Some(Refusal::WrongHost));
    for rubbish in [Vec::new(), map(&[]), number(1), vec![0xff; 40], object(number(1), &[]), vec![0; 20_000]] {
        made.attestation = rubbish;
        assert_eq!(attempt(&made), Some(Refusal::Malformed("attestation object")));
    }
    let mut stated = Authenticator::new(Kind::Es256);
    stated.format = "packed";
    let mut forged = created(&stated.create(&options(), ORIGIN));
    let at = forged.attestation.windows(3).position(|window| window == b"sig").unwrap() + 12;
    forged.attestation[at] ^= 1;
    assert_eq!(attempt(&forged), Some(Refusal::Attestation));
}

#[test]
fn new_credentials_have_a_long_id_and_a_key_that_was_offered() {
    let refused = |change: &dyn Fn(&mut Authenticator)| {
        let mut authenticator = Authenticator::new(Kind::Es256);
        change(&mut authenticator);
        registers(&mut authenticator).err()
    };
    assert_eq!(refused(&|device| device.id = vec![7; 16]), None);
    assert_eq!(refused(&|device| device.id = vec![7; 1_023]), None);
    assert_eq!(refused(&|device| device.id = vec![7; 15]), Some(Refusal::Malformed("credential id")));
    assert_eq!(refused(&|device| device.id = vec![7; 1_024]), Some(Refusal::Malformed("credential id")));
    assert_eq!(refused(&|device| device.trailing = vec![0]), Some(Refusal::Malformed("authenticator data")));
    let es384 = |device: &mut Authenticator| {
        let mut entries = device.cose();
        entries[1].1 = number(-35);
        device.other_cose = Some(map(&entries));
    };
    assert_eq!(refused(&es384), Some(Refusal::Algorithm));
    assert_eq!(refused(&|device| device.other_cose = Some(map(&[]))), Some(Refusal::Key));
}

#[test]
fn an_address_has_no_passkeys() {
    for address in ["https://127.0.0.1:8443", "https://[::1]"] {
        assert!(RelyingParty::of(&WebOrigin::parse(address).unwrap()).is_err());
    }
    assert_eq!(RelyingParty::of(&WebOrigin::parse("http://localhost:8080").unwrap()).unwrap().id(), "localhost");
}
