//! Audit rows: who did what to what, chained by hash so that an edit, a deletion or a reordering shows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::Value;

use super::ids::{CompanyId, UserId};
use crate::base::clock::Timestamp;
use crate::base::secret::sha256;

/// What the first row names as its predecessor.
pub const GENESIS: [u8; 32] = [0; 32];

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person, or someone not yet known to be one (`None`).
    User(Option<UserId>),
    /// The appliance itself.
    System,
    /// Someone with a shell on the server.
    Cli,
}

impl Actor {
    /// The actor in columns and JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(Some(id)) => id.as_str(),
            Self::User(None) => "unknown",
            Self::System => "system",
            Self::Cli => "cli",
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Not allowed, or not believed.
    Refused,
    /// Tried and not done.
    Failed,
}

/// A word that names no outcome.
#[derive(Debug, thiserror::Error)]
#[error("not an outcome: expected ok, refused or failed")]
pub struct UnknownOutcome;

impl Outcome {
    /// The outcome in columns and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        [Self::Ok, Self::Refused, Self::Failed].into_iter().find(|outcome| outcome.as_str() == text).ok_or(UnknownOutcome)
    }
}

/// Rows to look at.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only rows before this place; `None` = from the newest.
    pub before: Option<i64>,
    /// Only acts whose name begins so, such as `member.`.
    pub action: Option<String>,
    /// Only what this actor did: an id or a word, or how a name or an e-mail address begins.
    pub actor: Option<String>,
    /// Only what was done to this object.
    pub object: Option<String>,
    /// Only of this company.
    pub company: Option<CompanyId>,
    /// Only with this outcome.
    pub outcome: Option<Outcome>,
    /// At most so many.
    pub limit: u32,
}

/// An act to record. Secrets never go in; of a changed secret only that it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What: `noun.verb`.
    pub action: &'static str,
    /// To what: an id, or a word where there is none.
    pub object: String,
    /// In which company, when it belongs to one.
    pub company_id: Option<CompanyId>,
    /// From which address, when it came over the network.
    pub address: Option<IpAddr>,
    /// How it went.
    pub outcome: Outcome,
    /// Before and after, and whatever else explains it: a JSON object.
    pub detail: Value,
}

impl Entry {
    /// An act that went well, outside any company, with nothing more to say.
    #[must_use]
    pub fn new(at: Timestamp, actor: Actor, action: &'static str, object: impl Into<String>) -> Self {
        let detail = Value::Object(serde_json::Map::new());
        Self { at, actor, action, object: object.into(), company_id: None, address: None, outcome: Outcome::Ok, detail }
    }

    /// Names the company it belongs to.
    #[must_use]
    pub fn in_company(mut self, company: CompanyId) -> Self {
        self.company_id = Some(company);
        self
    }

    /// Names the address it came from.
    #[must_use]
    pub const fn from(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Says that it did not go well.
    #[must_use]
    pub const fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Explains it.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// An act as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place, from 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// Who: see [`Actor::as_str`].
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// In which company.
    pub company_id: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// How it went.
    pub outcome: Outcome,
    /// Canonical JSON.
    pub detail_json: String,
    /// The row before it; [`GENESIS`] for the first.
    pub previous_hash: [u8; 32],
    /// See [`AuditRow::compute_hash`].
    pub hash: [u8; 32],
}

impl AuditRow {
    /// SHA-256 of the row's canonical JSON: every field but the hash itself, names in order, no white space, times in milliseconds,
    /// the previous hash in hexadecimal, the detail as the text that is stored.
    #[must_use]
    pub fn compute_hash(&self) -> [u8; 32] {
        let text = |value: &str| Value::String(value.to_owned());
        let optional = |value: &Option<String>| value.as_deref().map_or(Value::Null, text);
        let fields = BTreeMap::from([
            ("action", text(&self.action)),
            ("actor", text(&self.actor)),
            ("address", optional(&self.address)),
            ("at", Value::from(self.at.millis())),
            ("company_id", optional(&self.company_id)),
            ("detail", text(&self.detail_json)),
            ("object", text(&self.object)),
            ("outcome", text(self.outcome.as_str())),
            ("previous_hash", Value::String(hex::encode(self.previous_hash))),
            ("sequence", Value::from(self.sequence)),
        ]);
        sha256(canonical_json(&Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())).as_bytes())
    }
}

/// JSON in one form per value: names sorted, no white space.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            // Sorted here, and not left to the map: its order is a feature flag that any dependency may turn.
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            out.push('{');
            for (place, (name, field)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(field, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

/// The first row that does not follow from the one before it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("audit row {sequence}: {what}")]
pub struct BrokenChain {
    /// Where.
    pub sequence: i64,
    /// What does not hold.
    pub what: &'static str,
}

/// Checks that rows follow `previous` (place and hash of the row before them; 0 and [`GENESIS`] at the start) without a gap or a change.
///
/// # Errors
/// The first row that does not hold.
pub fn verify_chain(previous: (i64, [u8; 32]), rows: &[AuditRow]) -> Result<(i64, [u8; 32]), BrokenChain> {
    rows.iter().try_fold(previous, |(place, hash), row| {
        let broken = |what| BrokenChain { sequence: row.sequence, what };
        if row.sequence != place + 1 {
            return Err(broken("its place does not follow: a row is missing or out of order"));
        }
        if row.previous_hash != hash {
            return Err(broken("it does not name the row before it: that row was changed or replaced"));
        }
        if row.hash != row.compute_hash() {
            return Err(broken("its contents do not match its hash: it was changed"));
        }
        Ok((row.sequence, row.hash))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chain(length: i64) -> Vec<AuditRow> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for sequence in 1..=length {
            let mut row = AuditRow {
                sequence,
                at: Timestamp::from_millis(sequence),
                actor: "system".into(),
                action: "test.act".into(),
                object: format!("thing {sequence}"),
                company_id: None,
                address: None,
                outcome: Outcome::Ok,
                detail_json: canonical_json(&json!({"b": 1, "a": [true, null]})),
                previous_hash: rows.last().map_or(GENESIS, |last| last.hash),
                hash: GENESIS,
            };
            row.hash = row.compute_hash();
            rows.push(row);
        }
        rows
    }

    #[test]
    fn names_are_sorted_at_every_depth() {
        let value = json!({"z": {"b": 1, "a": "q\"\n"}, "a": [{"d": null, "c": 2}]});
        assert_eq!(canonical_json(&value), r#"{"a":[{"c":2,"d":null}],"z":{"a":"q\"\n","b":1}}"#);
    }

    #[test]
    fn an_untouched_chain_holds() {
        let rows = chain(5);
        assert_eq!(verify_chain((0, GENESIS), &rows), Ok((5, rows[4].hash)));
    }

    #[test]
    fn edit_deletion_and_reordering_are_located() {
        let mut edited = chain(5);
        edited[2].object = "another".into();
        assert_eq!(verify_chain((0, GENESIS), &edited).unwrap_err().sequence, 3);
        edited[2].hash = edited[2].compute_hash();
        assert_eq!(verify_chain((0, GENESIS), &edited).unwrap_err().sequence, 4);

        let mut shortened = chain(5);
        shortened.remove(1);
        assert_eq!(verify_chain((0, GENESIS), &shortened).unwrap_err().sequence, 3);

        let mut swapped = chain(5);
        swapped.swap(2, 3);
        assert_eq!(verify_chain((0, GENESIS), &swapped).unwrap_err().sequence, 4);
    }
}
