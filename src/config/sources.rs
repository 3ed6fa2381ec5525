//! Where values come from, in order: flag, environment, `NAME_FILE`, `onsite.toml`, default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::definition::Definition;
use super::{Problem, definitions};
use crate::base::text::nearest;

/// A secret's file larger than this is not a secret.
const SECRET_FILE_BYTES_MAX: u64 = 65_536;

/// Where settings are looked for.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// From the command line, by variable name.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The settings file; one that does not exist is as good as an empty one.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// This process's environment and the settings file of a data folder.
    #[must_use]
    pub fn of_process(file: PathBuf) -> Self {
        // A variable that is not Unicode cannot be one of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Self { flags: BTreeMap::new(), environment, file: Some(file) }
    }
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The file that `NAME_FILE` or systemd's credentials name.
    SecretFile(PathBuf),
    /// `onsite.toml`.
    SettingsFile(PathBuf),
    /// Nobody set it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::SecretFile(path) | Self::SettingsFile(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it was found. `Debug` shows the origin only: the text may be a secret.
#[derive(Clone)]
pub struct Value {
    /// The text; `None` = unset.
    pub text: Option<String>,
    /// Where it was found.
    pub origin: Origin,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(from {})", self.origin)
    }
}

/// Every setting's value by name.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// The text of a setting.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.text.as_deref()
    }

    /// The value of a setting with its origin.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Looks every known setting up.
    ///
    /// # Errors
    /// Every problem at once: unknown keys, unreadable files, values out of range.
    pub fn look_up(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let file = sources.file.as_deref().map_or_else(BTreeMap::new, |path| read_file(path, &mut problems));
        let mut values = BTreeMap::new();
        for definition in definitions() {
            match find(definition, sources, &file) {
                Ok(value) => {
                    if let Some(text) = &value.text
                        && let Err(expected) = definition.kind.check(text)
                    {
                        let shown = if definition.kind.is_secret() { "it".to_owned() } else { format!("{text:?}") };
                        problems.push(Problem::new(
                            definition.name,
                            format!("{shown} (from {}) is not {expected}", value.origin),
                            definition.kind.remedy(),
                        ));
                    }
                    values.insert(definition.name, value);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self(values)) } else { Err(problems) }
    }
}

fn find(definition: &Definition, sources: &Sources, file: &BTreeMap<&'static str, String>) -> Result<Value, Problem> {
    let name = definition.name;
    let found = |text: &String, origin| Ok(Value { text: Some(text.clone()).filter(|text| !text.is_empty()), origin });
    if let Some(text) = sources.flags.get(name) {
        return found(text, Origin::Flag);
    }
    if let Some(text) = sources.environment.get(name) {
        return found(text, Origin::Environment);
    }
    if let Some(path) = secret_file(definition, &sources.environment) {
        let text = read_secret(&path).map_err(|reason| {
            Problem::new(
                format!("{name}_FILE"),
                format!("{}: {reason}", path.display()),
                "name a file that holds nothing but the value, readable by this user",
            )
        })?;
        return found(&text, Origin::SecretFile(path));
    }
    if let Some(text) = file.get(name) {
        return found(text, Origin::SettingsFile(sources.file.clone().unwrap_or_default()));
    }
    Ok(Value { text: definition.default.map(str::to_owned), origin: Origin::Default })
}

/// `NAME_FILE`, or a credential of this name that systemd has placed. Any setting may come from a file; secrets should.
fn secret_file(definition: &Definition, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if let Some(path) = environment.get(&format!("{}_FILE", definition.name)) {
        return Some(path.into());
    }
    let credential = Path::new(environment.get("CREDENTIALS_DIRECTORY")?).join(definition.name);
    (definition.kind.is_secret() && credential.exists()).then_some(credential)
}

fn read_secret(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > SECRET_FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than the {SECRET_FILE_BYTES_MAX} of any secret"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// Reads `onsite.toml`: variables in any case, flat or in tables of any name.
fn read_file(path: &Path, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            let folder = path.parent().unwrap_or(path).display();
            problems.push(match error.kind() {
                std::io::ErrorKind::NotADirectory => {
                    Problem::new("--data-dir", format!("{folder} is a file"), "name a folder; it is made when it is missing")
                }
                _ => Problem::new("onsite.toml", format!("{}: {error}", path.display()), "make the file readable by this user"),
            });
            return BTreeMap::new();
        }
    };
    match text.parse::<toml::Table>() {
        Ok(table) => {
            let mut values = BTreeMap::new();
            flatten(&table, &mut values, problems);
            values
        }
        Err(error) => {
            problems.push(Problem::new(
                "onsite.toml",
                format!("{} is not TOML: {}", path.display(), error.to_string().trim()),
                "correct the line it names",
            ));
            BTreeMap::new()
        }
    }
}

fn flatten(table: &toml::Table, values: &mut BTreeMap<&'static str, String>, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        let known = definitions().find(|definition| definition.name.eq_ignore_ascii_case(key));
        match (known, value) {
            (Some(definition), value) => match scalar(value) {
                Some(text) => {
                    values.insert(definition.name, text);
                }
                None => problems.push(Problem::new(definition.name, "it holds a table or a date", format!("write {}", definition.kind.expected()))),
            },
            (None, toml::Value::Table(inner)) => flatten(inner, values, problems),
            (None, _) => {
                let remedy = nearest(key, definitions().map(|definition| definition.name))
                    .map_or_else(|| "remove it; `onsite config show` lists every setting".to_owned(), |name| format!("did you mean {name}?"));
                problems.push(Problem::new(key.clone(), "onsite.toml names a setting that does not exist", remedy));
            }
        }
    }
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(u8::from(*flag).to_string()),
        toml::Value::Array(items) => Some(items.iter().map(scalar).collect::<Option<Vec<_>>>()?.join(",")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
