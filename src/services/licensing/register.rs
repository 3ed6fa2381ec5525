//! The vendor's register: what was issued, revoked and rotated, one JSON value a line beside the keys, appended to and never changed.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;
use crate::model::licence::{SignedCode, SignedList};

/// The file's name, beside the keys.
pub const FILE_NAME: &str = "register.jsonl";

/// A line of the register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// A key was made.
    KeyMade {
        /// When.
        at: Timestamp,
        /// Its id.
        kid: String,
    },
    /// A key was retired: what is issued from then on is not believed.
    KeyRetired {
        /// When this was decided.
        at: Timestamp,
        /// Its id.
        kid: String,
        /// From when on.
        retired_at: Timestamp,
    },
    /// A code was issued.
    Issued {
        /// When.
        at: Timestamp,
        /// Its id.
        jti: LicenceId,
        /// Whose.
        customer: String,
        /// The company as it is shown.
        company: String,
        /// The customer's counter.
        seq: u64,
        /// Key of the plan.
        plan: String,
        /// Active users.
        seats: u32,
        /// When it begins.
        not_before: Timestamp,
        /// When it ends.
        expires_at: Timestamp,
        /// The one installation it is for.
        install_id: Option<String>,
        /// The key that signed.
        kid: String,
        /// The code itself, to send again.
        code: String,
    },
    /// A code was revoked.
    Revoked {
        /// When.
        at: Timestamp,
        /// Its id.
        jti: LicenceId,
        /// Why.
        reason: String,
    },
    /// A revocation list was signed.
    ListSigned {
        /// When.
        at: Timestamp,
        /// Its number.
        number: u64,
        /// How many codes are on it.
        codes: usize,
        /// The key that signed.
        kid: String,
    },
}

/// Why the register cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A line is not one of the register.
    #[error("{path}, line {line}: {reason}. The register is only appended to: bring back the file from a backup, or correct the line")]
    Line {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

/// The register of a folder of keys.
#[derive(Clone, Debug)]
pub struct Register {
    path: PathBuf,
    records: Vec<Record>,
}

impl Register {
    /// Reads the register of a folder; one that is not there is empty.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn open(folder: &Path) -> Result<Self, RegisterError> {
        let path = folder.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|source| RegisterError::File { path: path.display().to_string(), source })?,
        };
        let mut records = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let record = serde_json::from_str(line).map_err(|error| RegisterError::Line {
                path: path.display().to_string(),
                line: at + 1,
                reason: error.to_string(),
            })?;
            records.push(record);
        }
        Ok(Self { path, records })
    }

    /// Appends records; they are on the disk when this returns.
    ///
    /// # Errors
    /// When they could not be written.
    pub fn append(&mut self, records: Vec<Record>) -> Result<(), RegisterError> {
        let failed = |source| RegisterError::File { path: self.path.display().to_string(), source };
        let lines = records.iter().map(|record| serde_json::to_string(record).map(|line| line + "\n")).collect::<Result<String, _>>();
        let lines = lines.map_err(|error| failed(error.into()))?;
        let write = || {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
            file.write_all(lines.as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed)?;
        self.records.extend(records);
        Ok(())
    }

    /// Every record, the oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The counter of a customer's newest code; 0 when there is none.
    #[must_use]
    pub fn newest_seq(&self, of: &str) -> u64 {
        let seqs = self.records.iter().filter_map(|record| match record {
            Record::Issued { customer, seq, .. } if customer == of => Some(*seq),
            _ => None,
        });
        seqs.max().unwrap_or(0)
    }

    /// Whether a code was issued from here.
    #[must_use]
    pub fn issued(&self, id: &LicenceId) -> bool {
        self.records.iter().any(|record| matches!(record, Record::Issued { jti, .. } if jti == id))
    }

    /// Every code that was revoked.
    #[must_use]
    pub fn revoked(&self) -> BTreeSet<LicenceId> {
        let revoked = |record: &Record| match record {
            Record::Revoked { jti, .. } => Some(jti.clone()),
            _ => None,
        };
        self.records.iter().filter_map(revoked).collect()
    }

    /// The number of the newest list; 0 when there is none.
    #[must_use]
    pub fn newest_list(&self) -> u64 {
        let numbers = self.records.iter().filter_map(|record| match record {
            Record::ListSigned { number, .. } => Some(*number),
            _ => None,
        });
        numbers.max().unwrap_or(0)
    }
}

impl Record {
    /// The record of a code.
    #[must_use]
    pub fn of_code(code: &SignedCode) -> Self {
        let claims = code.claims();
        Self::Issued {
            at: claims.issued_at,
            jti: claims.jti.clone(),
            customer: claims.customer.clone(),
            company: claims.company.clone(),
            seq: claims.seq,
            plan: claims.plan.clone(),
            seats: claims.seats,
            not_before: claims.not_before,
            expires_at: claims.expires_at,
            install_id: claims.install_id.clone(),
            kid: claims.kid.clone(),
            code: code.to_line(),
        }
    }

    /// The record of a list.
    #[must_use]
    pub fn of_list(signed: &SignedList) -> Self {
        let list = signed.list();
        Self::ListSigned { at: list.issued_at, number: list.number, codes: list.revoked.len(), kid: list.kid.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_again_and_a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = Timestamp::from_millis(1_000);
        let id: LicenceId = "lic_01h00000000000000000000000".parse().unwrap();
        let mut register = Register::open(folder.path()).unwrap();
        register.append(vec![Record::KeyMade { at, kid: "abc".into() }]).unwrap();
        register.append(vec![Record::Revoked { at, jti: id.clone(), reason: "stolen".into() }]).unwrap();
        register.append(vec![Record::ListSigned { at, number: 3, codes: 1, kid: "abc".into() }]).unwrap();
        let again = Register::open(folder.path()).unwrap();
        assert_eq!(again.records(), register.records());
        assert_eq!((again.newest_list(), again.revoked().contains(&id), again.newest_seq("acme"), again.issued(&id)), (3, true, 0, false));
        let path = folder.path().join(FILE_NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("\"reason\"", "\"reas", 1)).unwrap();
        let error = Register::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("backup"), "{error}");
    }
}
