//! How old collected material is, for its kind.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::clock::Timestamp;

/// Hours after which an uploaded document counts as stale: nobody uploads a handbook every other day.
pub const DOCUMENT_STALE_AFTER_HOURS: u32 = 365 * 24;

/// Age as a share of the time after which something is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Freshness {
    /// Up to a quarter of it.
    Fresh,
    /// Up to half.
    Recent,
    /// Up to all of it.
    Aging,
    /// Beyond.
    Stale,
}

impl Freshness {
    /// The freshness at `now` of what was collected at `collected_at`. What a wrong clock dated in the future is fresh.
    #[must_use]
    pub fn at(now: Timestamp, collected_at: Timestamp, stale_after_hours: u32) -> Self {
        let age = now.since(collected_at);
        let stale_after = Duration::from_secs(u64::from(stale_after_hours) * 3_600);
        if age * 4 <= stale_after {
            Self::Fresh
        } else if age * 2 <= stale_after {
            Self::Recent
        } else if age <= stale_after {
            Self::Aging
        } else {
            Self::Stale
        }
    }

    /// The word, as shown between brackets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "FRESH",
            Self::Recent => "RECENT",
            Self::Aging => "AGING",
            Self::Stale => "STALE",
        }
    }
}

impl std::fmt::Display for Freshness {
    /// With its brackets: `[FRESH]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}]", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_includes_its_end() {
        let collected = Timestamp::from_millis(0);
        let after_minutes = |minutes: u64| Freshness::at(collected.plus(Duration::from_secs(minutes * 60)), collected, 48);
        let steps = [(0, Freshness::Fresh), (12, Freshness::Fresh), (24, Freshness::Recent), (48, Freshness::Aging)];
        for (hours, expected) in steps {
            assert_eq!(after_minutes(hours * 60), expected, "{hours} hours");
        }
        assert_eq!(after_minutes(12 * 60 + 1), Freshness::Recent);
        assert_eq!(after_minutes(24 * 60 + 1), Freshness::Aging);
        assert_eq!(after_minutes(48 * 60 + 1), Freshness::Stale);
        assert_eq!(Freshness::at(collected, Timestamp::from_millis(99), 0), Freshness::Fresh);
        assert_eq!(Freshness::Fresh.to_string(), "[FRESH]");
    }
}
