//! Ledger rows per second: many writers that share commits, against the same rows with one commit each. Prints the ratio.
//!
//! `cargo bench --bench ledger`; a folder on the disk to measure may be given: `-- DIR` (default: the system's temporary folder).

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a benchmark measures real time and stops when something fails")]

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use onsite::base::clock::Timestamp;
use onsite::base::paths::DataDir;
use onsite::base::seams::Seams;
use onsite::base::vault::Vault;
use onsite::model::ids::UserId;
use onsite::model::ledger::{Posting, TxType};
use onsite::store::{Store, StoreOptions};

/// Writers that wait at once, as busy chats and runs do.
const WRITERS: usize = 64;
/// How long each side runs.
const SPAN: Duration = Duration::from_secs(8);
const NOW: Timestamp = Timestamp::from_millis(1_795_300_000_000);

fn main() {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(&parent).expect("a temporary folder");
    let dir = DataDir::new(folder.path());
    let store = Store::open(&dir, StoreOptions { readers_max: 2, now: NOW, vault: Vault::without_key(&Seams::system()) }).expect("a store");
    let user = UserId::new(&Seams::system());
    let connection = rusqlite::Connection::open(dir.database()).expect("a connection");
    let sql = "INSERT INTO users (id, email_index, name, password_hash, created_at) VALUES (?1, ?1, x'0041', '', 0)";
    connection.execute(sql, [user.as_str()]).expect("a user");
    drop(connection);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let one = rows_per_second(&runtime, &store, &user, "one commit per row", 1);
    let grouped = rows_per_second(&runtime, &store, &user, "group commit", WRITERS);
    let report = runtime.block_on(store.verify_ledger()).expect("the ledger reads");
    assert!(report.first_error.is_none(), "{report:?}");
    println!("one commit per row  {one:>8.0} rows/s   (1 writer, each row waits for its own fsync)");
    println!("group commit        {grouped:>8.0} rows/s   ({WRITERS} writers share commits)");
    println!("ratio               {:>8.1}x          ({} rows, the ledger verifies)", grouped / one, report.rows);
}

fn rows_per_second(runtime: &tokio::runtime::Runtime, store: &Store, user: &UserId, name: &str, writers: usize) -> f64 {
    let started = Instant::now();
    let rows = runtime.block_on(async {
        stream::iter(0_u64..)
            .take_while(|_| std::future::ready(started.elapsed() < SPAN))
            .map(|at| {
                let posting = Posting {
                    user: user.clone(),
                    company: None,
                    tx_type: TxType::AdminGrant,
                    reference_key: format!("{name} {at}"),
                    reference_id: "bench".to_owned(),
                    tokens: 1,
                    metadata: serde_json::json!({ "model": "bench", "prompt_tokens": at }),
                };
                store.post_tokens(posting, NOW)
            })
            .buffer_unordered(writers)
            .fold(0_u64, |rows, posted| {
                posted.expect("a posted row");
                std::future::ready(rows + 1)
            })
            .await
    });
    rows as f64 / started.elapsed().as_secs_f64()
}
