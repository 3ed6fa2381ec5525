//! Entering a code or a revocation list, however it came: judged, kept, recorded.

use std::net::IpAddr;

use serde_json::json;

use super::judge::authenticate_list;
use super::refusal::{CodeRefusal, EnterError};
use super::status::{self, compute};
use super::{Inner, KeyRing, LicenceStatus, Licensing};
use crate::base::clock::Timestamp;
use crate::model::audit::{Actor, Entry, Outcome};
use crate::model::licence::request::KEYS_MAX;
use crate::model::licence::text::{Carried, REVOCATIONS};
use crate::model::licence::{LicenceRequest, ReasonCode, SignedCode, SignedList};
use crate::store::StoreError;
use crate::store::licence::{NewCode, NewList};

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenKind {
    /// An activation code.
    Code,
    /// A revocation list.
    Revocations,
}

/// What was taken, and what is the case since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it was.
    pub kind: TakenKind,
    /// The state of the licence with it.
    pub status: LicenceStatus,
}

impl Licensing {
    /// Judges a code or a revocation list as pasted or uploaded and keeps it if it counts. Either way an audit row says so.
    ///
    /// # Errors
    /// [`CodeRefusal`] with the reason, or that the store failed.
    pub async fn enter(&self, text: &str, actor: Actor, address: Option<IpAddr>) -> Result<Taken, EnterError> {
        let entry = Entry { address, ..Entry::new(self.inner.seams.now(), actor, "license.enter", "activation code") };
        let taken = match Carried::from_text(text) {
            Ok(Carried::Code(code)) => self.try_enter(&code, entry.clone()).await.map(|()| TakenKind::Code),
            Ok(Carried::Revocations(list)) => self.try_take_list(&list, entry.clone()).await.map(|()| TakenKind::Revocations),
            Ok(Carried::Request(_)) => Err(CodeRefusal::is_a_request().into()),
            Err(error) if REVOCATIONS.begins(text) => Err(CodeRefusal::malformed_list(&error).into()),
            Err(error) => Err(CodeRefusal::from(error).into()),
        };
        match taken {
            Ok(kind) => {
                // What is due with it is said at once.
                self.watch().await?;
                Ok(Taken { kind, status: self.status().await? })
            }
            Err(EnterError::Refused(refusal)) => {
                let detail = json!({ "reason": refusal.reason, "message": refusal.message });
                self.inner.store.record_audit(Entry { outcome: Outcome::Refused, detail, ..entry }).await?;
                Err(refusal.into())
            }
            Err(error) => Err(error),
        }
    }

    async fn try_enter(&self, code: &SignedCode, entry: Entry) -> Result<(), EnterError> {
        let Inner { store, settings, .. } = &*self.inner;
        let facts = store.licence_facts().await?;
        let reason = status::judge_entry(code, &facts, settings, entry.at);
        if !reason.is_effective() {
            return Err(CodeRefusal::judged(reason, code).into());
        }
        let claims = code.claims();
        let before = compute(&facts, settings, entry.at);
        let detail = json!({
            "before": { "code": before.claims.map(|claims| claims.jti), "plan": before.plan.key },
            "after": { "code": claims.jti, "customer": claims.customer, "plan": claims.plan, "seq": claims.seq, "expires_at": claims.expires_at },
        });
        let new = NewCode {
            jti: claims.jti.clone(),
            line: code.to_line(),
            customer: claims.customer.clone(),
            seq: claims.seq,
            claims_json: serde_json::to_string(claims).map_err(StoreError::from)?,
            at: entry.at,
            by: entry.actor.as_str().to_owned(),
        };
        let entry = Entry { object: claims.jti.to_string(), detail, ..entry };
        if store.keep_activation_code(new, entry).await? { Ok(()) } else { Err(CodeRefusal::of(ReasonCode::Superseded).into()) }
    }

    async fn try_take_list(&self, signed: &SignedList, entry: Entry) -> Result<(), EnterError> {
        let Inner { store, settings, .. } = &*self.inner;
        authenticate_list(signed, &settings.ring).map_err(|reason| CodeRefusal::of_list(reason, signed))?;
        let list = signed.list();
        let facts = store.licence_facts().await?;
        let held = status::newest_list(&facts, settings);
        if held.as_ref() == Some(signed) {
            return Ok(());
        }
        if let Some(held) = held.filter(|held| held.list().number >= list.number) {
            return Err(CodeRefusal::older_list(list.number, held.list().number).into());
        }
        let detail = json!({ "number": list.number, "issued_at": list.issued_at, "codes": list.revoked.len() });
        let entry = Entry { action: "license.revocations", object: format!("revocation list {}", list.number), detail, ..entry };
        let new =
            NewList { number: list.number, line: signed.to_line(), issued_at: list.issued_at, at: entry.at, by: entry.actor.as_str().to_owned() };
        if store.keep_revocation_list(new, entry).await? { Ok(()) } else { Err(CodeRefusal::older_list(list.number, list.number).into()) }
    }

    /// What this installation asks its vendor for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn request(&self, company: Option<String>, contact: Option<String>) -> Result<LicenceRequest, StoreError> {
        let request = request_of(self.status().await?, &self.inner.settings.ring, self.inner.seams.now(), company, contact);
        request.ok_or_else(|| StoreError::corrupt("the installation row is gone"))
    }
}

/// What an installation asks its vendor for; `None` before its first start.
#[must_use]
pub fn request_of(status: LicenceStatus, ring: &KeyRing, now: Timestamp, company: Option<String>, contact: Option<String>) -> Option<LicenceRequest> {
    Some(LicenceRequest {
        install_id: status.install_id?,
        company: company.or_else(|| status.claims.as_ref().map(|claims| claims.company.clone())),
        contact,
        product: format!("onsite {}", env!("CARGO_PKG_VERSION")),
        made_at: now.whole_seconds(),
        seats_used: status.seats_used,
        current: status.claims.map(|claims| claims.jti),
        keys: ring.keys().iter().filter(|key| key.in_use_at(now)).map(|key| key.kid.clone()).take(KEYS_MAX).collect(),
    })
}
