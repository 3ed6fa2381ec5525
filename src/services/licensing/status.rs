//! The state of the licence, computed from what was entered.

use std::collections::BTreeSet;

use super::LicensingSettings;
use super::judge::{self, Circumstances, authenticate, authenticate_list, is_suspect};
use crate::base::clock::Timestamp;
use crate::model::ids::LicenceId;
use crate::model::licence::{Claims, NOTICE_DAYS, ReasonCode, SignedCode, SignedList};
use crate::model::plans::{Feature, Limit, Plan};
use crate::services::audit::export::Checkpoint;
use crate::store::licence::LicenceFacts;

/// What the appliance knows about its licence at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceStatus {
    /// What the current code comes to; `None` when none was ever entered.
    pub reason: Option<ReasonCode>,
    /// The plan that applies: the code's, or the free tier.
    pub plan: Plan,
    /// What the current code states.
    pub claims: Option<Claims>,
    /// Active users.
    pub seats_used: u64,
    /// Days until the code ends, begun ones counted; 0 once it has ended.
    pub days_left: Option<u32>,
    /// The rung of the ladder of notices (60, 30, 14, 7, 1 days) that has been reached.
    pub notice_days: Option<u32>,
    /// The moment known to have passed that the clock is more than a day behind; `None` when the clock is in order.
    pub clock_suspect: Option<Timestamp>,
    /// The revocation list that counts.
    pub revocations: Option<RevocationsHeld>,
    /// This installation.
    pub install_id: Option<String>,
    /// Whether this build takes development codes.
    pub development_build: bool,
}

/// The revocation list that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationsHeld {
    /// Its number.
    pub number: u64,
    /// When the vendor issued it.
    pub issued_at: Timestamp,
    /// How many codes are on it.
    pub codes: usize,
}

impl LicenceStatus {
    /// Whether the code's plan applies.
    #[must_use]
    pub fn is_effective(&self) -> bool {
        self.reason.is_some_and(ReasonCode::is_effective)
    }

    /// Active users allowed.
    #[must_use]
    pub fn seats(&self) -> Limit {
        self.plan.limit(Feature::Seats)
    }

    /// When the plan ends for good.
    #[must_use]
    pub fn grace_until(&self) -> Option<Timestamp> {
        self.claims.as_ref().map(Claims::grace_until)
    }
}

/// Computes the state of the licence.
///
/// The code entered last whose plan applies is the current one; without any, the one entered last says why.
#[must_use]
pub fn compute(facts: &LicenceFacts, settings: &LicensingSettings, now: Timestamp) -> LicenceStatus {
    let codes: Vec<SignedCode> = facts.lines.iter().filter_map(|line| SignedCode::from_text(line).ok()).collect();
    let others = authentic_claims(&codes, settings);
    let newest_list = newest_list(facts, settings);
    let revoked = revoked(newest_list.as_ref());
    let mut judged = codes.iter().map(|code| (code, judge_with(code, &others, &revoked, facts, settings, now)));
    let newest = judged.next();
    let current = match newest {
        Some((_, reason)) if !reason.is_effective() => judged.find(|(_, reason)| reason.is_effective()).or(newest),
        _ => newest,
    };
    let floor = floor(facts, settings);
    let floor = current.map_or(floor, |(code, _)| floor.max(code.claims().issued_at));
    let passed = now.max(floor);
    let plan = current.filter(|(_, reason)| reason.is_effective()).map_or_else(Plan::free, |(code, _)| plan_of(code.claims()));
    let over_seats = !plan.limit(Feature::Seats).allows(facts.active_users);
    let days_left = current.map(|(code, _)| days_until(code.claims().expires_at, passed));
    LicenceStatus {
        reason: current.map(|(_, reason)| if reason == ReasonCode::Ok && over_seats { ReasonCode::SeatLimitReached } else { reason }),
        plan,
        claims: current.map(|(code, _)| code.claims().clone()),
        seats_used: facts.active_users,
        days_left,
        notice_days: days_left.and_then(|days| NOTICE_DAYS.into_iter().filter(|rung| days <= *rung).min()),
        clock_suspect: is_suspect(now, floor).then_some(floor),
        revocations: newest_list.as_ref().map(SignedList::list).map(|list| RevocationsHeld {
            number: list.number,
            issued_at: list.issued_at,
            codes: list.revoked.len(),
        }),
        install_id: facts.install_id.clone(),
        development_build: settings.ring.is_development(),
    }
}

/// What a code would come to if it were entered now.
pub(super) fn judge_entry(code: &SignedCode, facts: &LicenceFacts, settings: &LicensingSettings, now: Timestamp) -> ReasonCode {
    let codes: Vec<SignedCode> = facts.lines.iter().filter_map(|line| SignedCode::from_text(line).ok()).collect();
    let revoked = revoked(newest_list(facts, settings).as_ref());
    judge_with(code, &authentic_claims(&codes, settings), &revoked, facts, settings, now)
}

fn judge_with(
    code: &SignedCode,
    others: &[Claims],
    revoked: &BTreeSet<LicenceId>,
    facts: &LicenceFacts,
    settings: &LicensingSettings,
    now: Timestamp,
) -> ReasonCode {
    let floor = floor(facts, settings);
    judge::judge(code, &settings.ring, &Circumstances { now, floor, install_id: facts.install_id.as_deref(), others, revoked })
}

/// The list with the highest number, of the one that came with this build and the one that was taken. A list is complete, so it counts alone.
pub(super) fn newest_list(facts: &LicenceFacts, settings: &LicensingSettings) -> Option<SignedList> {
    let taken = facts.revocations.as_deref().and_then(|line| SignedList::from_text(line).ok());
    let lists = [settings.revocations.clone(), taken].into_iter().flatten();
    lists.filter(|list| authenticate_list(list, &settings.ring).is_ok()).max_by_key(|list| list.list().number)
}

fn revoked(list: Option<&SignedList>) -> BTreeSet<LicenceId> {
    list.map(|list| list.list().revoked.clone()).unwrap_or_default()
}

/// Only a code that the vendor signed may replace another.
fn authentic_claims(codes: &[SignedCode], settings: &LicensingSettings) -> Vec<Claims> {
    codes.iter().filter(|code| authenticate(code, &settings.ring).is_ok()).map(|code| code.claims().clone()).collect()
}

/// The latest moment that is known to have passed, but for the code's own issue.
fn floor(facts: &LicenceFacts, settings: &LicensingSettings) -> Timestamp {
    let moments = [facts.clock_high_water, checkpoint_at(facts)].into_iter().flatten();
    moments.fold(settings.build_date, Timestamp::max)
}

/// When this installation last signed a checkpoint of its audit log. Whoever alters rows only cannot sign one.
fn checkpoint_at(facts: &LicenceFacts) -> Option<Timestamp> {
    let checkpoint: Checkpoint = serde_json::from_str(facts.checkpoint.as_deref()?).ok()?;
    let is_ours = facts.install_id.as_deref() == Some(checkpoint.install_id.as_str()) && checkpoint.holds();
    is_ours.then(|| Timestamp::from_millis(checkpoint.at))
}

/// The plan a code grants: its key, its overrides, its seats. Limits this build does not know are left out.
fn plan_of(claims: &Claims) -> Plan {
    let plan = crate::model::plans::find(&claims.plan).map_or_else(Plan::free, Plan::of);
    let seats = if claims.seats == u32::MAX { Limit::Unlimited } else { Limit::UpTo(u64::from(claims.seats)) };
    let known = claims.features.iter().filter_map(|(key, limit)| Some((Feature::from_key(key)?, Limit::from(*limit))));
    known.fold(plan.with(Feature::Seats, seats), |plan, (feature, limit)| plan.with(feature, limit))
}

fn days_until(end: Timestamp, now: Timestamp) -> u32 {
    u32::try_from(end.since(now).as_millis().div_ceil(86_400_000)).unwrap_or(u32::MAX)
}
