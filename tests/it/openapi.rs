//! The API's description is a snapshot: a change of the API is a change that somebody saw.

use std::path::Path;

use crate::app::TestApp;

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

/// A client made from the description names its operations by their ids.
#[test]
fn every_operation_has_a_name_of_its_own() {
    let (_, document) = onsite::http::router::api();
    let document = serde_json::to_value(&document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let names = paths.values().flat_map(|path| path.as_object().unwrap().values()).filter_map(|operation| operation["operationId"].as_str());
    let mut seen = std::collections::BTreeSet::new();
    let twice: Vec<&str> = names.filter(|name| !seen.insert(*name)).collect();
    assert!(twice.is_empty(), "operations of the same name: {twice:?}");
}

#[tokio::test]
async fn the_description_is_served_as_it_is() {
    let app = TestApp::start().await;
    let (_, document) = onsite::http::router::api();
    assert_eq!(app.user.get("/api/openapi.json").await, serde_json::to_value(&document).unwrap());
}
