//! The issuer (`ONSITE=0`): orders for activation codes, kept until they can be signed, signed as soon as there is a key.

mod signing;

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Mutex;

use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::model::audit::{Actor, Entry};
use crate::model::ids::IssueRequestId;
use crate::model::issuer::{IssueOrder, IssueRequest, IssueState, SIGNING_NOT_CONFIGURED};
use crate::model::session::Origin;
use crate::model::user::Caller;
use crate::services::licensing::issue::{self, IssueError};
use crate::store::{Store, StoreError};

pub use signing::Signing;

/// Most orders signed in one turn; the next turn takes the rest.
const TURN_MAX: u32 = 100;
/// Most orders shown.
const SHOWN_MAX: u32 = 500;
/// Most orders that may wait: what comes after them is asked to wait outside.
const PENDING_MAX: u64 = 10_000;

/// What the issuer is started with.
#[derive(Debug)]
pub struct IssuerSettings {
    /// Whether this process is an issuer; on an appliance nothing of it is there.
    pub enabled: bool,
    /// Who issues: stands in every code.
    pub issuer: String,
    /// The key to sign with.
    pub signing: Signing,
}

/// Orders and their codes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Issuer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    seams: Seams,
    settings: IssuerSettings,
    // One at a time, so that a customer's codes are counted without a gap.
    turn: Mutex<()>,
}

/// Why an order was not taken, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Something in it does not hold.
    #[error(transparent)]
    Order(#[from] IssueError),
    /// Too many wait already.
    #[error("{PENDING_MAX} orders wait for a signing key already")]
    TooManyPending,
    /// There is no such order.
    #[error("there is no such order")]
    NotThere,
    /// It was signed or taken back already.
    #[error("the order does not wait any more: it is {0}")]
    NotPending(IssueState),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// Builds the feature.
    #[must_use]
    pub fn new(store: Store, seams: Seams, settings: IssuerSettings) -> Self {
        let inner = Inner { store, seams, settings, turn: Mutex::new(()) };
        Self { inner: Arc::new(inner) }
    }

    /// Whether this process is an issuer.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.inner.settings.enabled
    }

    /// The key to sign with, or why there is none.
    #[must_use]
    pub fn signing(&self) -> &Signing {
        &self.inner.settings.signing
    }

    /// The reason code of an issuer that cannot sign.
    #[must_use]
    pub fn readiness(&self) -> Option<&'static str> {
        let cannot = self.is_enabled() && self.signing().key_at(self.inner.seams.now()).is_err();
        cannot.then_some(SIGNING_NOT_CONFIGURED)
    }

    /// The newest orders.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<IssueRequest>, StoreError> {
        self.inner.store.issue_requests(SHOWN_MAX).await
    }

    /// How many orders wait for a key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pending_count(&self) -> Result<u64, StoreError> {
        self.inner.store.pending_issue_count().await
    }

    /// One order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: &IssueRequestId) -> Result<Option<IssueRequest>, StoreError> {
        self.inner.store.issue_request(id.clone()).await
    }

    /// Takes an order and signs it if there is a key; else it waits as `pending_signing_key`.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn order(&self, by: &Caller, origin: &Origin, order: IssueOrder) -> Result<IssueRequest, OrderError> {
        let Inner { store, seams, .. } = &*self.inner;
        // A trial with a key that is thrown away finds what does not hold now, not when the key comes.
        issue::issue(self.full(order.clone(), 1), &issue::generate_key(seams), seams)?;
        if self.pending_count().await? >= PENDING_MAX {
            return Err(OrderError::TooManyPending);
        }
        let at = seams.now();
        let request = IssueRequest {
            id: IssueRequestId::new(seams),
            state: IssueState::PendingSigningKey,
            order,
            created_at: at,
            created_by: by.user.id.to_string(),
            signed_at: None,
            code: None,
        };
        let detail = json!({ "customer": request.order.customer, "plan": request.order.plan, "days": request.order.days });
        let entry = Entry::new(at, Actor::User(Some(by.user.id.clone())), "issuer.ordered", request.id.as_str());
        store.add_issue_request(request.clone(), entry.from(origin.address).detail(detail)).await?;
        self.sign(&request, Actor::User(Some(by.user.id.clone()))).await?;
        self.get(&request.id).await?.ok_or(OrderError::NotThere)
    }

    /// Tries again to sign an order that waits; without a key it goes on waiting.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn sign_now(&self, by: &Caller, id: &IssueRequestId) -> Result<IssueRequest, OrderError> {
        let request = self.get(id).await?.ok_or(OrderError::NotThere)?;
        if request.state != IssueState::PendingSigningKey {
            return Err(OrderError::NotPending(request.state));
        }
        self.sign(&request, Actor::User(Some(by.user.id.clone()))).await?;
        self.get(id).await?.ok_or(OrderError::NotThere)
    }

    /// Takes an order back that waits.
    ///
    /// # Errors
    /// See [`OrderError`].
    pub async fn withdraw(&self, by: &Caller, origin: &Origin, id: &IssueRequestId) -> Result<(), OrderError> {
        let entry = Entry::new(self.inner.seams.now(), Actor::User(Some(by.user.id.clone())), "issuer.withdrawn", id.as_str());
        if self.inner.store.withdraw_issue_request(id.clone(), entry.from(origin.address)).await? {
            return Ok(());
        }
        let request = self.get(id).await?.ok_or(OrderError::NotThere)?;
        Err(OrderError::NotPending(request.state))
    }

    /// Signs what waits, if there is a key. Idempotent: for the recurring task.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sign_pending(&self) -> Result<(), StoreError> {
        if !self.is_enabled() || self.signing().key_at(self.inner.seams.now()).is_err() {
            return Ok(());
        }
        loop {
            let waiting = self.inner.store.pending_issue_requests(TURN_MAX).await?;
            let mut signed = 0;
            for request in &waiting {
                match self.sign(request, Actor::System).await {
                    Ok(true) => signed += 1,
                    Ok(false) => {}
                    Err(OrderError::Store(error)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(request = request.id.as_str(), %error, "an order cannot be signed any more: withdraw it and order anew")
                    }
                }
            }
            if signed == 0 || waiting.len() < TURN_MAX as usize {
                return Ok(());
            }
        }
    }

    /// Signs one order; false when there is no key, or it does not wait any more.
    async fn sign(&self, request: &IssueRequest, actor: Actor) -> Result<bool, OrderError> {
        let Inner { store, seams, settings, turn, .. } = &*self.inner;
        let now: Timestamp = seams.now();
        let Ok(key) = settings.signing.key_at(now) else { return Ok(false) };
        let _turn = turn.lock().await;
        let seq = store.newest_issued_seq(request.order.customer.clone()).await? + 1;
        let code = issue::issue(self.full(request.order.clone(), seq), key, seams)?;
        let claims = code.claims();
        let detail = json!({ "code": claims.jti, "customer": claims.customer, "seq": seq, "plan": claims.plan, "key": claims.kid });
        let entry = Entry::new(now, actor, "issuer.signed", request.id.as_str()).detail(detail);
        Ok(store.keep_issued(request.id.clone(), code, now, entry).await?)
    }

    fn full(&self, order: IssueOrder, seq: u64) -> issue::Order {
        issue::Order {
            issuer: self.inner.settings.issuer.clone(),
            customer: order.customer,
            company: order.company,
            plan: order.plan,
            features: order.features,
            seats: order.seats,
            not_before: order.not_before,
            days: order.days,
            grace_days: order.grace_days,
            install_id: order.install_id,
            seq,
            supersedes: order.supersedes,
            environment: order.environment,
        }
    }
}
