//! Tests of the ledger's rows against a real database.

use super::*;
use crate::base::seams::Seams;
use crate::store::testing;
use proptest::prelude::*;

const DAY: i64 = 86_400_000;
const NOON: Timestamp = Timestamp::from_millis(20_000 * DAY + DAY / 2);

async fn user(store: &Store) -> UserId {
    testing::user_and_company(store).await.0
}

fn posting(user: &UserId, tx_type: TxType, key: &str, tokens: u64) -> Posting {
    Posting { user: user.clone(), company: None, tx_type, reference_key: key.into(), reference_id: key.into(), tokens, metadata: json!({}) }
}

fn reservation(user: &UserId, key: &str, tokens: u64, daily_grant: u64) -> NewReservation {
    NewReservation {
        id: ReservationId::new(&Seams::system()),
        user: user.clone(),
        company: None,
        tx_type: TxType::ChatSpend,
        reference_key: key.into(),
        tokens,
        daily_grant,
    }
}

#[tokio::test]
async fn a_retry_returns_the_row_that_stands() {
    let (store, _folder) = testing::store();
    let user = user(&store).await;
    let first = store.post_tokens(posting(&user, TxType::AdminGrant, "a", 100), NOON).await.unwrap();
    let again = store.post_tokens(posting(&user, TxType::AdminGrant, "a", 999), NOON).await.unwrap();
    assert_eq!(first, again);
    let other = store.post_tokens(posting(&user, TxType::Refund, "a", 1), NOON).await.unwrap();
    assert_eq!((other.sequence, other.balance_after, other.id.as_str()), (2, 101, "ttx_0000000000000002"));
}

#[tokio::test]
async fn free_daily_comes_once_per_user_and_utc_day_and_not_again_when_the_clock_goes_back() {
    let (store, _folder) = testing::store();
    let (anna, ben) = (user(&store).await, user(&store).await);
    let day = |n: i64| Timestamp::from_millis(NOON.millis() + n * DAY);
    let balance = |who: &UserId, at| {
        let (store, who) = (store.clone(), who.clone());
        async move { store.grant_daily_tokens(who, 500, at).await.unwrap().balance }
    };
    assert_eq!(balance(&anna, day(0)).await, 500);
    assert_eq!(balance(&anna, day(0)).await, 500);
    assert_eq!(balance(&ben, day(0)).await, 500);
    assert_eq!(balance(&anna, day(1)).await, 1_000);
    assert_eq!(balance(&anna, day(-3)).await, 1_000, "a clock set back grants nothing");
    assert_eq!(store.grant_daily_tokens(anna.clone(), 0, day(2)).await.unwrap().balance, 1_000, "grants are off");
    let rows = store.token_statement(anna, 10).await.unwrap();
    assert!(rows.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at && pair[0].id > pair[1].id));
    assert_eq!(store.verify_ledger().await.unwrap().first_error, None);
}

#[tokio::test]
async fn reservations_hold_tokens_back_and_settling_charges_what_was_used() {
    let (store, _folder) = testing::store();
    let user = user(&store).await;
    let first = reservation(&user, "run 1", 400, 500);
    let settle = |reservation: &NewReservation, tokens| Settlement {
        reservation: reservation.id.clone(),
        posting: posting(&user, TxType::ChatSpend, &reservation.reference_key, tokens),
    };
    assert_eq!(store.reserve_tokens(first.clone(), NOON).await.unwrap(), ReserveOutcome::Reserved);
    let too_much = store.reserve_tokens(reservation(&user, "run 2", 101, 500), NOON).await.unwrap();
    assert_eq!(too_much, ReserveOutcome::Insufficient(Balance { balance: 500, reserved: 400 }, NOON));
    let second = reservation(&user, "run 2", 60, 500);
    assert_eq!(store.reserve_tokens(second.clone(), NOON).await.unwrap(), ReserveOutcome::Reserved);

    let row = store.settle_tokens(settle(&first, 450), NOON).await.unwrap();
    assert_eq!((row.amount, row.balance_after), (-440, 60), "more than reserved: up to what the second has not reserved");
    assert_eq!(row.metadata_json, r#"{"shortfall_tokens":10}"#);
    assert_eq!(store.reserve_tokens(first.clone(), NOON).await.unwrap(), ReserveOutcome::AlreadyPosted);
    assert_eq!(store.settle_tokens(settle(&first, 5), NOON).await.unwrap(), row, "settling again changes nothing");

    store.release_tokens(second.id.clone()).await.unwrap();
    store.release_tokens(second.id.clone()).await.unwrap();
    assert_eq!(store.grant_daily_tokens(user.clone(), 500, NOON).await.unwrap(), Balance { balance: 60, reserved: 0 });
    store.reserve_tokens(reservation(&user, "run 3", 60, 500), NOON).await.unwrap();
    assert_eq!(store.release_all_tokens().await.unwrap(), 1);
    assert_eq!(store.grant_daily_tokens(user, 500, NOON).await.unwrap().available(), 60);
}

#[tokio::test]
async fn verify_finds_an_altered_a_missing_and_a_swapped_row() {
    for (change, row, problem) in [
        ("UPDATE token_transactions SET amount = 7 WHERE sequence = 2", 2, "altered"),
        ("UPDATE token_transactions SET metadata_json = '{\"a\":1}' WHERE sequence = 3", 3, "altered"),
        ("DELETE FROM token_transactions WHERE sequence = 1", 2, "missing"),
        ("UPDATE token_transactions SET sequence = 9, id = 'ttx_0000000000000009' WHERE sequence = 2", 3, "missing"),
    ] {
        let (store, folder) = testing::store();
        let user = user(&store).await;
        for key in ["a", "b", "c"] {
            store.post_tokens(posting(&user, TxType::AdminGrant, key, 5), NOON).await.unwrap();
        }
        let before = store.verify_ledger().await.unwrap();
        assert_eq!((before.rows, before.users, &before.first_error), (3, 1, &None));
        store
            .write("tamper", |tx| {
                assert!(tx.execute("UPDATE token_transactions SET amount = 6", []).is_err(), "append-only");
                assert!(tx.execute("DELETE FROM token_transactions", []).is_err(), "append-only");
                tx.execute_batch("DROP TRIGGER token_transactions_are_not_changed; DROP TRIGGER token_transactions_are_not_deleted")?;
                Ok(tx.execute(change, [])?)
            })
            .await
            .unwrap();
        let conn = crate::store::open_read_only(&folder.path().join("onsite.db")).unwrap();
        let error = verify(&conn).unwrap().first_error.unwrap();
        assert_eq!(error.sequence, row, "{change}");
        assert!(error.problem.contains(problem), "{change}: {}", error.problem);
    }
}

#[tokio::test]
async fn usage_adds_up_by_type_day_and_model() {
    let (store, _folder) = testing::store();
    let (user, company) = testing::user_and_company(&store).await;
    let spend = |key: &str, tx_type, tokens, model: &str| Posting {
        company: Some(company.clone()),
        metadata: json!({ "model": model }),
        ..posting(&user, tx_type, key, tokens)
    };
    let next_day = Timestamp::from_millis(NOON.millis() + DAY);
    store.post_tokens(posting(&user, TxType::AdminGrant, "g", 1_000), NOON).await.unwrap();
    store.post_tokens(spend("1", TxType::ChatSpend, 30, "narrator"), NOON).await.unwrap();
    store.post_tokens(spend("2", TxType::EmbeddingSpend, 5, "minilm"), NOON).await.unwrap();
    store.post_tokens(spend("3", TxType::ChatSpend, 20, "narrator"), next_day).await.unwrap();
    let usage = store.token_usage(company.clone(), NOON).await.unwrap();
    assert_eq!(usage.totals_by_type[0], TypeTotal { tx_type: TxType::ChatSpend, tokens: 50 });
    assert_eq!(usage.by_day.iter().map(|day| day.spent).collect::<Vec<_>>(), [35, 20]);
    assert_eq!(usage.by_day[0].day, NOON.utc_date());
    assert_eq!(usage.by_model[0], ModelTotal { model: "narrator".into(), tokens: 50 });
    assert_eq!(store.token_usage(company, next_day).await.unwrap().by_day.len(), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Grant(u64),
    Reserve(u64),
    Settle(usize, u64),
    Release(usize),
    Spend(u64),
    Day,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_000_u64).prop_map(Step::Grant),
        (0..1_500_u64).prop_map(Step::Reserve),
        (any::<usize>(), 0..3_000_u64).prop_map(|(at, tokens)| Step::Settle(at, tokens)),
        any::<usize>().prop_map(Step::Release),
        (0..1_500_u64).prop_map(Step::Spend),
        Just(Step::Day),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    // Whatever happens in whatever order: no balance below zero or below what is reserved, and the ledger verifies.
    #[test]
    fn no_order_of_steps_breaks_the_ledger(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (store, _folder) = testing::store();
            let user = user(&store).await;
            let (mut open, mut now) = (Vec::<NewReservation>::new(), NOON);
            for (at, step) in steps.into_iter().enumerate() {
                let key = format!("step {at}");
                match step {
                    Step::Grant(tokens) => drop(store.post_tokens(posting(&user, TxType::AdminGrant, &key, tokens), now).await.unwrap()),
                    Step::Spend(tokens) => drop(store.post_tokens(posting(&user, TxType::ApiSpend, &key, tokens), now).await.unwrap()),
                    Step::Reserve(tokens) => {
                        let new = reservation(&user, &key, tokens, 100);
                        if store.reserve_tokens(new.clone(), now).await.unwrap() == ReserveOutcome::Reserved {
                            open.push(new);
                        }
                    }
                    Step::Settle(which, tokens) if !open.is_empty() => {
                        let held = open.swap_remove(which % open.len());
                        let used = posting(&user, TxType::ChatSpend, &held.reference_key, tokens);
                        let row = store.settle_tokens(Settlement { reservation: held.id, posting: used }, now).await.unwrap();
                        assert!(row.amount.unsigned_abs() >= tokens.min(held.tokens), "what was reserved is there");
                    }
                    Step::Release(which) if !open.is_empty() => store.release_tokens(open.swap_remove(which % open.len()).id).await.unwrap(),
                    Step::Settle(..) | Step::Release(_) => {}
                    Step::Day => now = Timestamp::from_millis(now.millis() + DAY),
                }
                let balance = store.token_balance(user.clone(), 0, now).await.unwrap().0;
                assert_eq!(balance.reserved, open.iter().map(|held| held.tokens).sum::<u64>());
                assert!(balance.balance >= balance.reserved);
            }
            assert_eq!(store.verify_ledger().await.unwrap().first_error, None);
        });
    }
}
