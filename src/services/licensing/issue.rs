//! The vendor's side: codes and revocation lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};

use super::keys::fingerprint;
use crate::base::clock::Timestamp;
use crate::base::seams::Seams;
use crate::base::text::nearest;
use crate::model::ids::LicenceId;
use crate::model::licence::{AUDIENCE, Claims, Environment, MalformedCode, RevocationList, SignedCode, SignedList};
use crate::model::plans::{self, Feature};

pub use super::private_key::{generate_key, public_pem};

/// Most days a code can last: a hundred years, so that a typing error in a date shows.
const DAYS_MAX: u32 = 36_525;

/// What a customer ordered.
#[derive(Clone, Debug)]
pub struct Order {
    /// Who issues.
    pub issuer: String,
    /// The customer's key: `seq` counts per customer.
    pub customer: String,
    /// The company as it is shown.
    pub company: String,
    /// Key of the plan.
    pub plan: String,
    /// Limits that differ from the plan's, by feature key; `None` = unlimited.
    pub features: BTreeMap<String, Option<u64>>,
    /// Active users; the plan's number when not given.
    pub seats: Option<u32>,
    /// When it begins; now when not given.
    pub not_before: Option<Timestamp>,
    /// Days it lasts.
    pub days: u32,
    /// Days of grace.
    pub grace_days: u32,
    /// The one installation it is for.
    pub install_id: Option<String>,
    /// The customer's counter.
    pub seq: u64,
    /// Codes that end with this one.
    pub supersedes: Vec<LicenceId>,
    /// Which builds take it.
    pub environment: Environment,
}

/// Why no code was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// No such plan.
    #[error("there is no plan `{0}`; the plans are {plans}{nearest}", plans = plan_keys(), nearest = did_you_mean(.0))]
    UnknownPlan(String),
    /// No such feature.
    #[error("there is no feature `{0}`; the features are {features}", features = feature_keys())]
    UnknownFeature(String),
    /// Too long or no time at all.
    #[error("a code lasts 1 to {DAYS_MAX} days, and its grace at most as long")]
    Days,
    /// A claim that cannot be written.
    #[error("the order cannot be written as a code: {0}")]
    Claim(#[from] MalformedCode),
}

fn plan_keys() -> String {
    plans::PLANS.iter().map(|plan| plan.key).collect::<Vec<_>>().join(", ")
}

fn feature_keys() -> String {
    Feature::ALL.iter().map(|feature| feature.key()).collect::<Vec<_>>().join(", ")
}

fn did_you_mean(plan: &str) -> String {
    nearest(plan, plans::PLANS.iter().map(|plan| plan.key)).map_or_else(String::new, |key| format!("; did you mean {key}?"))
}

/// Signs an order.
///
/// # Errors
/// What about the order does not hold.
pub fn issue(order: Order, key: &SigningKey, seams: &Seams) -> Result<SignedCode, IssueError> {
    let plan = plans::find(&order.plan).ok_or(IssueError::UnknownPlan(order.plan))?;
    if let Some(unknown) = order.features.keys().find(|key| Feature::from_key(key).is_none()) {
        return Err(IssueError::UnknownFeature(unknown.clone()));
    }
    if !(1..=DAYS_MAX).contains(&order.days) || order.grace_days > DAYS_MAX {
        return Err(IssueError::Days);
    }
    let seats = order.seats.unwrap_or_else(|| {
        let of_plan = plans::Plan::of(plan).limit(Feature::Seats).number();
        of_plan.map_or(u32::MAX, |seats| u32::try_from(seats).unwrap_or(u32::MAX))
    });
    let issued_at = seams.now().whole_seconds();
    let not_before = order.not_before.map_or(issued_at, Timestamp::whole_seconds);
    let mut supersedes = order.supersedes;
    supersedes.sort();
    supersedes.dedup();
    let claims = Claims {
        kid: fingerprint(&key.verifying_key()),
        jti: LicenceId::new(seams),
        seq: order.seq,
        supersedes,
        issuer: order.issuer,
        audience: AUDIENCE.to_owned(),
        customer: order.customer,
        company: order.company,
        plan: plan.key.to_owned(),
        features: order.features,
        seats,
        issued_at,
        not_before,
        expires_at: not_before.plus(Duration::from_secs(u64::from(order.days) * 86_400)),
        grace_days: order.grace_days,
        install_id: order.install_id,
        environment: order.environment,
        extensions: BTreeMap::new(),
    };
    Ok(sign(claims, key)?)
}

/// Signs claims as they are.
///
/// # Errors
/// A claim that cannot be written.
pub fn sign(claims: Claims, key: &SigningKey) -> Result<SignedCode, MalformedCode> {
    SignedCode::sign(claims, |message| key.sign(message).to_bytes())
}

/// Signs the list of revoked codes. It is complete, so its number must be above that of every list before it.
///
/// # Errors
/// A list that cannot be written: too long, or an issuer that does not fit.
pub fn sign_list(number: u64, issuer: &str, revoked: BTreeSet<LicenceId>, key: &SigningKey, seams: &Seams) -> Result<SignedList, MalformedCode> {
    let list = RevocationList {
        kid: fingerprint(&key.verifying_key()),
        number,
        issuer: issuer.to_owned(),
        audience: AUDIENCE.to_owned(),
        issued_at: seams.now().whole_seconds(),
        revoked,
    };
    SignedList::sign(list, |message| key.sign(message).to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::licence::GRACE_DAYS_DEFAULT;

    fn order() -> Order {
        Order {
            issuer: "Vendor".into(),
            customer: "acme".into(),
            company: "Acme".into(),
            plan: "team".into(),
            features: BTreeMap::new(),
            seats: None,
            not_before: None,
            days: 365,
            grace_days: GRACE_DAYS_DEFAULT,
            install_id: None,
            seq: 1,
            supersedes: Vec::new(),
            environment: Environment::Production,
        }
    }

    #[test]
    fn an_order_becomes_a_code_with_the_plans_seats() {
        let seams = Seams::system();
        let key = generate_key(&seams);
        let code = issue(order(), &key, &seams).unwrap();
        assert_eq!((code.claims().seats, code.claims().kid.as_str()), (10, fingerprint(&key.verifying_key()).as_str()));
        assert_eq!(code.claims().expires_at.since(code.claims().not_before), Duration::from_secs(365 * 86_400));
    }

    #[test]
    fn an_order_that_does_not_hold_says_why() {
        let seams = Seams::system();
        let key = generate_key(&seams);
        let refused = |order| issue(order, &key, &seams).unwrap_err().to_string();
        assert!(refused(Order { plan: "buisness".into(), ..order() }).contains("did you mean business?"));
        assert!(refused(Order { features: [("widgets".to_owned(), None)].into(), ..order() }).contains("max_widgets"));
        assert!(refused(Order { days: 0, ..order() }).contains("1 to 36525 days"));
        assert!(refused(Order { customer: String::new(), ..order() }).contains("customer"));
    }
}
