//! Sessions: opaque tokens, hashed at rest, looked up at every request so that an ended one ends at once.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::Auth;
use crate::base::clock::Timestamp;
use crate::base::secret::{Secret, new_token, sha256};
use crate::model::audit::{Actor, Entry};
use crate::model::ids::SessionId;
use crate::model::session::{NewSession, Origin, Session};
use crate::model::user::Caller;
use crate::store::StoreError;
use crate::store::sessions::FoundSession;

/// A session's last use is noted to this precision: one write a minute, not one a request. The idle limit may so come up to
/// this much early, never late.
const LAST_SEEN_PRECISION: Duration = Duration::from_secs(60);
/// Characters of a token: 256 bits in base 32.
const TOKEN_CHARS: usize = 52;

impl Auth {
    /// Who presents this token; `None` when it opens nothing (any more). One indexed read, and a write once a minute.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Caller>, StoreError> {
        if token.len() != TOKEN_CHARS {
            return Ok(None);
        }
        let Some(found) = self.store.session_by_token(sha256(token.as_bytes())).await? else { return Ok(None) };
        let now = self.seams.now();
        if !self.is_open(&found.session, now) || found.user.disabled_at.is_some() {
            return Ok(None);
        }
        let session = &found.session;
        if now.since(session.last_seen_at) >= LAST_SEEN_PRECISION
            && let Err(error) = self.store.touch_session(session.id.clone(), now).await
        {
            // Reading must go on when the disk is full; the session then ends at its idle limit.
            tracing::warn!(%error, "the last use of a session was not noted");
        }
        Ok(Some(self.caller(found)))
    }

    /// The caller as they are now; `None` when their session ended or they may not come in any more. Does not count as use of the
    /// session: a stream that is open all night keeps nobody signed in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn still_signed_in(&self, caller: &Caller) -> Result<Option<Caller>, StoreError> {
        let found = self.store.session(caller.session_id.clone()).await?;
        let now = self.seams.now();
        let open = found.filter(|found| self.is_open(&found.session, now) && found.user.disabled_at.is_none());
        Ok(open.map(|found| self.caller(found)))
    }

    /// Ends the caller's session. Doing it twice changes nothing. Never fails: a session whose end cannot be kept, such as on a full
    /// disk, is over for this process at once, and its end is kept by [`Auth::keep_ends`] as soon as that is possible.
    pub async fn logout(&self, caller: &Caller, origin: &Origin) {
        let entry = Entry::new(self.seams.now(), Actor::User(Some(caller.user.id.clone())), "auth.logout", caller.session_id.as_str());
        let entry = entry.from(origin.address);
        self.ended().insert(caller.session_id.clone(), entry);
        if let Err(error) = self.keep_ends().await {
            tracing::warn!(%error, "the end of a session is not kept yet; it opens nothing all the same");
        }
    }

    /// Keeps the ends of sessions that could not be kept before.
    ///
    /// # Errors
    /// When they still cannot.
    pub async fn keep_ends(&self) -> Result<(), StoreError> {
        let waiting: Vec<_> = self.ended().iter().map(|(id, entry)| (id.clone(), entry.clone())).collect();
        for (id, entry) in waiting {
            self.store.end_session(id.clone(), entry.at, entry).await?;
            self.ended().remove(&id);
        }
        Ok(())
    }

    /// Tells the audit log how often refused sign-ins repeated in minutes that are over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tell_refusals(&self) -> Result<(), StoreError> {
        while self.store.close_refused_sign_ins(self.seams.now()).await? > 0 {}
        Ok(())
    }

    /// A session to open, and the one copy of its token.
    pub(crate) fn new_session(&self, origin: Origin) -> (NewSession, Secret<String>) {
        let token = new_token(&self.seams);
        let at = self.seams.now();
        let session = NewSession {
            id: SessionId::new(&self.seams),
            token_hash: sha256(token.expose().as_bytes()),
            at,
            expires_at: at.plus(self.session_lifetime),
            origin,
            factor_elsewhere: false,
        };
        (session, token)
    }

    fn caller(&self, found: FoundSession) -> Caller {
        let FoundSession { session, user, has_factor } = found;
        Caller { user, session_id: session.id, proven_at: session.proven_at, must_enrol: self.settings.require_factor && !has_factor }
    }

    pub(super) fn is_open(&self, session: &Session, now: Timestamp) -> bool {
        // A lifetime that was shortened since counts for the sessions that are open already.
        let end = session.expires_at.min(session.created_at.plus(self.session_lifetime));
        let idle = self.idle_limit.is_some_and(|limit| now.since(session.last_seen_at) >= limit);
        session.ended_at.is_none() && now < end && !idle && !self.ended().contains_key(&session.id)
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
