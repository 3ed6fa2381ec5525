//! The token ledger's words and arithmetic: what a row is, what is charged, how rows are chained.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ids::{CompanyId, ReservationId, UserId};
use crate::base::clock::Timestamp;

/// Most tokens a user can hold, and most one row can move: the largest number that JSON readers keep exact (2^53 - 1).
pub const BALANCE_MAX: u64 = (1 << 53) - 1;
/// The hash before the first row.
pub const GENESIS: [u8; 32] = [0; 32];

macro_rules! tx_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $spend:literal;)*) => {
        /// Why tokens moved. The type fixes the direction: spends take, all others give.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TxType { $($(#[$doc])* $name,)* }

        impl TxType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// As stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether rows of this type take tokens from their user.
            #[must_use]
            pub const fn is_spend(self) -> bool {
                match self { $(Self::$name => $spend,)* }
            }
        }

        impl FromStr for TxType {
            type Err = UnknownTxType;

            fn from_str(text: &str) -> Result<Self, UnknownTxType> {
                match text { $($text => Ok(Self::$name),)* _ => Err(UnknownTxType(text.to_owned())) }
            }
        }
    };
}

tx_types! {
    /// The daily grant.
    FreeDaily = "free_daily", false;
    /// A miner's share of what was paid for its work.
    MinerEarned = "miner_earned", false;
    /// A redeemed top-up voucher.
    PackagePurchase = "package_purchase", false;
    /// A call of the public API.
    ApiSpend = "api_spend", true;
    /// A chat answer.
    ChatSpend = "chat_spend", true;
    /// Given by an administrator.
    AdminGrant = "admin_grant", false;
    /// Given back.
    Refund = "refund", false;
    /// What a subscription brings each period.
    SubscriptionGrant = "subscription_grant", false;
    /// Bought by card.
    StripeTopup = "stripe_topup", false;
    /// A widget run.
    AutomationSpend = "automation_spend", true;
    /// An embedding batch.
    EmbeddingSpend = "embedding_spend", true;
    /// Credit for material that others used through the shared pool.
    SharedDataCredit = "shared_data_credit", false;
}

impl fmt::Display for TxType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A type no version of Onsite knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a kind of token transaction")]
pub struct UnknownTxType(String);

/// A row to be written. The direction follows from the type; `(user, tx_type, reference_key)` makes it once only.
#[derive(Clone, Debug, PartialEq)]
pub struct Posting {
    /// Whose balance moves.
    pub user: UserId,
    /// The company it counts for; `None` for what belongs to the person alone.
    pub company: Option<CompanyId>,
    /// Why, and with it the direction.
    pub tx_type: TxType,
    /// Names the cause: a second posting with the same key returns the first row.
    pub reference_key: String,
    /// The id of what it was for, such as a run.
    pub reference_id: String,
    /// Tokens given or asked for.
    pub tokens: u64,
    /// Raw counts and circumstances; a JSON object.
    pub metadata: Value,
}

/// The end of a reservation: what was really used. Made by `Reservation::settle_with`, posted by the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// What had been held back, and is let go in the same transaction.
    pub reservation: ReservationId,
    /// The row to write.
    pub posting: Posting,
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenTransaction {
    /// `ttx_` and the sequence in 16 digits.
    pub id: String,
    /// Place in the ledger, from 1, without gaps.
    pub sequence: i64,
    /// Whose balance moved.
    pub user_id: UserId,
    /// The company it counts for.
    pub company_id: Option<CompanyId>,
    /// Tokens; negative for spends.
    pub amount: i64,
    /// The user's running sum with this row.
    pub balance_after: i64,
    /// Why.
    pub tx_type: TxType,
    /// Names the cause.
    pub reference_key: String,
    /// What it was for.
    pub reference_id: String,
    /// The metadata as stored: its exact text is part of the hash.
    #[serde(rename = "metadata", serialize_with = "raw_json")]
    pub metadata_json: String,
    /// When; never earlier than the row before.
    pub created_at: Timestamp,
    /// The hash of the row before.
    #[serde(skip)]
    pub previous_hash: [u8; 32],
    /// The hash over the one before and this row's fields.
    #[serde(skip)]
    pub hash: [u8; 32],
}

fn raw_json<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<Value>(text).unwrap_or(Value::Null).serialize(serializer)
}

impl TokenTransaction {
    /// The id of a place in the ledger: sorts as it was written.
    #[must_use]
    pub fn id_of(sequence: i64) -> String {
        format!("ttx_{sequence:016}")
    }

    /// SHA-256 over the previous hash and every field, each with its length, so that no two rows share an encoding.
    #[must_use]
    pub fn compute_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(bytes);
        };
        field(b"onsite ledger row 1");
        field(&self.previous_hash);
        field(self.id.as_bytes());
        field(&self.sequence.to_be_bytes());
        field(self.user_id.as_str().as_bytes());
        field(self.company_id.as_ref().map_or("", CompanyId::as_str).as_bytes());
        field(&self.amount.to_be_bytes());
        field(&self.balance_after.to_be_bytes());
        field(self.tx_type.as_str().as_bytes());
        field(self.reference_key.as_bytes());
        field(self.reference_id.as_bytes());
        field(self.metadata_json.as_bytes());
        field(&self.created_at.millis().to_be_bytes());
        hasher.finalize().into()
    }
}

/// What a spend comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Tokens taken.
    pub tokens: u64,
    /// Tokens that were used but could not be taken: recorded in the row's metadata as `shortfall_tokens`.
    pub shortfall: u64,
}

/// Charges at most what nobody else has reserved, so that a balance is never negative and a reservation always holds.
#[must_use]
pub const fn charge(balance: u64, reserved_by_others: u64, used: u64) -> Charge {
    let free = balance.saturating_sub(reserved_by_others);
    let tokens = if used < free { used } else { free };
    Charge { tokens, shortfall: used - tokens }
}

/// What of a gift fits under [`BALANCE_MAX`].
#[must_use]
pub const fn credit(balance: u64, tokens: u64) -> u64 {
    let room = BALANCE_MAX.saturating_sub(balance);
    if tokens < room { tokens } else { room }
}

/// What a user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The running sum of the user's rows.
    pub balance: u64,
    /// Held back for work that is under way.
    pub reserved: u64,
}

impl Balance {
    /// What new work may reserve.
    #[must_use]
    pub const fn available(self) -> u64 {
        self.balance.saturating_sub(self.reserved)
    }
}

/// Too few tokens: 402 `insufficient_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("this needs {needed} tokens and {available} are available{}", .next_grant_at.map_or_else(String::new, |at| format!("; the next daily grant comes at {at}")))]
pub struct InsufficientTokens {
    /// Tokens asked for.
    pub needed: u64,
    /// Tokens not held back by other work.
    pub available: u64,
    /// When the daily grant comes next; `None` when grants are off.
    pub next_grant_at: Option<Timestamp>,
}

/// The next UTC midnight: when the daily grant can be claimed again.
#[must_use]
pub const fn next_grant_at(now: Timestamp) -> Timestamp {
    Timestamp::from_millis((now.utc_day() + 1) * 86_400_000)
}

/// A company's use over some days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens by type (as positive numbers), largest first.
    pub totals_by_type: Vec<TypeTotal>,
    /// Per UTC day with any row, oldest first.
    pub by_day: Vec<DayTotal>,
    /// Tokens spent per model, largest first.
    pub by_model: Vec<ModelTotal>,
}

/// Tokens moved by one type of row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeTotal {
    /// The type.
    pub tx_type: TxType,
    /// Tokens, positive.
    pub tokens: u64,
}

/// Tokens moved on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayTotal {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Tokens taken.
    pub spent: u64,
    /// Tokens given.
    pub earned: u64,
}

/// Tokens spent on one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelTotal {
    /// The `model` of the rows' metadata.
    pub model: String,
    /// Tokens, positive.
    pub tokens: u64,
}

/// What a check of the whole ledger found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Rows read; up to the first error.
    pub rows: u64,
    /// Different users among them.
    pub users: u64,
    /// The last good row's hash in hexadecimal: note it elsewhere to notice a cut-off end.
    pub head: String,
    /// The first thing that does not hold.
    pub first_error: Option<VerifyError>,
}

/// A row that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyError {
    /// Which row.
    pub sequence: i64,
    /// What is wrong with it.
    pub problem: String,
}

/// Checks rows one by one, in order of their sequence.
#[derive(Debug)]
pub struct Verifier {
    rows: i64,
    previous_hash: [u8; 32],
    last_at: Timestamp,
    balances: HashMap<UserId, i64>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { rows: 0, previous_hash: GENESIS, last_at: Timestamp::from_millis(i64::MIN), balances: HashMap::new() }
    }
}

impl Verifier {
    /// Checks the next row.
    ///
    /// # Errors
    /// The first thing about it that does not hold.
    pub fn check(&mut self, row: &TokenTransaction) -> Result<(), VerifyError> {
        let balance = self.balances.get(&row.user_id).copied().unwrap_or(0).checked_add(row.amount);
        let wrong = |problem: String| Err(VerifyError { sequence: row.sequence, problem });
        if row.sequence != self.rows + 1 {
            return wrong(format!("row {} was expected here: rows are missing or out of order", self.rows + 1));
        }
        if row.id != TokenTransaction::id_of(row.sequence) {
            return wrong(format!("its id is {}", row.id));
        }
        if row.previous_hash != self.previous_hash {
            return wrong("it does not follow the row before it (previous_hash)".into());
        }
        if row.hash != row.compute_hash() {
            return wrong("its fields do not match its hash: the row was altered".into());
        }
        if row.created_at < self.last_at {
            return wrong("it is earlier than the row before it".into());
        }
        if row.tx_type.is_spend() && row.amount > 0 || !row.tx_type.is_spend() && row.amount < 0 {
            return wrong(format!("{} tokens is the wrong direction for {}", row.amount, row.tx_type));
        }
        match balance {
            Some(balance) if balance == row.balance_after && balance >= 0 => {
                self.balances.insert(row.user_id.clone(), balance);
            }
            _ => return wrong(format!("balance_after is {}, the running sum says otherwise", row.balance_after)),
        }
        self.rows += 1;
        self.previous_hash = row.hash;
        self.last_at = row.created_at;
        Ok(())
    }

    /// The report, with the error that ended the check if one did.
    #[must_use]
    pub fn finish(self, first_error: Option<VerifyError>) -> VerifyReport {
        VerifyReport {
            rows: u64::try_from(self.rows).unwrap_or(0),
            users: self.balances.len() as u64,
            head: hex::encode(self.previous_hash),
            first_error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_type_reads_back() {
        for &tx_type in TxType::ALL {
            assert_eq!(tx_type.as_str().parse::<TxType>().unwrap(), tx_type);
            assert_eq!(serde_json::to_value(tx_type).unwrap(), tx_type.as_str());
        }
        assert!("gift".parse::<TxType>().is_err());
    }

    #[test]
    fn the_next_grant_is_the_next_utc_midnight() {
        let at: Timestamp = "2026-11-21T22:26:40Z".parse().unwrap();
        assert_eq!(next_grant_at(at).to_string(), "2026-11-22T00:00:00.000Z");
        assert_eq!(next_grant_at(next_grant_at(at)).to_string(), "2026-11-23T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn a_charge_never_touches_what_others_reserved(balance in 0..=BALANCE_MAX, others in 0..=BALANCE_MAX, used: u64) {
            let charge = charge(balance, others.min(balance), used);
            prop_assert!(balance - charge.tokens >= others.min(balance));
            prop_assert_eq!(charge.tokens + charge.shortfall, used);
            prop_assert!(charge.shortfall == 0 || balance - charge.tokens == others.min(balance));
        }

        #[test]
        fn a_credit_stays_below_the_largest_balance(balance in 0..=BALANCE_MAX, tokens: u64) {
            let given = credit(balance, tokens);
            prop_assert!(given <= tokens && balance + given <= BALANCE_MAX);
        }
    }
}
