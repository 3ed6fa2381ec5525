//! `onsite config`: settings with value and origin.

use clap::Subcommand;
use serde_json::json;

use super::DataDirArgument;
use super::outcome::{CommandResult, say, table};
use crate::config::definition::Used;
use crate::config::{definitions, reference};

/// Show settings with their origin.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Every setting: value (secrets masked), origin, meaning.
    Show {
        #[command(flatten)]
        data: DataDirArgument,
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// The manual of every setting, in Markdown: what stands in docs/settings.md.
    Reference,
}

impl ConfigCommand {
    pub(in crate::cli) fn run(self) -> CommandResult {
        let Self::Show { data, json } = self else {
            say(reference::markdown().trim_end());
            return Ok(());
        };
        let config = data.config()?;
        let origin = |name| config.values.get(name).map_or_else(String::new, |value| value.origin.to_string());
        if json {
            let settings: Vec<_> = definitions()
                .map(|definition| {
                    json!({
                        "name": definition.name, "value": config.shown(definition), "origin": origin(definition.name), "default": definition.default,
                        "expected": definition.kind.expected(), "meaning": definition.meaning.trim(), "used": definition.used == Used::Yes,
                    })
                })
                .collect();
            say(json!({ "settings": settings }));
            return Ok(());
        }
        let mut rows = vec![["NAME", "VALUE", "ORIGIN", "MEANING"].map(str::to_owned).to_vec()];
        rows.extend(definitions().map(|definition| {
            vec![definition.name.to_owned(), config.shown(definition), origin(definition.name), definition.meaning.trim().to_owned()]
        }));
        say(table(&rows));
        Ok(())
    }
}
