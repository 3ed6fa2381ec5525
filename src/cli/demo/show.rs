//! How the demo looks in a terminal. With `--json` everything but the last line goes to standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{Answer, Ledger};

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

    /// A bar on standard error; hidden when that is not a terminal.
    pub(super) fn bar(what: &'static str, length: u64) -> ProgressBar {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("    {msg:<12} {bar:32} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar
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
