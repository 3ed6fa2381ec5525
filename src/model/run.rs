//! A run of a widget: its states and which may follow which, what became of each page, and how it ended.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::{CompanyId, ReportId, RunId, UserId, WidgetId};
use crate::base::clock::Timestamp;

/// Attempts a run gets when the process dies under it.
pub const ATTEMPTS_MAX: u32 = 3;

/// A text that is none of the values it should be one of.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is no {what}")]
pub struct UnknownValue {
    what: &'static str,
    text: String,
}

/// The code of the notice that pages were collected, or documents are there, that are not in the report: it stands as long as the report does.
pub const PAGES_NOT_READ: &str = "pages_not_read";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident ($what:literal) { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it is written in JSON and in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    other => Err(UnknownValue { what: $what, text: other.to_owned() }),
                }
            }
        }
    };
}

words! {
    /// Where a run stands.
    RunState ("run state") {
        /// Waiting for a place.
        Queued = "queued",
        /// Fetching pages.
        Collecting = "collecting",
        /// Reading them.
        Extracting = "extracting",
        /// Writing the report.
        Reporting = "reporting",
        /// The report is there.
        Succeeded = "succeeded",
        /// There is no report, and an error says why.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where the background ingest of a run's report stands.
    IngestState ("ingest state") {
        /// There is nothing to ingest (yet).
        None = "none",
        /// Waiting.
        Pending = "pending",
        /// Chunking and embedding.
        Running = "running",
        /// Everything can be recalled.
        Done = "done",
        /// Given up; the report stands.
        Failed = "failed",
        /// Recall of automations is turned off.
        Off = "off",
    }
}

words! {
    /// Why a run was started.
    Trigger ("trigger") {
        /// Somebody asked.
        Manual = "manual",
        /// It was due.
        Schedule = "schedule",
    }
}

words! {
    /// What became of a page.
    PageFate ("page fate") {
        /// Seen for the first time.
        New = "new",
        /// Its text differs from the last run's.
        Changed = "changed",
        /// Its text is the last run's.
        Unchanged = "unchanged",
        /// Left out on purpose: the reason says why.
        Skipped = "skipped",
        /// Could not be had: the reason says why.
        Failed = "failed",
    }
}

impl PageFate {
    /// Whether the page's text was used.
    #[must_use]
    pub const fn is_collected(self) -> bool {
        matches!(self, Self::New | Self::Changed | Self::Unchanged)
    }
}

/// A change of state that is allowed. Only [`RunState::to`] makes one, so that no other can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    from: RunState,
    to: RunState,
}

impl Transition {
    /// The state it leaves.
    #[must_use]
    pub const fn from(self) -> RunState {
        self.from
    }

    /// The state it enters.
    #[must_use]
    pub const fn to(self) -> RunState {
        self.to
    }
}

impl RunState {
    /// Whether the run takes up its widget: waiting or working.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Collecting | Self::Extracting | Self::Reporting)
    }

    /// Whether some worker is busy with it.
    #[must_use]
    pub const fn is_working(self) -> bool {
        matches!(self, Self::Collecting | Self::Extracting | Self::Reporting)
    }

    /// The transition to `next`, if it is allowed: forward one step at a time, back to the queue only after a crash, and to failed or
    /// cancelled from anywhere that is not an end.
    #[must_use]
    pub const fn to(self, next: Self) -> Option<Transition> {
        let allowed = match next {
            Self::Queued => self.is_working(),
            Self::Collecting => matches!(self, Self::Queued),
            Self::Extracting => matches!(self, Self::Collecting),
            Self::Reporting => matches!(self, Self::Extracting),
            Self::Succeeded => matches!(self, Self::Reporting),
            Self::Failed | Self::Cancelled => self.is_active(),
        };
        if allowed { Some(Transition { from: self, to: next }) } else { None }
    }
}

/// Why a run failed, for the person who reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunError {
    /// Stable, for programs.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl RunError {
    /// An error of three parts.
    pub fn new(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), remedy: remedy.into() }
    }
}

/// A run as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id, which is also its stream of events.
    pub id: RunId,
    /// Whose it is.
    pub company_id: CompanyId,
    /// Which widget's.
    pub widget_id: WidgetId,
    /// Where it stands.
    pub state: RunState,
    /// Where its ingest stands.
    pub ingest: IngestState,
    /// Why it was started.
    pub trigger: Trigger,
    /// Times it was taken up: 1 unless the process died under it.
    pub attempt: u32,
    /// Whether somebody asked it to stop.
    pub cancel_asked: bool,
    /// Who pays.
    pub requested_by: UserId,
    /// The page budget.
    pub pages_planned: u32,
    /// Pages whose text was used.
    pub pages_collected: u32,
    /// Documents that it did not read because a run does not read so many.
    pub documents_left_out: u32,
    /// Chunks ingested.
    pub chunks: u32,
    /// Findings of its report.
    pub findings: u32,
    /// Metrics of its report.
    pub metrics: u32,
    /// Its report.
    pub report_id: Option<ReportId>,
    /// Why it failed.
    pub error: Option<RunError>,
    /// Why its ingest waits, or what was left out.
    pub notice: Option<RunError>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it was first taken up.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What became of one page of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPage {
    /// Its address, or `document:` and the document's id.
    pub url: String,
    /// Where its text is from when a redirect led elsewhere: what evidence names.
    pub final_url: Option<String>,
    /// Its title, if it has text.
    pub title: Option<String>,
    /// What became of it.
    pub fate: PageFate,
    /// Why it was left out or could not be had.
    pub reason: Option<String>,
    /// HTTP status.
    pub status: Option<u16>,
    /// Bytes received.
    pub bytes: u64,
    /// SHA-256 of its canonical text.
    pub content_hash: Option<String>,
    /// For the next conditional request.
    pub etag: Option<String>,
    /// For the next conditional request.
    pub last_modified: Option<String>,
    /// When.
    pub fetched_at: Timestamp,
}

/// What is known of a page from an earlier visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPage {
    /// Where its text was from when a redirect led elsewhere.
    pub final_url: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// SHA-256 of its canonical text.
    pub content_hash: String,
    /// For a conditional request.
    pub etag: Option<String>,
    /// For a conditional request.
    pub last_modified: Option<String>,
    /// Its fate in this same run, when an earlier attempt of it got that far.
    pub this_run: Option<PageFate>,
}

impl KnownPage {
    /// The fate of a page that could be had, by its text alone.
    #[must_use]
    pub fn fate(known: Option<&Self>, content_hash: &str) -> PageFate {
        match known {
            None => PageFate::New,
            Some(known) if known.content_hash == content_hash => known.this_run.unwrap_or(PageFate::Unchanged),
            Some(_) => PageFate::Changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_through_is_one_step_at_a_time_and_ends_are_ends() {
        use RunState::{Cancelled, Collecting, Extracting, Failed, Queued, Reporting, Succeeded};
        let allowed = [
            (Queued, Collecting),
            (Collecting, Extracting),
            (Extracting, Reporting),
            (Reporting, Succeeded),
            (Collecting, Queued),
            (Extracting, Queued),
            (Reporting, Queued),
            (Queued, Failed),
            (Collecting, Failed),
            (Extracting, Failed),
            (Reporting, Failed),
            (Queued, Cancelled),
            (Collecting, Cancelled),
            (Extracting, Cancelled),
            (Reporting, Cancelled),
        ];
        for &from in RunState::ALL {
            for &to in RunState::ALL {
                assert_eq!(from.to(to).is_some(), allowed.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn words_round_trip_and_agree_with_json() {
        for &state in RunState::ALL {
            assert_eq!(state.as_str().parse::<RunState>().unwrap(), state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for &state in IngestState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("Queued".parse::<RunState>().is_err());
    }
}
