//! Every reason code of the specification, produced through the front door: a new reason without a scenario does not compile.

use std::time::Duration;

use super::tests::{Bench, bench, order};
use super::*;
use crate::base::clock::Timestamp;
use crate::model::licence::{Claims, Environment};
use crate::store::testing;
use ed25519_dalek::SigningKey;

const DAY: Duration = Duration::from_secs(86_400);

/// Makes the reason happen and returns what was said.
async fn scenario(reason: ReasonCode) -> ReasonCode {
    let bench = bench();
    bench.store.open_installation("ins_here".into(), Timestamp::from_millis(1_000)).await.unwrap();
    match reason {
        ReasonCode::Ok => after(&bench, Duration::ZERO).await,
        ReasonCode::ExpiredInGrace => after(&bench, 365 * DAY).await,
        ReasonCode::Expired => after(&bench, 379 * DAY).await,
        ReasonCode::NotYetValid => {
            let begins = Some(bench.seams.now().plus(DAY));
            refused(&bench, &bench.issue(issue::Order { not_before: begins, ..order("team", 1) })).await
        }
        ReasonCode::BadSignature => {
            let mut bytes = bench.issue(order("team", 1)).bytes().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            refused(&bench, &SignedCode::parse(&bytes).unwrap()).await
        }
        ReasonCode::UnknownKey => {
            let foreign = issue::issue(order("team", 1), &SigningKey::from_bytes(&[3; 32]), &bench.seams).unwrap();
            refused(&bench, &foreign).await
        }
        ReasonCode::KeyRetired => {
            let pem = format!("retired-at: 2026-01-01T00:00:00Z\n{}", issue::public_pem(&bench.key).unwrap());
            let bench = bench.upgraded(KeyRing::release(&pem).unwrap(), None);
            refused(&bench, &bench.issue(order("team", 1))).await
        }
        ReasonCode::Malformed => bench.take("rubbish").await.unwrap_err(),
        ReasonCode::UnsupportedVersion => bench.take("ONSITE2-00000000").await.unwrap_err(),
        ReasonCode::WrongAudience => refused(&bench, &changed(&bench, |claims| claims.audience = "elsewhere".into())).await,
        ReasonCode::WrongInstallation => refused(&bench, &changed(&bench, |claims| claims.install_id = Some("ins_there".into()))).await,
        ReasonCode::Superseded => {
            bench.enter(&bench.issue(order("team", 2))).await.unwrap();
            refused(&bench, &bench.issue(order("team", 1))).await
        }
        ReasonCode::Revoked => {
            let code = bench.issue(order("team", 1));
            bench.enter(&code).await.unwrap();
            bench.take(&bench.list(1, &[&code]).to_armour()).await.unwrap();
            bench.reason().await.unwrap()
        }
        ReasonCode::ClockSuspect => {
            bench.enter(&bench.issue(order("team", 1))).await.unwrap();
            bench.store.advance_clock_high_water(Duration::from_millis(bench.seams.now().millis().unsigned_abs()) + 2 * DAY).await.unwrap();
            bench.reason().await.unwrap()
        }
        ReasonCode::SeatLimitReached => {
            bench.enter(&bench.issue(issue::Order { seats: Some(6), ..order("team", 1) })).await.unwrap();
            for _ in 0..7 {
                testing::user_and_company(&bench.store).await;
            }
            bench.reason().await.unwrap()
        }
        ReasonCode::WrongEnvironment => refused(&bench, &changed(&bench, |claims| claims.environment = Environment::Development)).await,
    }
}

async fn after(bench: &Bench, span: Duration) -> ReasonCode {
    bench.enter(&bench.issue(order("team", 1))).await.unwrap();
    bench.clock.advance(span);
    bench.reason().await.unwrap()
}

async fn refused(bench: &Bench, code: &SignedCode) -> ReasonCode {
    let plan = bench.licensing.status().await.unwrap().plan;
    let reason = bench.enter(code).await.unwrap_err();
    assert_eq!(bench.licensing.status().await.unwrap().plan, plan, "a refusal changes nothing");
    reason
}

fn changed(bench: &Bench, change: impl FnOnce(&mut Claims)) -> SignedCode {
    let mut claims = bench.issue(order("team", 1)).claims().clone();
    change(&mut claims);
    issue::sign(claims, &bench.key).unwrap()
}

#[tokio::test]
async fn every_reason_has_a_scenario_that_produces_it() {
    for &reason in ReasonCode::ALL {
        assert_eq!(scenario(reason).await, reason);
    }
}
