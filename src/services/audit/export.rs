//! The export's form and how it is checked: one JSON value a line, rows in order from the first, a signed checkpoint at the end.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::model::audit::{AuditRow, BrokenChain, GENESIS, canonical_json, verify_chain};

/// What is signed begins with this, so that the signature means nothing else.
const CONTEXT: &str = "onsite-audit-checkpoint-1\n";

/// The head of the log at a moment, signed by the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Which installation.
    pub install_id: String,
    /// The place of the last row.
    pub sequence: i64,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// When, milliseconds since the epoch.
    pub at: i64,
    /// The installation's public key, hexadecimal.
    pub key: String,
    /// Ed25519 over the context and the canonical JSON of all other fields, hexadecimal.
    pub signature: String,
}

/// The last line of an export.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastLine {
    /// The head of the log when the export was made.
    pub checkpoint: Checkpoint,
}

/// A row as a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowLine {
    sequence: i64,
    at: i64,
    actor: String,
    action: String,
    object: String,
    company_id: Option<String>,
    address: Option<String>,
    outcome: String,
    /// Canonical JSON, as text: it is hashed as it stands.
    detail: String,
    previous_hash: String,
    hash: String,
}

/// What an export that holds shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many rows.
    pub rows: u64,
    /// The signed head.
    pub checkpoint: Checkpoint,
}

/// What does not hold, and where.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: String,
}

impl Checkpoint {
    /// Signs the head of a log.
    #[must_use]
    pub fn sign(key: &SigningKey, install_id: String, sequence: i64, hash: [u8; 32], at: Timestamp) -> Self {
        let public = hex::encode(key.verifying_key().to_bytes());
        let mut checkpoint = Self { install_id, sequence, hash: hex::encode(hash), at: at.millis(), key: public, signature: String::new() };
        checkpoint.signature = hex::encode(key.sign(checkpoint.signed_text().as_bytes()).to_bytes());
        checkpoint
    }

    /// Whether the signature is that of the key named in it.
    #[must_use]
    pub fn holds(&self) -> bool {
        let key = bytes::<32>(&self.key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let signature = bytes::<64>(&self.signature).map(|signature| Signature::from_bytes(&signature));
        key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(self.signed_text().as_bytes(), &signature).is_ok())
    }

    fn signed_text(&self) -> String {
        let fields = serde_json::json!({
            "at": self.at, "hash": self.hash, "install_id": self.install_id, "key": self.key, "sequence": self.sequence,
        });
        format!("{CONTEXT}{}", canonical_json(&fields))
    }
}

/// A row as a line of an export.
#[must_use]
pub fn row_line(row: &AuditRow) -> String {
    let line = RowLine {
        sequence: row.sequence,
        at: row.at.millis(),
        actor: row.actor.clone(),
        action: row.action.clone(),
        object: row.object.clone(),
        company_id: row.company_id.clone(),
        address: row.address.clone(),
        outcome: row.outcome.as_str().to_owned(),
        detail: row.detail_json.clone(),
        previous_hash: hex::encode(row.previous_hash),
        hash: hex::encode(row.hash),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// Checks an export line by line, holding one row at a time.
#[derive(Debug)]
pub struct Verifier {
    line: u64,
    rows: u64,
    head: (i64, [u8; 32]),
    /// A head known from an earlier export: the log must still contain it.
    earlier: Option<Checkpoint>,
    end: Option<Checkpoint>,
}

impl Verifier {
    /// Begins. With an `earlier` checkpoint the same installation must have signed, and the earlier head must still be in the log: so a log cut
    /// off or written anew is found.
    #[must_use]
    pub const fn new(earlier: Option<Checkpoint>) -> Self {
        Self { line: 0, rows: 0, head: (0, GENESIS), earlier, end: None }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// What does not hold there.
    pub fn line(&mut self, text: &str) -> Result<(), Fault> {
        self.line += 1;
        if self.end.is_some() {
            return Err(self.fault("something follows the checkpoint, which is the last line"));
        }
        if let Ok(LastLine { checkpoint }) = serde_json::from_str(text) {
            return self.checkpoint(checkpoint);
        }
        let row = serde_json::from_str::<RowLine>(text).map_err(|error| self.fault(&format!("it is no row of an audit log: {error}")))?;
        let row = row.read().ok_or_else(|| self.fault("a hash or the outcome is not of the expected form"))?;
        let (sequence, hash) = verify_chain(self.head, std::slice::from_ref(&row))
            .map_err(|BrokenChain { sequence, what }| self.fault(&format!("row {sequence}: {what}")))?;
        if let Some(earlier) = self.earlier.as_ref().filter(|earlier| earlier.sequence == sequence)
            && earlier.hash != hex::encode(hash)
        {
            return Err(self.fault(&format!("row {sequence} is not the one that the earlier export ended with: the log was written anew")));
        }
        self.rows += 1;
        self.head = (sequence, hash);
        Ok(())
    }

    /// Ends.
    ///
    /// # Errors
    /// When the file stops before its checkpoint.
    pub fn finish(mut self) -> Result<Verified, Fault> {
        self.line += 1;
        match self.end.take() {
            Some(checkpoint) => Ok(Verified { rows: self.rows, checkpoint }),
            None => Err(self.fault("the file ends here, without its checkpoint: lines are missing")),
        }
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), Fault> {
        if !checkpoint.holds() {
            return Err(self.fault("the checkpoint's signature is not that of its key: it was changed"));
        }
        if checkpoint.sequence != self.head.0 {
            let what = format!("the checkpoint is of row {}, and the last row here is {}: rows are missing", checkpoint.sequence, self.head.0);
            return Err(self.fault(&what));
        }
        if checkpoint.hash != hex::encode(self.head.1) {
            return Err(self.fault("the checkpoint names another last row: the rows were replaced"));
        }
        if let Some(earlier) = &self.earlier {
            if (&earlier.install_id, &earlier.key) != (&checkpoint.install_id, &checkpoint.key) {
                return Err(self.fault("another installation or another key signed this checkpoint than the earlier one"));
            }
            if earlier.sequence > checkpoint.sequence {
                return Err(self.fault(&format!("the earlier export had {} rows: the end of the log was cut off", earlier.sequence)));
            }
        }
        self.end = Some(checkpoint);
        Ok(())
    }

    fn fault(&self, what: &str) -> Fault {
        Fault { line: self.line, what: what.to_owned() }
    }
}

impl RowLine {
    fn read(self) -> Option<AuditRow> {
        Some(AuditRow {
            sequence: self.sequence,
            at: Timestamp::from_millis(self.at),
            actor: self.actor,
            action: self.action,
            object: self.object,
            company_id: self.company_id,
            address: self.address,
            outcome: self.outcome.parse().ok()?,
            detail_json: self.detail,
            previous_hash: bytes(&self.previous_hash)?,
            hash: bytes(&self.hash)?,
        })
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex::decode(text).ok()?.try_into().ok()
}
