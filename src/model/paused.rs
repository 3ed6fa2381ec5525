//! Why a widget rests.

use serde::Serialize;
use utoipa::ToSchema;

/// Why a widget is paused though nobody paused it: whoever pays for its schedule has lost their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PausedReason {
    /// They left the company, or became a viewer.
    MakerLeft,
    /// Their account is kept out of the appliance.
    MakerDisabled,
}

/// A word that names no such reason.
#[derive(Debug, thiserror::Error)]
#[error("not a reason for which a widget rests")]
pub struct UnknownPausedReason;

impl PausedReason {
    /// The reason in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MakerLeft => "maker_left",
            Self::MakerDisabled => "maker_disabled",
        }
    }
}

impl std::str::FromStr for PausedReason {
    type Err = UnknownPausedReason;

    fn from_str(text: &str) -> Result<Self, UnknownPausedReason> {
        [Self::MakerLeft, Self::MakerDisabled].into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownPausedReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_as_it_is_written() {
        for reason in [PausedReason::MakerLeft, PausedReason::MakerDisabled] {
            assert_eq!(reason.as_str().parse::<PausedReason>().unwrap(), reason);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert!("".parse::<PausedReason>().is_err());
    }
}
