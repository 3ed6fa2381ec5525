//! Every token accounted for: work reserves an estimate first, and settles what it really used.
//!
//! A [`Reservation`] is consumed by settling or releasing it. Dropped instead (an error, a cancelled task), it releases
//! itself; a crash releases all, because reservations are wiped at the next start.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::model::company::MemberUse;
use crate::model::ids::{CompanyId, ReservationId, UserId};
use crate::model::ledger::{Balance, InsufficientTokens, Posting, Settlement, TokenTransaction, TxType, Usage, VerifyReport, next_grant_at};
use crate::store::ledger::{NewReservation, ReserveOutcome};
use crate::store::{Store, StoreError};

/// Users whose use in one company is told.
pub const MEMBERS_MAX: u32 = 500;

/// What the ledger needs to know.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSettings {
    /// Tokens each user gets at the first activity of a UTC day (`DAILY_FREE_TOKEN_AMOUNT`); 0 = none.
    pub daily_free_tokens: u64,
}

/// Why tokens were not reserved.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The user has too few: 402 `insufficient_tokens`.
    #[error(transparent)]
    Insufficient(#[from] InsufficientTokens),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    seams: Seams,
    tasks: Tasks,
    settings: LedgerSettings,
}

impl Ledger {
    /// The ledger over a store.
    #[must_use]
    pub fn new(store: Store, seams: Seams, tasks: Tasks, settings: LedgerSettings) -> Self {
        Self { inner: Arc::new(Inner { store, seams, tasks, settings }) }
    }

    /// Lets go of what a process that is no more had reserved, and returns how many reservations that were. Once, at start.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        self.inner.store.release_all_tokens().await
    }

    /// Holds back an estimate for work that begins. `reference_key` names the work: its row is posted once, however often it is tried.
    ///
    /// # Errors
    /// [`InsufficientTokens`], or that the store failed.
    pub async fn reserve(
        &self,
        user: &UserId,
        company: &CompanyId,
        tx_type: TxType,
        reference_key: &str,
        tokens: u64,
    ) -> Result<Reservation, LedgerError> {
        let Inner { store, seams, settings, .. } = &*self.inner;
        let now = seams.now();
        let new = NewReservation {
            id: ReservationId::new(seams),
            user: user.clone(),
            company: Some(company.clone()),
            tx_type,
            reference_key: reference_key.to_owned(),
            tokens,
            daily_grant: settings.daily_free_tokens,
        };
        let held = HeldTokens { ledger: self.clone(), id: new.id.clone(), armed: true };
        match store.reserve_tokens(new, now).await? {
            ReserveOutcome::Reserved | ReserveOutcome::AlreadyPosted => Ok(Reservation {
                posting: Posting {
                    user: user.clone(),
                    company: Some(company.clone()),
                    tx_type,
                    reference_key: reference_key.to_owned(),
                    reference_id: reference_key.to_owned(),
                    tokens,
                    metadata: json!({}),
                },
                held,
            }),
            ReserveOutcome::Insufficient(balance, at) => {
                held.disarm();
                let next_grant_at = (settings.daily_free_tokens > 0).then(|| next_grant_at(at));
                Err(InsufficientTokens { needed: tokens, available: balance.available(), next_grant_at }.into())
            }
        }
    }

    /// Gives tokens (grants, refunds, vouchers, earnings), once per `reference_key`. A spend type takes what is available at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn post(&self, posting: Posting) -> Result<TokenTransaction, StoreError> {
        self.inner.store.post_tokens(posting, self.inner.seams.now()).await
    }

    /// What a user has; counts as activity, so today's grant is in it, unless it could not be kept: reading goes on when writing
    /// does not, and the next look makes the grant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn balance(&self, user: &UserId) -> Result<Balance, StoreError> {
        let Inner { store, seams, settings, .. } = &*self.inner;
        let now = seams.now();
        let (balance, granted) = store.token_balance(user.clone(), settings.daily_free_tokens, now).await?;
        if granted {
            return Ok(balance);
        }
        Ok(store.grant_daily_tokens(user.clone(), settings.daily_free_tokens, now).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "today's grant was not kept; the balance is shown without it");
            balance
        }))
    }

    /// A user's latest rows, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn statement(&self, user: &UserId, limit: u32) -> Result<Vec<TokenTransaction>, StoreError> {
        self.inner.store.token_statement(user.clone(), limit).await
    }

    /// What the rows of a statement were for, by reference: names of a company's runs (by their automation), conversations and documents.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn work_names(&self, company: &CompanyId, rows: &[TokenTransaction]) -> Result<HashMap<String, String>, StoreError> {
        let ids: HashSet<&String> = rows.iter().map(|row| &row.reference_id).collect();
        self.inner.store.work_names(company.clone(), ids.into_iter().cloned().collect()).await
    }

    /// A company's use over the last `days` days (24 hours each).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn usage(&self, company: &CompanyId, days: u16) -> Result<Usage, StoreError> {
        self.inner.store.token_usage(company.clone(), self.days_ago(days)).await
    }

    /// What each user spent in a company over the last `days` days, the most first; at most [`MEMBERS_MAX`] users.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member_use(&self, company: &CompanyId, days: u16) -> Result<Vec<MemberUse>, StoreError> {
        self.inner.store.member_use(company.clone(), self.days_ago(days), MEMBERS_MAX).await
    }

    fn days_ago(&self, days: u16) -> Timestamp {
        self.inner.seams.now().minus(Duration::from_secs(u64::from(days) * 86_400))
    }

    /// Recomputes the hash chain and every balance.
    ///
    /// # Errors
    /// When the store fails; what does not hold is in the report.
    pub async fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.inner.store.verify_ledger().await
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

/// Tokens held back for one piece of work. Ends by [`settle`](Self::settle), [`settle_with`](Self::settle_with) or
/// [`release`](Self::release); dropped, it releases itself.
#[must_use = "settle it with what was really used, or release it"]
#[derive(Debug)]
pub struct Reservation {
    posting: Posting,
    held: HeldTokens,
}

impl Reservation {
    /// Names what the work was for, such as a run's id; the reference key unless set.
    pub fn about(mut self, reference_id: impl Into<String>) -> Self {
        self.posting.reference_id = reference_id.into();
        self
    }

    /// Tokens held back.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.posting.tokens
    }

    /// Posts the real use and lets the rest go. Using more than was reserved charges up to what the user has available; what is
    /// missing is recorded in the row as `shortfall_tokens`. `metadata` is an object: raw counts, `model`.
    ///
    /// # Errors
    /// When the store fails; the tokens are then released.
    pub async fn settle(self, tokens: u64, metadata: Value) -> Result<TokenTransaction, StoreError> {
        let ledger = self.held.ledger.clone();
        let now = ledger.inner.seams.now();
        self.settle_with(tokens, metadata, |settlement| async move { ledger.inner.store.settle_tokens(settlement, now).await }).await
    }

    /// Settles inside another transaction: `commit` passes the [`Settlement`] to a store method that posts it together with what
    /// the tokens bought. When `commit` fails, the tokens are released.
    ///
    /// # Errors
    /// What `commit` returned.
    pub async fn settle_with<T, E, F, Fut>(self, tokens: u64, metadata: Value, commit: F) -> Result<T, E>
    where
        F: FnOnce(Settlement) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let settlement = Settlement { reservation: self.held.id.clone(), posting: Posting { tokens, metadata, ..self.posting } };
        let result = commit(settlement).await?;
        self.held.disarm();
        Ok(result)
    }

    /// Lets the tokens go unused.
    ///
    /// # Errors
    /// When the store fails; it is tried once more in the background.
    pub async fn release(self) -> Result<(), StoreError> {
        self.held.ledger.inner.store.release_tokens(self.held.id.clone()).await?;
        self.held.disarm();
        Ok(())
    }
}

/// Releases on drop, unless the reservation came to its proper end.
#[derive(Debug)]
struct HeldTokens {
    ledger: Ledger,
    id: ReservationId,
    armed: bool,
}

impl HeldTokens {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for HeldTokens {
    fn drop(&mut self) {
        // Without a runtime the process is ending: the next start wipes what is left.
        if self.armed && tokio::runtime::Handle::try_current().is_ok() {
            let (store, id) = (self.ledger.inner.store.clone(), self.id.clone());
            self.ledger.inner.tasks.spawn("release tokens", async move {
                if let Err(error) = store.release_tokens(id).await {
                    tracing::warn!(%error, "tokens of unfinished work stay reserved until the next start");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::FakeClock;
    use crate::base::random::SeededRandom;
    use crate::store::testing;

    struct Bench {
        ledger: Ledger,
        tasks: Tasks,
        user: UserId,
        company: CompanyId,
        _folder: tempfile::TempDir,
    }

    async fn bench(daily_free_tokens: u64) -> Bench {
        let (store, folder) = testing::store();
        let clock = FakeClock::new("2026-11-21T12:00:00Z".parse().unwrap());
        let seams = Seams { clock: Arc::new(clock), random: Arc::new(SeededRandom::new(1)) };
        let (user, company) = testing::user_and_company(&store).await;
        let tasks = Tasks::default();
        let ledger = Ledger::new(store, seams, tasks.clone(), LedgerSettings { daily_free_tokens });
        Bench { ledger, tasks, user, company, _folder: folder }
    }

    impl Bench {
        async fn reserve(&self, key: &str, tokens: u64) -> Result<Reservation, LedgerError> {
            self.ledger.reserve(&self.user, &self.company, TxType::ChatSpend, key, tokens).await
        }
    }

    #[tokio::test]
    async fn work_is_reserved_settled_and_posted_once() {
        let bench = bench(1_000).await;
        let reservation = bench.reserve("crn 1", 600).await.unwrap().about("cnv 9");
        assert_eq!(bench.ledger.balance(&bench.user).await.unwrap(), Balance { balance: 1_000, reserved: 600 });
        let row = reservation.settle(250, json!({ "model": "narrator" })).await.unwrap();
        assert_eq!((row.amount, row.balance_after, row.reference_id.as_str()), (-250, 750, "cnv 9"));
        let again = bench.reserve("crn 1", 600).await.unwrap().settle(600, json!({})).await.unwrap();
        assert_eq!(again, row, "a retry after the answer was stored costs nothing");
        assert_eq!(bench.ledger.balance(&bench.user).await.unwrap().available(), 750);
        assert_eq!(bench.ledger.usage(&bench.company, 30).await.unwrap().by_model[0].tokens, 250);
    }

    #[tokio::test]
    async fn too_few_tokens_say_what_is_missing_and_when_more_come() {
        let bench = bench(1_000).await;
        let Err(LedgerError::Insufficient(refusal)) = bench.reserve("big", 1_001).await else { panic!("not refused") };
        let next: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(refusal, InsufficientTokens { needed: 1_001, available: 1_000, next_grant_at: Some(next) });
        assert!(refusal.to_string().contains("2026-11-22T00:00:00.000Z"), "{refusal}");
        assert_eq!(bench.ledger.balance(&bench.user).await.unwrap().balance, 1_000, "the grant stands");
    }

    #[tokio::test]
    async fn a_dropped_reservation_and_a_failed_commit_release() {
        let bench = bench(1_000).await;
        drop(bench.reserve("dropped", 600).await.unwrap());
        let failed = bench.reserve("failed", 300).await.unwrap();
        let result: Result<(), &str> = failed.settle_with(5, json!({}), |_| async { Err("no") }).await;
        assert_eq!(result, Err("no"));
        let held = bench.reserve("released", 100).await.unwrap();
        held.release().await.unwrap();
        assert_eq!(bench.tasks.stop(Duration::from_secs(10)).await, 0);
        assert_eq!(bench.ledger.balance(&bench.user).await.unwrap(), Balance { balance: 1_000, reserved: 0 });
    }

    #[tokio::test]
    async fn the_next_grant_is_told_by_the_ledgers_own_clock() {
        let bench = bench(1_000).await;
        let (store, now) = (bench.ledger.inner.store.clone(), bench.ledger.inner.seams.now());
        // The clock was two days ahead once.
        store.grant_daily_tokens(bench.user.clone(), 1_000, now.plus(Duration::from_secs(2 * 86_400))).await.unwrap();
        let Err(LedgerError::Insufficient(refusal)) = bench.reserve("big", 5_000).await else { panic!("not refused") };
        assert_eq!(refusal.next_grant_at, Some("2026-11-24T00:00:00Z".parse::<Timestamp>().unwrap()));
    }

    #[tokio::test]
    async fn a_balance_is_read_when_todays_grant_cannot_be_kept_and_the_grant_comes_later() {
        let bench = bench(1_000).await;
        testing::refuse(&bench.ledger.inner.store, "INSERT", "token_transactions").await;
        assert_eq!(bench.ledger.balance(&bench.user).await.unwrap().balance, 0);
        testing::allow(&bench.ledger.inner.store).await;
        assert_eq!(bench.ledger.balance(&bench.user).await.unwrap().balance, 1_000);
    }
}
