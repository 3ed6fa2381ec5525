//! The API's description is a snapshot: a change of the API is a change that somebody saw.

use std::path::Path;

/// `ONSITE_UPDATE_SNAPSHOTS=1 cargo test --release --test it openapi` writes it anew.
#[test]
fn the_api_is_as_described() {
    let (_, document) = onsite::http::router::api();
    let actual = document.to_pretty_json().unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/openapi.json");
    if std::env::var_os("ONSITE_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "the API differs from {}: look at the difference, then run with ONSITE_UPDATE_SNAPSHOTS=1", path.display());
}
