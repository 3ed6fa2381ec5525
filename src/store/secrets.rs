//! The keys of what is kept: proof that the right one is here, and the change from one to the next while everything goes on.
//!
//! A row of `vault_keys` names a key under which values may be kept. It is there before the first value is sealed with it, and goes when the last
//! one was sealed anew, so that a start without a key that is still needed is refused before anything is touched.

use rusqlite::{Connection, OptionalExtension};

use super::audit::append_audit;
use super::sealing::{COLUMNS, SealedColumn};
use super::{Store, StoreError, engine};
use crate::base::clock::Timestamp;
use crate::base::vault::{Keeping, KeyId, Place, Vault, VaultError, keeping};
use crate::model::audit::{Actor, Entry};

/// Values sealed anew in one transaction: bounds how long other writers wait.
const BATCH: u32 = 100;
/// What a key's proof says while something may be kept otherwise than under a key.
const NOT_EVERYTHING: &str = "onsite";

/// Why a database is not opened with these keys. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There are values under a key that is not here.
    #[error(
        "the database holds values that are encrypted with key {id}, and {have}: set DB_ENCRYPTION_KEY (or DB_ENCRYPTION_KEY_FILE, or a systemd \
         credential of this name) to the key that the server had, or name it in DB_ENCRYPTION_KEY_PREVIOUS if a newer one replaces it; nothing was touched"
    )]
    Missing {
        /// Which key.
        id: KeyId,
        /// What is configured.
        have: &'static str,
    },
    /// The server that is running seals with another key.
    #[error(
        "the running server does not use the DB_ENCRYPTION_KEY that this command was given: give the command the server's settings, or restart the server with the new key"
    )]
    OtherThanServer,
    /// The proof of a key does not open.
    #[error("what proves key {key_id} was altered: restore the database from a backup; nothing was touched")]
    Altered {
        /// Which key.
        key_id: String,
    },
    /// The table cannot be read or written.
    #[error("reading the keys in use: {0}")]
    Table(#[from] rusqlite::Error),
    /// A row could not be kept.
    #[error("keeping the key in use: {0}")]
    Kept(#[from] StoreError),
}

/// How the values of all columns are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsStatus {
    /// Each way of keeping, with how many values are kept so.
    pub kept: Vec<(Keeping, u64)>,
    /// The keys under which values may be kept.
    pub keys: Vec<String>,
}

impl SecretsStatus {
    /// Values that are not kept so.
    #[must_use]
    pub fn otherwise_than(&self, keeping: Keeping) -> u64 {
        self.kept.iter().filter(|(kept, _)| *kept != keeping).map(|(_, values)| values).sum()
    }
}

/// How far a change of keys has come: columns before this one, and in it rows up to this one, are done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResealPlace {
    column: usize,
    row: String,
}

/// What one transaction of a change of keys did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// Values that are under the current key now.
    pub values: u64,
    /// Values that do not open: they stay as they are.
    pub unreadable: u64,
    /// Where to go on; `None` = at the end.
    pub next: Option<ResealPlace>,
}

impl Store {
    /// How values are sealed now.
    #[must_use]
    pub fn sealing_with(&self) -> Keeping {
        self.inner.vault.keeping()
    }

    /// How the values of all columns are kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn secrets_status(&self) -> Result<SecretsStatus, StoreError> {
        self.read("read how values are kept", secrets_status_in).await
    }

    /// Whether everything is kept under the current key, as the last change of keys left it. Costs one row.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn everything_sealed(&self) -> Result<bool, StoreError> {
        let vault = self.vault();
        self.read("read the keys in use", move |conn| {
            let mut rows = conn.prepare_cached("SELECT key_id, proof FROM vault_keys")?;
            let keys: Vec<(String, Vec<u8>)> = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            let [(key_id, proof)] = keys.as_slice() else { return Ok(false) };
            let ours = vault.current().is_some_and(|id| id.to_string() == *key_id);
            Ok(ours && vault.open(proof_place(key_id), proof).is_ok_and(|says| *says.expose() == everything().into_bytes()))
        })
        .await
    }

    /// Seals a batch of values that are not under the current key, from a place on. Whatever is written meanwhile is sealed with the current
    /// key already, and a change that was cut short begins anew and finds less to do.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn reseal(&self, from: ResealPlace) -> Result<Resealed, StoreError> {
        let vault = self.vault();
        self.write("seal values anew", move |tx| reseal_in(tx, &vault, from)).await
    }

    /// Notes that everything is under the current key, and lets the keys before it go. `false`: something is not.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn finish_resealing(&self, by: Actor, values: u64, at: Timestamp) -> Result<bool, StoreError> {
        let vault = self.vault();
        let Some(id) = vault.current() else { return Ok(false) };
        let finished = self.write("finish a change of keys", {
            let vault = vault.clone();
            move |tx| {
                if secrets_status_in(tx)?.otherwise_than(Keeping::Under(id)) > 0 {
                    return Ok(false);
                }
                let key_id = id.to_string();
                tx.execute("DELETE FROM vault_keys WHERE key_id <> ?1", [&key_id])?;
                keep_proof(tx, &vault, &key_id, &everything())?;
                append_audit(tx, &Entry::new(at, by, "secrets.rotated", key_id).detail(serde_json::json!({"values": values})))?;
                Ok(true)
            }
        });
        let finished = finished.await?;
        if finished {
            vault.refuse_plain();
            let path = self.inner.readers.path().to_owned();
            let emptied = tokio::task::spawn_blocking(move || engine::truncate_log(&path)).await;
            if !matches!(emptied, Ok(Ok(true))) {
                tracing::warn!("the write-ahead log was in use: what it held before this change of keys goes with the next restart");
            }
        }
        Ok(finished)
    }
}

/// How the values of all columns are kept, on an open connection: also for a command beside the server.
///
/// # Errors
/// When the database cannot be read.
pub fn secrets_status_in(conn: &Connection) -> Result<SecretsStatus, StoreError> {
    let mut kept = std::collections::BTreeMap::new();
    for SealedColumn { table, column, .. } in COLUMNS {
        // The head of an envelope says how it is kept; of one that is not encrypted only the first byte is looked at.
        let sql = format!(
            "SELECT min({column}), count(*) FROM {table} WHERE {column} IS NOT NULL
             GROUP BY CASE substr({column}, 1, 1) WHEN x'00' THEN x'00' ELSE substr({column}, 1, 9) END"
        );
        let mut statement = conn.prepare(&sql)?;
        for row in statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u32>(1)?)))? {
            let (envelope, values) = row?;
            let how = keeping(&envelope).map_err(|error| StoreError::corrupt(format!("{table}.{column}: {error}")))?;
            *kept.entry(how).or_insert(0) += u64::from(values);
        }
    }
    let mut keys = conn.prepare("SELECT key_id FROM vault_keys ORDER BY key_id")?;
    let keys = keys.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(SecretsStatus { kept: kept.into_iter().collect(), keys })
}

/// Refuses keys that do not open the database. Looks only: also for a command beside the server.
///
/// # Errors
/// Which key is missing.
pub fn check_keys(conn: &Connection, vault: &Vault) -> Result<(), KeyError> {
    let there = conn.query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'vault_keys'", [], |_| Ok(())).optional()?;
    if there.is_none() {
        return Ok(());
    }
    let mut rows = conn.prepare("SELECT key_id, proof FROM vault_keys")?;
    for row in rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))? {
        let (key_id, proof) = row?;
        match vault.open(proof_place(&key_id), &proof) {
            Ok(says) if *says.expose() == everything().into_bytes() => vault.refuse_plain(),
            Ok(_) => {}
            Err(VaultError::UnknownKey(id)) => {
                let have = if vault.current().is_some() { "the configured keys are others" } else { "no key is configured" };
                return Err(KeyError::Missing { id, have });
            }
            Err(_) => return Err(KeyError::Altered { key_id }),
        }
    }
    Ok(())
}

/// Notes the current key before anything is sealed with it. Beside a running server it has to be the server's.
pub(super) fn note_key(conn: &mut Connection, vault: &Vault, beside: bool, now: Timestamp) -> Result<(), KeyError> {
    let Some(id) = vault.current() else { return Ok(()) };
    let key_id = id.to_string();
    let known: bool = conn.query_row("SELECT EXISTS (SELECT 1 FROM vault_keys WHERE key_id = ?1)", [&key_id], |row| row.get(0))?;
    match (known, beside) {
        (true, _) => return Ok(()),
        (false, true) => return Err(KeyError::OtherThanServer),
        (false, false) => {}
    }
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let says = if vault.refuses_plain() { everything() } else { NOT_EVERYTHING.to_owned() };
    keep_proof(&tx, vault, &key_id, &says)?;
    append_audit(&tx, &Entry::new(now, Actor::System, "secrets.key_taken", key_id))?;
    Ok(tx.commit()?)
}

fn reseal_in(tx: &Connection, vault: &Vault, from: ResealPlace) -> Result<Resealed, StoreError> {
    let ResealPlace { column: at, row: after } = from;
    let Some(sealed @ SealedColumn { table, key, column, index }) = COLUMNS.get(at) else {
        return Ok(Resealed { values: 0, unreadable: 0, next: None });
    };
    let head = vault.keeping().head();
    let length = i64::try_from(head.len()).unwrap_or(i64::MAX);
    let find = format!(
        "SELECT {key}, {column} FROM {table} WHERE {key} > ?1 AND {column} IS NOT NULL AND substr({column}, 1, ?2) <> ?3 ORDER BY {key} LIMIT {BATCH}"
    );
    let found: Vec<(String, Vec<u8>)> =
        tx.prepare_cached(&find)?.query_map((&after, length, &head), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let set_index = index.map(|index| format!(", {index} = ?3")).unwrap_or_default();
    let mut keep = tx.prepare_cached(&format!("UPDATE {table} SET {column} = ?2{set_index} WHERE {key} = ?1"))?;
    let (mut values, mut unreadable) = (0, 0);
    for (row, envelope) in &found {
        let value = match vault.open(sealed.place(row), envelope) {
            Ok(value) => value,
            Err(error) => {
                tracing::error!(table, column, row, %error, "a value cannot be opened and stays as it is");
                unreadable += 1;
                continue;
            }
        };
        let anew = vault.seal(sealed.place(row), value.expose()).map_err(|error| StoreError::corrupt(error.to_string()))?;
        if index.is_some() {
            let text = std::str::from_utf8(value.expose()).map_err(|error| StoreError::corrupt(error.to_string()))?;
            keep.execute((row, anew, vault.index(&sealed.name(), text)))?;
        } else {
            keep.execute((row, anew))?;
        }
        values += 1;
    }
    let next = match found.last() {
        Some((row, _)) => ResealPlace { column: at, row: row.clone() },
        None => ResealPlace { column: at + 1, row: String::new() },
    };
    Ok(Resealed { values, unreadable, next: Some(next) })
}

/// What a key's proof says once everything is sealed: which columns that is, so that a column that is added later may begin unencrypted.
fn everything() -> String {
    let names: Vec<String> = COLUMNS.iter().map(SealedColumn::name).collect();
    format!("{NOT_EVERYTHING} {}", names.join(" "))
}

const fn proof_place(key_id: &str) -> Place<'_> {
    Place { table: "vault_keys", column: "proof", row: key_id }
}

fn keep_proof(tx: &Connection, vault: &Vault, key_id: &str, says: &str) -> Result<(), StoreError> {
    let proof = vault.seal(proof_place(key_id), says.as_bytes()).map_err(|error| StoreError::corrupt(error.to_string()))?;
    let sql = "INSERT INTO vault_keys (key_id, proof) VALUES (?1, ?2) ON CONFLICT (key_id) DO UPDATE SET proof = excluded.proof";
    tx.execute(sql, (key_id, proof))?;
    Ok(())
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
