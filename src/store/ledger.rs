//! The token ledger: append-only rows in one hash chain, and what running work holds back.
//!
//! Only the writer thread posts, so reading the last row and appending the next cannot race.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use super::users::{USER_COLUMNS, read_user};
use super::{Store, StoreError};
use crate::base::clock::Timestamp;
use crate::model::company::MemberUse;
use crate::model::ids::{CompanyId, ReservationId, UserId};
use crate::model::ledger::{
    self, BALANCE_MAX, Balance, DayTotal, GENESIS, ModelTotal, Posting, Settlement, TokenTransaction, TxType, TypeTotal, Usage, Verifier,
    VerifyReport,
};
use crate::text_column;

text_column!(TxType);

const COLUMNS: &str = "id, sequence, user_id, company_id, amount, balance_after, tx_type, reference_key, reference_id, metadata_json, created_at, \
                       previous_hash, hash";

/// Tokens to hold back for work that begins.
#[derive(Clone, Debug)]
pub struct NewReservation {
    /// Names it.
    pub id: ReservationId,
    /// Whose tokens.
    pub user: UserId,
    /// The company the work is for.
    pub company: Option<CompanyId>,
    /// The type its row will have.
    pub tx_type: TxType,
    /// The key its row will have.
    pub reference_key: String,
    /// Tokens.
    pub tokens: u64,
    /// Tokens of the daily grant, made first when today's is missing; 0 = none.
    pub daily_grant: u64,
}

/// How an attempt to reserve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// Held back.
    Reserved,
    /// The row for this key stands already: nothing is held back, and settling returns that row.
    AlreadyPosted,
    /// Too few: the user's balance, and the moment as the ledger counts it, which never goes back.
    Insufficient(Balance, Timestamp),
}

impl Store {
    /// Holds tokens back, after making today's grant if it is missing (the grant stands even when there are still too few).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reserve_tokens(&self, new: NewReservation, now: Timestamp) -> Result<ReserveOutcome, StoreError> {
        self.write("reserve tokens", move |tx| {
            grant_daily_in(tx, &new.user, new.daily_grant, now)?;
            if find(tx, &new.user, new.tx_type, &new.reference_key)?.is_some() {
                return Ok(ReserveOutcome::AlreadyPosted);
            }
            let balance = balance_of(tx, &new.user)?;
            if new.tokens > balance.available() {
                return Ok(ReserveOutcome::Insufficient(balance, clamp_to_last(tx, now)?));
            }
            tx.prepare_cached(
                "INSERT INTO token_reservations (id, user_id, company_id, amount, tx_type, reference_key, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((&new.id, &new.user, &new.company, to_i64(new.tokens), new.tx_type, &new.reference_key, now))?;
            Ok(ReserveOutcome::Reserved)
        })
        .await
    }

    /// Posts what was really used and lets the reservation go.
    ///
    /// # Errors
    /// When the store fails; the reservation then stands.
    pub async fn settle_tokens(&self, settlement: Settlement, now: Timestamp) -> Result<TokenTransaction, StoreError> {
        self.write("settle tokens", move |tx| settle_in(tx, &settlement, now)).await
    }

    /// Lets a reservation go; nothing when it is gone already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release_tokens(&self, id: ReservationId) -> Result<(), StoreError> {
        self.write("release tokens", move |tx| drop_reservation(tx, &id)).await
    }

    /// Lets every reservation go and returns how many there were: at start, when whoever held them is gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release_all_tokens(&self) -> Result<usize, StoreError> {
        self.write("release all tokens", |tx| Ok(tx.execute("DELETE FROM token_reservations", [])?)).await
    }

    /// Posts a row that nothing was reserved for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn post_tokens(&self, posting: Posting, now: Timestamp) -> Result<TokenTransaction, StoreError> {
        self.write("post tokens", move |tx| post_in(tx, &posting, now)).await
    }

    /// A user's balance, and whether today's grant of `daily_grant` tokens is in it (0 = there is none to make).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_balance(&self, user: UserId, daily_grant: u64, now: Timestamp) -> Result<(Balance, bool), StoreError> {
        self.read("read balance", move |conn| {
            let granted = daily_grant == 0 || find(conn, &user, TxType::FreeDaily, &clamp_to_last(conn, now)?.utc_date())?.is_some();
            Ok((balance_of(conn, &user)?, granted))
        })
        .await
    }

    /// Makes today's grant if it is missing, and returns the balance with it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn grant_daily_tokens(&self, user: UserId, daily_grant: u64, now: Timestamp) -> Result<Balance, StoreError> {
        self.write("grant daily tokens", move |tx| {
            grant_daily_in(tx, &user, daily_grant, now)?;
            balance_of(tx, &user)
        })
        .await
    }

    /// A user's latest rows, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_statement(&self, user: UserId, limit: u32) -> Result<Vec<TokenTransaction>, StoreError> {
        self.read("read statement", move |conn| {
            let sql = format!("SELECT {COLUMNS} FROM token_transactions WHERE user_id = ?1 ORDER BY sequence DESC LIMIT ?2");
            let mut statement = conn.prepare_cached(&sql)?;
            Ok(statement.query_map((&user, limit), from_row)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A company's totals since a moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_usage(&self, company: CompanyId, since: Timestamp) -> Result<Usage, StoreError> {
        self.read("read usage", move |conn| usage(conn, &company, since)).await
    }

    /// What each user spent in a company since a moment, the most first; at most so many users.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member_use(&self, company: CompanyId, since: Timestamp, most: u32) -> Result<Vec<MemberUse>, StoreError> {
        self.read("read usage of members", move |conn| {
            let mut statement = conn.prepare_cached(&format!(
                "SELECT {USER_COLUMNS}, memberships.role, used.spent, used.entries, used.last_at
                 FROM (SELECT user_id, -sum(amount) AS spent, count(*) AS entries, max(created_at) AS last_at FROM token_transactions
                       WHERE company_id = ?1 AND created_at >= ?2 AND amount < 0 GROUP BY user_id ORDER BY spent DESC, user_id LIMIT ?3) AS used
                 JOIN users ON users.id = used.user_id
                 LEFT JOIN memberships ON memberships.company_id = ?1 AND memberships.user_id = users.id ORDER BY used.spent DESC, users.id"
            ))?;
            let member = |row: &Row<'_>| {
                Ok(MemberUse {
                    user: read_user(row)?,
                    role: row.get(6)?,
                    spent: tokens_at(row, 7)?,
                    entries: tokens_at(row, 8)?,
                    last_at: row.get(9)?,
                })
            };
            Ok(statement.query_map((&company, since, most), member)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Checks the whole ledger; see [`verify`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn verify_ledger(&self) -> Result<VerifyReport, StoreError> {
        self.read("verify ledger", verify).await
    }
}

/// Recomputes the hash chain and every balance. Works on any connection, one opened read-only beside a running server too.
///
/// # Errors
/// When rows cannot be read; what does not hold is in the report.
pub fn verify(conn: &Connection) -> Result<VerifyReport, StoreError> {
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM token_transactions ORDER BY sequence"))?;
    let mut rows = statement.query([])?;
    let mut verifier = Verifier::default();
    while let Some(row) = rows.next()? {
        if let Err(error) = verifier.check(&from_row(row)?) {
            return Ok(verifier.finish(Some(error)));
        }
    }
    Ok(verifier.finish(None))
}

/// Posts a row inside another store method's transaction. The same `(user, tx_type, reference_key)` again returns the first row.
///
/// A spend takes at most what nobody has reserved; the rest is recorded as `shortfall_tokens` in the metadata.
pub(in crate::store) fn post_in(tx: &Connection, posting: &Posting, now: Timestamp) -> Result<TokenTransaction, StoreError> {
    if let Some(standing) = find(tx, &posting.user, posting.tx_type, &posting.reference_key)? {
        return Ok(standing);
    }
    let Balance { balance, reserved } = balance_of(tx, &posting.user)?;
    let (amount, metadata) = if posting.tx_type.is_spend() {
        let charge = ledger::charge(balance, reserved, posting.tokens);
        (-to_i64(charge.tokens), with_shortfall(&posting.metadata, charge.shortfall))
    } else {
        (to_i64(ledger::credit(balance, posting.tokens)), posting.metadata.clone())
    };
    let (last_sequence, previous_hash) = tx
        .prepare_cached("SELECT sequence, hash FROM token_transactions ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .unwrap_or((0_i64, GENESIS));
    let mut row = TokenTransaction {
        id: TokenTransaction::id_of(last_sequence + 1),
        sequence: last_sequence + 1,
        user_id: posting.user.clone(),
        company_id: posting.company.clone(),
        amount,
        balance_after: to_i64(balance) + amount,
        tx_type: posting.tx_type,
        reference_key: posting.reference_key.clone(),
        reference_id: posting.reference_id.clone(),
        metadata_json: metadata.to_string(),
        created_at: clamp_to_last(tx, now)?,
        previous_hash,
        hash: GENESIS,
    };
    row.hash = row.compute_hash();
    insert(tx, &row)?;
    Ok(row)
}

/// Settles inside another store method's transaction: posts what was used and lets the reservation go.
pub(in crate::store) fn settle_in(tx: &Connection, settlement: &Settlement, now: Timestamp) -> Result<TokenTransaction, StoreError> {
    // Its own reservation no longer counts against it.
    drop_reservation(tx, &settlement.reservation)?;
    post_in(tx, &settlement.posting, now)
}

fn drop_reservation(tx: &Connection, id: &ReservationId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM token_reservations WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn grant_daily_in(tx: &Connection, user: &UserId, tokens: u64, now: Timestamp) -> Result<(), StoreError> {
    if tokens == 0 {
        return Ok(());
    }
    // The day of the row, not of the clock: a clock set back brings no second grant for a day that is over.
    let day = clamp_to_last(tx, now)?.utc_date();
    let posting = Posting {
        user: user.clone(),
        company: None,
        tx_type: TxType::FreeDaily,
        reference_key: day.clone(),
        reference_id: day,
        tokens,
        metadata: json!({}),
    };
    post_in(tx, &posting, now).map(drop)
}

/// Rows never go back in time, so that `(created_at, id)` orders them as `sequence` does.
fn clamp_to_last(conn: &Connection, now: Timestamp) -> Result<Timestamp, StoreError> {
    let last: Option<Timestamp> = conn
        .prepare_cached("SELECT created_at FROM token_transactions ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(last.map_or(now, |last| last.max(now)))
}

fn balance_of(conn: &Connection, user: &UserId) -> Result<Balance, StoreError> {
    let balance: i64 = conn
        .prepare_cached("SELECT balance_after FROM token_transactions WHERE user_id = ?1 ORDER BY sequence DESC LIMIT 1")?
        .query_row([user], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let reserved: i64 =
        conn.prepare_cached("SELECT coalesce(sum(amount), 0) FROM token_reservations WHERE user_id = ?1")?.query_row([user], |row| row.get(0))?;
    let positive = |tokens: i64| u64::try_from(tokens).map_err(|_| StoreError::corrupt("a negative balance"));
    Ok(Balance { balance: positive(balance)?, reserved: positive(reserved)? })
}

fn find(conn: &Connection, user: &UserId, tx_type: TxType, reference_key: &str) -> Result<Option<TokenTransaction>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM token_transactions WHERE user_id = ?1 AND tx_type = ?2 AND reference_key = ?3");
    Ok(conn.prepare_cached(&sql)?.query_row((user, tx_type, reference_key), from_row).optional()?)
}

fn insert(tx: &Connection, row: &TokenTransaction) -> Result<(), StoreError> {
    let sql = format!("INSERT INTO token_transactions ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    tx.prepare_cached(&sql)?.execute((
        &row.id,
        row.sequence,
        &row.user_id,
        &row.company_id,
        row.amount,
        row.balance_after,
        row.tx_type,
        &row.reference_key,
        &row.reference_id,
        &row.metadata_json,
        row.created_at,
        row.previous_hash,
        row.hash,
    ))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<TokenTransaction> {
    Ok(TokenTransaction {
        id: row.get(0)?,
        sequence: row.get(1)?,
        user_id: row.get(2)?,
        company_id: row.get(3)?,
        amount: row.get(4)?,
        balance_after: row.get(5)?,
        tx_type: row.get(6)?,
        reference_key: row.get(7)?,
        reference_id: row.get(8)?,
        metadata_json: row.get(9)?,
        created_at: row.get(10)?,
        previous_hash: row.get(11)?,
        hash: row.get(12)?,
    })
}

fn with_shortfall(metadata: &Value, shortfall: u64) -> Value {
    let mut metadata = metadata.clone();
    if shortfall > 0
        && let Value::Object(fields) = &mut metadata
    {
        fields.insert("shortfall_tokens".into(), shortfall.into());
    }
    metadata
}

fn to_i64(tokens: u64) -> i64 {
    // Everything above BALANCE_MAX has been refused or cut before; the bound keeps the cast honest.
    i64::try_from(tokens.min(BALANCE_MAX)).unwrap_or(i64::MAX)
}

/// A sum of absolute amounts.
fn tokens_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let tokens: i64 = row.get(column)?;
    u64::try_from(tokens).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, tokens))
}

fn usage(conn: &Connection, company: &CompanyId, since: Timestamp) -> Result<Usage, StoreError> {
    let mut by_type = conn.prepare_cached(
        "SELECT tx_type, sum(abs(amount)) AS tokens FROM token_transactions WHERE company_id = ?1 AND created_at >= ?2
         GROUP BY tx_type ORDER BY tokens DESC, tx_type",
    )?;
    let mut by_day = conn.prepare_cached(
        "SELECT created_at / 86400000 AS day, -sum(CASE WHEN amount < 0 THEN amount ELSE 0 END), sum(CASE WHEN amount > 0 THEN amount ELSE 0 END)
         FROM token_transactions WHERE company_id = ?1 AND created_at >= ?2 GROUP BY day ORDER BY day",
    )?;
    // PostgreSQL wants `metadata_json::jsonb` before the arrow.
    let mut by_model = conn.prepare_cached(
        "SELECT metadata_json ->> 'model' AS model, -sum(amount) AS tokens FROM token_transactions
         WHERE company_id = ?1 AND created_at >= ?2 AND amount < 0 AND metadata_json ->> 'model' IS NOT NULL GROUP BY model ORDER BY tokens DESC, model",
    )?;
    let type_total = |row: &Row<'_>| Ok(TypeTotal { tx_type: row.get(0)?, tokens: tokens_at(row, 1)? });
    let day_total = |row: &Row<'_>| {
        let day = Timestamp::from_millis(row.get::<_, i64>(0)? * 86_400_000).utc_date();
        Ok(DayTotal { day, spent: tokens_at(row, 1)?, earned: tokens_at(row, 2)? })
    };
    let model_total = |row: &Row<'_>| Ok(ModelTotal { model: row.get(0)?, tokens: tokens_at(row, 1)? });
    Ok(Usage {
        totals_by_type: by_type.query_map((company, since), type_total)?.collect::<Result<_, _>>()?,
        by_day: by_day.query_map((company, since), day_total)?.collect::<Result<_, _>>()?,
        by_model: by_model.query_map((company, since), model_total)?.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
