//! `onsite demo`: the main job, start to finish, on a real instance in a temporary folder.

mod client;
mod run;
mod show;
mod site;
mod verify;

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use url::Url;

use super::outcome::{CommandResult, Failure, say};
use crate::base::telemetry::{self, LogFormat};

/// Run the main job once: start, redeem, activate, collect, report, ask, account.
///
/// Exit 0 only if every step succeeded and every citation's quote was found in its source; 3 if a quote or the ledger did not hold.
#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// The website to collect; by default a small site that ships with the binary and is served on loopback.
    #[arg(long, value_name = "URL", value_parser = web_address)]
    url: Option<Url>,
    /// Pages to collect at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pages: u32,
    /// Leave the appliance running, and print where.
    #[arg(long)]
    keep: bool,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
}

/// An address that can be collected.
fn web_address(text: &str) -> Result<Url, String> {
    match text.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("give the full address of a website, such as https://docs.example.com/".to_owned()),
    }
}

/// A step of the demo that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub(super) struct DemoError {
    step: String,
    reason: String,
}

impl DemoError {
    fn new(step: &str, reason: impl std::fmt::Display) -> Self {
        Self { step: step.to_owned(), reason: reason.to_string() }
    }

    /// From an error as the API and its events have it: what happened, and what to do.
    fn told(step: &str, error: &serde_json::Value) -> Self {
        let word = |name: &str| error[name].as_str().unwrap_or_default();
        Self::new(step, format!("{} {}", word("message"), word("remedy")).trim())
    }
}

/// What the demo did: the line of JSON.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    pages: u64,
    chunks: u64,
    findings: u64,
    metrics: u64,
    answers: Vec<Answer>,
    ledger: Ledger,
    seconds: BTreeMap<&'static str, f64>,
}

/// One question and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    question: String,
    text: String,
    citations: Vec<CheckedCitation>,
}

/// A citation, and whether its quote was found in its source.
#[derive(Debug, Serialize)]
pub(super) struct CheckedCitation {
    n: u64,
    url: String,
    quote: String,
    freshness: String,
    verified: bool,
}

/// The ledger at the end.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ledger {
    rows: u64,
    balance: i64,
    verified: bool,
}

impl Outcome {
    /// Whether everything that was checked holds, and every question has a cited answer.
    fn holds(&self) -> bool {
        self.ledger.verified
            && self.answers.iter().all(|answer| !answer.citations.is_empty() && answer.citations.iter().all(|citation| citation.verified))
    }
}

impl Demo {
    pub(in crate::cli) fn run(self) -> CommandResult {
        telemetry::start("warn", LogFormat::Text);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::failed)?;
        let outcome = runtime.block_on(run::demo(&self)).map_err(Failure::failed)?;
        if self.json {
            say(serde_json::to_string(&outcome).map_err(Failure::failed)?);
        }
        if outcome.holds() { Ok(()) } else { Err(Failure::CheckFailed) }
    }
}
