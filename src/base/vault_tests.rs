//! What the vault promises.

use super::*;
use proptest::prelude::*;

const PLACE: Place<'static> = Place { table: "users", column: "name", row: "usr_1" };

fn key(byte: u8) -> Key {
    Key::derive(&[byte; KEY_BYTES])
}

fn vault(current: Option<u8>, previous: &[u8]) -> Vault {
    Vault::new(current.map(key), previous.iter().copied().map(key).collect(), &Seams::system())
}

fn opened(vault: &Vault, place: Place<'_>, envelope: &[u8]) -> Result<Vec<u8>, VaultError> {
    vault.open(place, envelope).map(|secret| secret.expose().clone())
}

#[test]
fn a_value_opens_in_its_place_only() {
    let vault = vault(Some(1), &[]);
    let envelope = vault.seal(PLACE, b"Ada").unwrap();
    assert_eq!(opened(&vault, PLACE, &envelope).unwrap(), b"Ada");
    assert!(!envelope.windows(3).any(|part| part == b"Ada"));
    assert_ne!(vault.seal(PLACE, b"Ada").unwrap(), envelope, "equal values do not look equal");
    for place in [Place { row: "usr_2", ..PLACE }, Place { column: "email", ..PLACE }, Place { table: "sessions", ..PLACE }] {
        assert_eq!(opened(&vault, place, &envelope), Err(VaultError::Altered), "{place:?}");
    }
    // The parts cannot flow into each other.
    let shifted = Place { table: "user", column: "sname", row: "usr_1" };
    assert_eq!(opened(&vault, shifted, &envelope), Err(VaultError::Altered));
}

#[test]
fn every_altered_byte_and_every_shortened_envelope_is_refused() {
    let vault = vault(Some(1), &[]);
    let envelope = vault.seal(PLACE, b"hunter2").unwrap();
    for at in 1..envelope.len() {
        let mut altered = envelope.clone();
        altered[at] ^= 1;
        assert!(opened(&vault, PLACE, &altered).is_err(), "byte {at}");
    }
    for length in 0..envelope.len() {
        assert!(opened(&vault, PLACE, &envelope[..length]).is_err(), "{length} bytes");
    }
    let unknown = [&[2], &envelope[1..]].concat();
    assert_eq!(opened(&vault, PLACE, &unknown), Err(VaultError::Form));
}

#[test]
fn an_earlier_key_opens_and_the_current_one_seals() {
    let old = vault(Some(1), &[]).seal(PLACE, b"x").unwrap();
    let both = vault(Some(2), &[1]);
    assert_eq!(opened(&both, PLACE, &old).unwrap(), b"x");
    assert_eq!(keeping(&old), Ok(Keeping::Under(key(1).id())));
    assert_eq!(keeping(&both.seal(PLACE, b"x").unwrap()), Ok(both.keeping()));
    assert_eq!(opened(&vault(Some(2), &[]), PLACE, &old), Err(VaultError::UnknownKey(key(1).id())));
    assert_eq!(opened(&vault(None, &[]), PLACE, &old), Err(VaultError::UnknownKey(key(1).id())));
}

#[test]
fn without_a_key_the_envelope_says_so_and_is_refused_once_everything_is_sealed() {
    let plain = vault(None, &[]).seal(PLACE, b"x").unwrap();
    assert_eq!(keeping(&plain), Ok(Keeping::Plain));
    let keyed = vault(Some(1), &[]);
    assert_eq!(opened(&keyed, PLACE, &plain).unwrap(), b"x");
    keyed.refuse_plain();
    assert_eq!(opened(&keyed, PLACE, &plain), Err(VaultError::NotEncrypted));
}

#[test]
fn an_index_finds_equal_values_of_one_column_under_any_key() {
    let (old, both) = (vault(Some(1), &[]), vault(Some(2), &[1]));
    let index = old.index("users.email", "ada@example.org");
    assert_eq!(index, old.index("users.email", "ada@example.org"));
    assert_ne!(index, old.index("users.name", "ada@example.org"));
    assert_ne!(index, both.index("users.email", "ada@example.org"));
    assert!(both.indexes("users.email", "ada@example.org").contains(&index));
    assert!(both.indexes("users.email", "ada@example.org").contains(&vault(None, &[]).index("users.email", "ada@example.org")));
    assert!(!index.contains("ada"));
}

#[test]
fn a_key_is_32_bytes_of_base64_in_either_alphabet() {
    let material = [0xfb; KEY_BYTES];
    let standard = Base64::encode_string(&material);
    let fernet = standard.replace('+', "-").replace('/', "_");
    let id = Key::derive(&material).id();
    assert!(standard.contains('+') && standard.ends_with('='));
    for text in [standard.as_str(), &fernet, standard.trim_end_matches('='), &format!(" {fernet}\n")] {
        assert_eq!(text.parse::<Key>().unwrap().id(), id, "{text}");
    }
    assert_eq!(Base64::encode_string(&[1; 16]).parse::<Key>().unwrap_err(), InvalidKey::Length(16));
    assert_eq!("correct horse battery staple".parse::<Key>().unwrap_err(), InvalidKey::NotBase64);
    let made = Key::generate(&Seams::system());
    assert!(made.expose().parse::<Key>().is_ok());
    assert!(!format!("{:?}", made.expose().parse::<Key>().unwrap()).contains(made.expose().as_str()));
}

#[test]
fn what_is_derived_stays_the_same_for_ever() {
    // Figures that a later version must reproduce, for databases hold them; computed with another implementation of HKDF and HMAC.
    let key = key(7);
    assert_eq!(key.id().to_string(), "1172ec3e2ab53193");
    let index = "1172ec3e2ab53193:264516ee727a4b93c40e6ec65e77ef63c834d36eced569a90cebb813a5290d23";
    assert_eq!(vault(Some(7), &[]).index("users.email", "ada@example.org"), index);
}

proptest! {
    #[test]
    fn whatever_goes_in_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..200), row in ".{0,20}") {
        for current in [None, Some(3)] {
            let vault = vault(current, &[]);
            let place = Place { row: &row, ..PLACE };
            prop_assert_eq!(opened(&vault, place, &vault.seal(place, &bytes).unwrap()).unwrap(), bytes.clone());
        }
    }

    #[test]
    fn nonsense_never_opens_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        prop_assume!(bytes.first() != Some(&FORMAT_PLAIN));
        prop_assert!(vault(Some(3), &[]).open(PLACE, &bytes).is_err());
    }
}
