//! The steps on the way to a code's end that are said once each.

use std::fmt;

use crate::base::clock::Timestamp;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// So many days, or fewer, are left: a rung of [`super::NOTICE_DAYS`].
    Days(u32),
    /// It has ended, and its plan stays for the days of grace.
    Grace,
    /// The free tier applies.
    FreeTier,
    /// The clock is behind what is known to have passed.
    ClockSuspect,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "days_{days}"),
            Self::Grace => f.write_str("grace"),
            Self::FreeTier => f.write_str("free_tier"),
            Self::ClockSuspect => f.write_str("clock_suspect"),
        }
    }
}

/// A step on the way to a code's end that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedNotice {
    /// Which step.
    pub step: String,
    /// When.
    pub at: Timestamp,
}
