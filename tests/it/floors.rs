//! Dependencies point down the floors, services keep their order, SQL stays in the store: the law of `docs/ARCHITECTURE.md`.

use std::fs;
use std::path::{Path, PathBuf};

const SERVICES: [&str; 19] = [
    "readiness",
    "streams",
    "secrets",
    "egress",
    "mail",
    "audit",
    "sso",
    "auth",
    "api_keys",
    "companies",
    "licensing",
    "plans",
    "ledger",
    "collect",
    "embed",
    "gateway",
    "recall",
    "miners",
    "backup",
];

fn floor(room: &str) -> Option<u8> {
    Some(match room {
        "base" | "config" => 0,
        "model" => 1,
        "store" => 2,
        "services" => 3,
        "features" => 4,
        "http" | "jobs" => 5,
        "app" | "cli" => 6,
        _ => return None,
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments and without its tests.
fn code(text: &str) -> String {
    // Only a module with a body ends the code: `mod tests;` may stand above the imports.
    let test_module = text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| text[*at..].lines().nth(1).is_some_and(|line| !line.ends_with(';')));
    let code = test_module.map_or(text, |(at, _)| &text[..at]);
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every `crate::a::b` a text names, with braces after `crate::` and `crate::a::` opened.
fn named(code: &str) -> Vec<(String, String)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        let room = word(rest);
        let after = &rest[room.len()..];
        match after.strip_prefix("::") {
            Some(list) if list.starts_with('{') => {
                let inner = &list[1..list.find("};").unwrap_or(list.len())];
                let mut depth = 0;
                let mut start = true;
                for (offset, letter) in inner.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        letter if start && (letter.is_alphanumeric() || letter == '_') => {
                            found.push((room.clone(), word(&inner[offset..])));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            Some(rest) => found.push((room, word(rest))),
            None => found.push((room, String::new())),
        }
    }
    found
}

fn violations(file: &str, text: &str) -> Vec<String> {
    let parts: Vec<&str> = file.split('/').collect();
    let room = parts[0].trim_end_matches(".rs");
    let Some(own) = floor(room) else { return Vec::new() };
    let mut wrong = Vec::new();
    for (to, part) in named(&code(text)) {
        let Some(target) = floor(&to) else { continue };
        if target > own {
            wrong.push(format!("{file}: {room} reaches up to crate::{to}"));
        }
        if (room, to.as_str()) == ("http", "jobs") || (room, to.as_str()) == ("jobs", "http") {
            wrong.push(format!("{file}: the doors http and jobs meet"));
        }
        if room == "http" && to == "store" && part != "StoreError" {
            wrong.push(format!("{file}: http uses store::{part}: it asks features and services, which answer with what the model has"));
        }
        if (room, to.as_str()) == ("base", "config") {
            wrong.push(format!("{file}: base uses config"));
        }
        let own_part = parts.get(1).map_or("", |part| part.trim_end_matches(".rs"));
        if room == "features" && to == "features" && own_part != "mod" && part != own_part {
            wrong.push(format!("{file}: features::{own_part} uses features::{part}"));
        }
        if room == "services" && to == "services" && own_part != "mod" {
            let place = |name: &str| SERVICES.iter().position(|service| *service == name);
            match (place(own_part), place(&part)) {
                (Some(mine), Some(theirs)) if theirs > mine => wrong.push(format!("{file}: services::{own_part} uses the later services::{part}")),
                (None, _) | (_, None) => wrong.push(format!("{file}: services::{own_part} or services::{part} has no place in the order")),
                _ => {}
            }
        }
    }
    wrong
}

#[test]
fn dependencies_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources were found");
    let wrong: Vec<String> =
        files.iter().flat_map(|path| violations(path.strip_prefix(&root).unwrap().to_str().unwrap(), &fs::read_to_string(path).unwrap())).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_stays_in_the_store() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let statement =
        |line: &str| ["\"SELECT ", "\"INSERT INTO ", "\"UPDATE ", "\"DELETE FROM ", "\"CREATE TRIGGER "].iter().any(|start| line.contains(start));
    let wrong: Vec<String> = files
        .iter()
        .filter(|path| !path.strip_prefix(&root).unwrap().starts_with("store"))
        .filter(|path| code(&fs::read_to_string(path).unwrap()).lines().any(statement))
        .map(|path| path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "SQL outside the store: {wrong:?}");
}

/// A row that names a test that is gone shows nothing.
#[test]
fn every_test_named_in_the_security_document_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let code: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let document = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let is_name = |word: &str| word.matches('_').count() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let named: Vec<&str> = document.split('`').skip(1).step_by(2).filter(|word| is_name(word)).collect();
    let gone: Vec<&&str> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(named.len() > 40 && gone.is_empty(), "no such test: {gone:?}");
}

/// The check itself can fail.
#[test]
fn an_upward_line_is_seen() {
    assert_eq!(violations("store/users.rs", "use crate::services::auth::Auth;").len(), 1);
    assert_eq!(violations("services/egress/mod.rs", "use crate::services::{collect, audit::Audit};").len(), 2);
    assert_eq!(violations("features/chat/mod.rs", "use crate::features::setup::Setup;").len(), 1);
    assert_eq!(violations("features/chat/mod.rs", "#[cfg(test)]\nmod tests;\n\nuse crate::app::Instance;").len(), 1);
    assert_eq!(violations("http/routes/me.rs", "use crate::jobs::Driver;").len(), 1);
    assert_eq!(violations("http/state.rs", "use crate::store::{Store, StoreError};").len(), 1);
    assert_eq!(violations("http/routes/me.rs", "use crate::store::users::NewUser;").len(), 1);
    assert!(violations("services/recall/mod.rs", "use crate::services::embed::Embedder;\n// use crate::http::x;\n").is_empty());
    assert!(violations("features/chat/send.rs", "use crate::features::chat::Chat;\n#[cfg(test)]\nmod tests { use crate::app::x; }").is_empty());
}
