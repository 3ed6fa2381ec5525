//! How the demo looks in a terminal. With `--json` everything but the last line goes to standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{Answer, Ledger};
use crate::base::clock::Clock;

/// Prints to standard output, or to standard error when that is kept for JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    json: bool,
}

impl Show {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) fn line(self, text: impl std::fmt::Display) {
        if self.json {
            eprintln!("{text}");
        } else {
            super::say(text);
        }
    }

    pub(super) fn step(self, what: &str, took: Duration) {
        self.line(format_args!("  ✓ {what:<58} {:>7.2} s", took.as_secs_f64()));
    }

    pub(super) fn report(self, report: &Value) {
        self.line("");
        self.line(format_args!("Report: {}", text(report, "title")));
        if !text(report, "summary").is_empty() {
            self.line(format_args!("  {}", text(report, "summary")));
        }
        self.line("  Metrics");
        for metric in list(report, "metrics").iter().take(8) {
            self.line(format_args!("    {:<52} {} {}", text(metric, "name"), number(&metric["value"]), text(metric, "unit")));
        }
        self.line("  Findings");
        for finding in list(report, "findings").iter().take(6) {
            self.line(format_args!("    • {}", text(finding, "text")));
        }
        let (findings, metrics) = (list(report, "findings").len(), list(report, "metrics").len());
        self.line(format_args!("  {findings} findings and {metrics} metrics, each with its evidence"));
    }

    pub(super) fn answer(self, answer: &Answer) {
        self.line("");
        self.line(format_args!("Q: {}", answer.question));
        for line in answer.text.lines() {
            self.line(format_args!("A: {line}"));
        }
        for citation in &answer.citations {
            let mark = if citation.verified { "✓ found in its source" } else { "✗ NOT found in its source" };
            self.line(format_args!("   [{}] [{}] {} — {mark}", citation.n, citation.freshness, citation.url));
        }
    }

    pub(super) fn ledger(self, transactions: &[Value], ledger: &Ledger) {
        self.line("");
        self.line("Ledger");
        for row in transactions.iter().rev() {
            self.line(format_args!("    {:<18} {:>10} {:>12}", text(row, "tx_type"), row["amount"], row["balance_after"]));
        }
        let verdict = if ledger.verified { "every balance and the hash chain hold" } else { "it does NOT verify" };
        self.line(format_args!("  {} rows, balance {}: {verdict}", ledger.rows, ledger.balance));
    }
}

/// How far something is, on standard error: a bar on a terminal, else a line now and then.
pub(super) struct Progress {
    what: &'static str,
    unit: &'static str,
    bar: Option<ProgressBar>,
    clock: Arc<dyn Clock>,
    told_at: Option<Duration>,
}

/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    pub(super) fn new(what: &'static str, unit: &'static str, clock: Arc<dyn Clock>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("    {msg:<12} {bar:32} {pos}/{len}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        Self { what, unit, bar, clock, told_at: None }
    }

    pub(super) fn at(&mut self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        } else if self.is_due() {
            eprintln!("{}", self.line(done, total));
        }
    }

    fn is_due(&mut self) -> bool {
        let now = self.clock.elapsed();
        let due = self.told_at.is_none_or(|told| now.saturating_sub(told) >= LINE_EVERY);
        if due {
            self.told_at = Some(now);
        }
        due
    }

    fn line(&self, done: u64, total: u64) -> String {
        format!("    {}: {done} of {total} {}", self.what, self.unit)
    }

    pub(super) fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A number without the decimal point that JSON gives to whole ones.
fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string())
}

/// A text member of a JSON object; empty when it is not there.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// An array member of a JSON object; empty when it is not there.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{FakeClock, Timestamp};

    #[test]
    fn without_a_terminal_a_line_comes_at_once_and_then_every_ten_seconds() {
        let clock = Arc::new(FakeClock::new(Timestamp::from_millis(0)));
        let mut progress = Progress { bar: None, ..Progress::new("collecting", "pages at most", clock.clone()) };
        assert!(progress.is_due() && !progress.is_due());
        clock.advance(Duration::from_secs(9));
        assert!(!progress.is_due());
        clock.advance(Duration::from_secs(1));
        assert!(progress.is_due() && !progress.is_due());
        assert_eq!(progress.line(3, 50), "    collecting: 3 of 50 pages at most");
    }
}
