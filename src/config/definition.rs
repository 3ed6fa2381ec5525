//! What is known about one setting, and how its text is checked.

use crate::base::secret::Secret;
use crate::base::vault::Key;

/// One setting: everything an operator may ask about it.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The variable's name: the environment's, the file's, and the one in every message.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its text when nobody sets it; `None` = unset.
    pub default: Option<&'static str>,
    /// What it is for.
    pub meaning: &'static str,
    /// Whether this version acts on it.
    pub used: Used,
}

/// Whether this version acts on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// It does.
    Yes,
    /// The part it steers is not there yet: it is read and checked, and `onsite doctor` says so.
    NotYet,
}

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number from the first to the second.
    Integer(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// `1`, `0`, `true`, `false`, `yes`, `no`, `on`, `off`.
    Flag,
    /// Any text.
    Text,
    /// An `http` or `https` address.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Words separated by commas.
    List,
    /// A secret: also from `NAME_FILE` and systemd credentials, never shown. The prefix is what such keys begin with.
    Secret(Option<&'static str>),
    /// Keys of what is encrypted at rest, separated by commas, at most so many: secrets of 32 bytes in base64.
    Keys(usize),
}

impl Kind {
    /// Whether the value must not be shown.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::Keys(_))
    }

    /// What may stand here, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Flag => "1 or 0".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Url => "an http:// or https:// address".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List => "words separated by commas".to_owned(),
            Self::Secret(Some(prefix)) => format!("a secret that begins with {prefix}"),
            Self::Secret(None) => "a secret".to_owned(),
            Self::Keys(1) => "32 bytes in base64".to_owned(),
            Self::Keys(max) => format!("at most {max} keys of 32 bytes in base64, separated by commas"),
        }
    }

    /// What to do about a text that does not hold.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Keys(_) => "put back the key that this database was written with; for a new one run `onsite secrets new-key`",
            _ => "correct it, or remove it to use the default",
        }
    }

    /// Checks a text against this kind.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn check(&self, text: &str) -> Result<(), String> {
        let holds = match self {
            Self::Integer(min, max) => text.parse::<u64>().is_ok_and(|n| (*min..=*max).contains(&n)),
            Self::Number(min, max) => text.parse::<f64>().is_ok_and(|n| (*min..=*max).contains(&n)),
            Self::Flag => flag(text).is_some(),
            Self::Url => url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()),
            Self::Choice(words) => words.contains(&text),
            Self::Keys(max) => return keys(text, *max).map(|_| ()).map_err(|why| format!("{}{why}", self.expected())),
            Self::Text | Self::List | Self::Secret(_) => true,
        };
        if holds { Ok(()) } else { Err(self.expected()) }
    }
}

fn keys(text: &str, max: usize) -> Result<Vec<Key>, String> {
    let keys: Result<Vec<Key>, _> = text.split(',').map(str::parse).collect();
    match keys {
        Ok(keys) if keys.len() <= max => Ok(keys),
        Ok(keys) => Err(format!(" ({} keys)", keys.len())),
        Err(error) => Err(format!(" ({error})")),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// How a checked text becomes the type of its field.
pub trait FromSetting: Sized {
    /// `None` only when the field's type and the setting's kind do not belong together, which a test rules out.
    fn from_setting(text: Option<&str>) -> Option<Self>;
}

impl FromSetting for u64 {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        text?.parse().ok()
    }
}

impl FromSetting for f64 {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        text?.parse().ok()
    }
}

impl FromSetting for bool {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        flag(text?)
    }
}

impl FromSetting for String {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        text.map(str::to_owned)
    }
}

impl FromSetting for Option<String> {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        Some(text.map(str::to_owned))
    }
}

impl FromSetting for Option<Secret<String>> {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        Some(text.map(|text| Secret::new(text.to_owned())))
    }
}

impl FromSetting for Option<Key> {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        text.map(str::parse).transpose().ok()
    }
}

impl FromSetting for Vec<Key> {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        text.map_or_else(|| Some(Self::new()), |text| keys(text, usize::MAX).ok())
    }
}

impl FromSetting for Vec<String> {
    fn from_setting(text: Option<&str>) -> Option<Self> {
        Some(text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }
}

/// Declares a section: its fields with the variables they come from. The doc comment of a field is its entry in the manual.
macro_rules! section {
    ($(#[doc = $about:literal])* $section:ident { $( $(#[doc = $meaning:literal])+ $field:ident : $type:ty = $name:literal, $kind:expr, $default:expr, $used:ident; )* }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $section {
            $( $(#[doc = $meaning])+ pub $field: $type, )*
        }

        impl $section {
            /// The settings of this section.
            pub const DEFINITIONS: &'static [$crate::config::definition::Definition] = &[
                $( $crate::config::definition::Definition {
                    name: $name,
                    kind: $kind,
                    default: $default,
                    meaning: concat!($($meaning),+),
                    used: $crate::config::definition::Used::$used,
                }, )*
            ];

            /// Reads the section from checked values.
            pub(in crate::config) fn read(values: &$crate::config::sources::Values) -> Option<Self> {
                Some(Self { $( $field: $crate::config::definition::FromSetting::from_setting(values.text($name))?, )* })
            }
        }
    };
}
pub(in crate::config) use section;
