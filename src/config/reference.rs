//! The manual of the settings: written from their definitions, so that it cannot say anything else.

use std::fmt::Write as _;

use super::SECTIONS;
use super::definition::{Definition, Used};

const INTRODUCTION: &str = "# Settings

Written by `onsite config reference`; do not edit it by hand.

A setting is looked up in this order: flag, environment, a file named by `NAME_FILE` or a systemd credential, `onsite.toml` in the data folder, default.
`onsite config show` prints every value with its origin, `onsite doctor` what should be mended. Settings marked with * are read and checked, but this
version does not act on them yet.
";

/// The manual, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (title, definitions) in SECTIONS {
        // Writing to a string does not fail.
        let _ = write!(text, "\n## {title}\n\n| variable | may hold | default | meaning |\n|---|---|---|---|\n");
        for definition in definitions {
            text.push_str(&row(definition));
        }
    }
    text
}

fn row(definition: &Definition) -> String {
    let mark = if definition.used == Used::Yes { "" } else { " *" };
    let default = definition.default.map_or_else(|| "unset".to_owned(), |default| format!("`{default}`"));
    let cell = |text: &str| text.replace('|', "\\|");
    format!("| `{}`{mark} | {} | {} | {} |\n", definition.name, cell(&definition.kind.expected()), cell(&default), cell(definition.meaning.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_manual_is_what_the_binary_prints() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
        if std::env::var_os("ONSITE_UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == markdown(), "docs/settings.md is out of date: `onsite config reference > docs/settings.md`");
    }
}
