//! The vendor's commands on real folders.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::check::{Inspect, Verify};
use super::super::revoke::{Revoke, Rotate, ShowRegister};
use super::*;

fn keygen(folder: &Path) -> CommandResult {
    Keygen { out: folder.to_owned(), passphrase: PassphraseArguments::default(), unencrypted: true, json: true }.run()
}

fn issue(folder: &Path, plan: &str) -> Issue {
    Issue {
        key: folder.join(PRIVATE_KEY),
        customer: Some("acme".into()),
        company: Some("Acme".into()),
        plan: Some(plan.into()),
        features: vec![parse_feature("max_widgets=unlimited").unwrap()],
        days: Some(30),
        out: Some(folder.join("acme.onsite")),
        json: true,
        ..Issue::default()
    }
}

fn code_in(path: &Path) -> SignedCode {
    SignedCode::from_text(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn verify(folder: &Path, code: &str, at: Option<&str>, revocations: Option<String>) -> CommandResult {
    let key = Some(folder.join(PUBLIC_KEYS));
    Verify { code: code.to_owned(), key, revocations, at: at.map(|at| at.parse().unwrap()), json: true }.run()
}

#[test]
fn a_key_is_made_once_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path()).unwrap();
    let mode = std::fs::metadata(folder.path().join(PRIVATE_KEY)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(keygen(folder.path()), Err(Failure::Failed(text)) if text.contains("rotate")), "never overwritten");
}

#[test]
fn an_encrypted_key_signs_with_its_passphrase_from_a_file_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("passphrase");
    std::fs::write(&secret, "a long enough passphrase\n").unwrap();
    let passphrase = PassphraseArguments { passphrase_file: Some(secret.clone()) };
    Keygen { out: folder.path().to_owned(), passphrase: passphrase.clone(), unencrypted: false, json: true }.run().unwrap();
    let pem = std::fs::read_to_string(folder.path().join(PRIVATE_KEY)).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    Issue { passphrase: passphrase.clone(), ..issue(folder.path(), "team") }.run().unwrap();
    std::fs::write(&secret, "another passphrase\n").unwrap();
    let refused = Issue { passphrase, ..issue(folder.path(), "team") }.run();
    assert!(matches!(refused, Err(Failure::Failed(text)) if text.contains("does not open")));
}

#[test]
fn a_code_is_issued_inspected_and_verified_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path()).unwrap();
    let picture = folder.path().join("acme.png");
    Issue { qr_out: Some(picture.clone()), ..issue(folder.path(), "team") }.run().unwrap();
    assert!(matches!(issue(folder.path(), "temas").run(), Err(Failure::Usage(text)) if text.contains("team")));
    let file = folder.path().join("acme.onsite").display().to_string();
    Inspect { code: file.clone(), qr: true, json: false }.run().unwrap();
    verify(folder.path(), &file, None, None).unwrap();
    verify(folder.path(), &picture.display().to_string(), None, None).unwrap();
    let line = code_in(Path::new(&file)).to_line();
    verify(folder.path(), &line, None, None).unwrap();
    assert!(matches!(verify(folder.path(), &file, Some("2999-01-01T00:00:00Z"), None), Err(Failure::CheckFailed)));
    let mistyped = line.replacen("ONSITE1-", "ONSITE1-Z", 1);
    assert!(matches!(verify(folder.path(), &mistyped, None, None), Err(Failure::CheckFailed)));
    assert!(matches!(verify(folder.path(), "/nowhere", None, None), Err(Failure::Failed(_))));
    let rubbish = Inspect { code: "rubbish".into(), qr: false, json: false }.run();
    assert!(matches!(rubbish, Err(Failure::Failed(text)) if text.contains("ONSITE1-") && text.contains("neither")));
}

#[test]
fn the_register_counts_a_customers_codes_and_keeps_an_older_count_out() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path()).unwrap();
    issue(folder.path(), "team").run().unwrap();
    issue(folder.path(), "team").run().unwrap();
    assert_eq!(code_in(&folder.path().join("acme.onsite")).claims().seq, 2);
    let refused = Issue { seq: Some(2), ..issue(folder.path(), "team") }.run();
    assert!(matches!(refused, Err(Failure::Usage(text)) if text.contains("3 or more")));
    Issue { seq: Some(9), ..issue(folder.path(), "team") }.run().unwrap();
    let register = Register::open(folder.path()).unwrap();
    let issued = register.records().iter().filter(|record| matches!(record, Record::Issued { .. })).count();
    assert_eq!((register.newest_seq("acme"), issued, register.newest_seq("other")), (9, 3, 0));
    ShowRegister { keys: folder.path().to_owned(), customer: Some("acme".into()), json: false }.run().unwrap();
}

#[test]
fn an_order_file_and_a_request_fill_in_and_arguments_count() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path()).unwrap();
    let order = folder.path().join("order.yaml");
    std::fs::write(&order, "customer: acme\ncompany: From the order\nplan: business\nseats: 40\n").unwrap();
    let request = crate::model::licence::LicenceRequest {
        install_id: "ins_there".into(),
        company: Some("From the request".into()),
        contact: None,
        product: "onsite".into(),
        made_at: Timestamp::from_millis(0),
        seats_used: 3,
        current: None,
        keys: vec!["elsewhere".into()],
    };
    let request = crate::model::licence::text::REQUEST.line(&request.bytes().unwrap());
    let out = folder.path().join("acme.onsite");
    let key = folder.path().join(PRIVATE_KEY);
    Issue { key, order: Some(order), request: Some(request), seats: Some(7), out: Some(out.clone()), json: true, ..Issue::default() }.run().unwrap();
    let claims = code_in(&out).claims().clone();
    assert_eq!((claims.company.as_str(), claims.plan.as_str(), claims.seats), ("From the order", "business", 7));
    assert_eq!((claims.install_id.as_deref(), claims.grace_days), (Some("ins_there"), 14));
}

#[test]
fn a_revoked_code_is_refused_by_the_list_and_lists_count_up() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path()).unwrap();
    issue(folder.path(), "team").run().unwrap();
    let file = folder.path().join("acme.onsite");
    let id = code_in(&file).claims().jti.clone();
    let revoke = |ids: Vec<LicenceId>, unregistered: bool| {
        let (key, reason, issuer) = (folder.path().join(PRIVATE_KEY), "returned".to_owned(), "vendor".to_owned());
        Revoke { ids, key, passphrase: PassphraseArguments::default(), reason, unregistered, issuer, out: None, json: true }.run()
    };
    let foreign: LicenceId = "lic_01h00000000000000000000000".parse().unwrap();
    assert!(matches!(revoke(vec![foreign.clone()], false), Err(Failure::Usage(text)) if text.contains("--unregistered")));
    revoke(vec![id.clone()], false).unwrap();
    let list = folder.path().join("revocations.onsite").display().to_string();
    let file = file.display().to_string();
    assert!(matches!(verify(folder.path(), &file, None, Some(list.clone())), Err(Failure::CheckFailed)));
    verify(folder.path(), &file, None, None).unwrap();
    verify(folder.path(), &list, None, None).unwrap();
    revoke(vec![foreign], true).unwrap();
    let text = std::fs::read_to_string(&list).unwrap();
    let newest = crate::model::licence::SignedList::from_text(&text).unwrap();
    assert_eq!((newest.list().number, newest.list().revoked.len()), (2, 2), "a list is complete");
}

#[test]
fn a_rotated_key_signs_no_more_and_what_it_signed_stays_good() {
    let folder = tempfile::tempdir().unwrap();
    keygen(folder.path()).unwrap();
    issue(folder.path(), "team").run().unwrap();
    let before = folder.path().join("before.onsite").display().to_string();
    std::fs::copy(folder.path().join("acme.onsite"), &before).unwrap();
    let old = code_in(Path::new(&before)).claims().kid.clone();
    // Long enough after the code that both stand in the same second.
    let retire_at = Some(Seams::system().now().plus(std::time::Duration::from_secs(2)));
    let rotate =
        |retire_at| Rotate { keys: folder.path().to_owned(), retire_at, passphrase: PassphraseArguments::default(), unencrypted: true, json: true };
    rotate(retire_at).run().unwrap();
    issue(folder.path(), "team").run().unwrap();
    let after = code_in(&folder.path().join("acme.onsite"));
    assert_ne!(after.claims().kid, old);
    verify(folder.path(), &before, None, None).unwrap();
    verify(folder.path(), &after.to_line(), None, None).unwrap();
    assert_eq!(ring_beside(&folder.path().join(PRIVATE_KEY)).unwrap().unwrap().keys().len(), 2);
    let kept = folder.path().join(format!("license-private-key.{old}.retired.pem"));
    let key = crate::services::licensing::private_key::read_private_pem(&std::fs::read_to_string(kept).unwrap(), None).unwrap();
    let late = issue::issue(
        issue::Order { not_before: None, ..issue(folder.path(), "team").order(&Register::open(folder.path()).unwrap()).unwrap() },
        &key,
        &Seams { clock: std::sync::Arc::new(crate::base::clock::FakeClock::new("2999-01-01T00:00:00Z".parse().unwrap())), ..Seams::system() },
    );
    let late = late.unwrap().to_line();
    assert!(matches!(verify(folder.path(), &late, Some("2999-01-02T00:00:00Z"), None), Err(Failure::CheckFailed)), "key_retired");
}

#[test]
fn limits_read_as_numbers_or_unlimited() {
    assert_eq!(parse_feature("seats=5").unwrap(), ("seats".into(), LimitGiven::Number(5)));
    assert!(parse_feature("seats").is_err() && parse_feature("seats=many").is_err());
}
