//! `kill -9` in the middle of ingest and chat: it starts again, no acknowledged write is lost, the ledger verifies.

use serde_json::json;

use crate::app::User;
use crate::binary::{Served, run};

/// Rounds of the test; `ONSITE_CRASH_ROUNDS` asks for more.
const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let site = crate::site::rivers().await;
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::start(folder.path());
    let mut user = User::anonymous(&served.url);
    let token = std::fs::read_to_string(folder.path().join("bootstrap-token")).unwrap();
    let redeemed = user
        .post(
            "/api/setup/redeem",
            json!({ "token": token.trim(), "email": "a@example.com", "password": "correct horse battery", "name": "A", "session": "bearer" }),
        )
        .await;
    user.token = Some(redeemed["session"]["token"].as_str().unwrap().to_owned());
    let company = format!("/api/companies/{}", user.post("/api/companies", json!({ "name": "Works" })).await["id"].as_str().unwrap());
    let rule = json!({ "destination": "127.0.0.1", "port": site.address.port(), "reason": "the test's site" });
    user.post("/api/system-admin/egress/rules", rule).await;
    let widget = user.widget(&company, &site.url("/"), 10).await;
    let rounds = std::env::var("ONSITE_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut questions: Vec<(String, String)> = Vec::new();
    for round in 0..rounds {
        // What is acknowledged before the kill must be there after it.
        let (status, _) = user.try_send(reqwest::Method::POST, &format!("{company}/widgets/{widget}/runs"), Some(json!({}))).await;
        assert!(status.is_success() || status == 409, "{status}");
        // In every third round the kill comes while the report is being embedded.
        if round % 3 == 2 {
            let run = user.get(&format!("{company}/widgets/{widget}/runs")).await["runs"][0]["id"].as_str().unwrap().to_owned();
            let mut stream = user.send(reqwest::Method::GET, &format!("{company}/runs/{run}/events"), None).await;
            let mut seen = String::new();
            while !seen.contains("event: ingest") {
                let Ok(Some(part)) = stream.chunk().await else { break };
                seen.push_str(&String::from_utf8_lossy(&part));
            }
        }
        let conversation = user.post(&format!("{company}/conversations"), json!({})).await;
        let path = format!("{company}/conversations/{}/messages", conversation["id"].as_str().unwrap());
        let question = format!("How long is the Danube? Round {round}.");
        let sent = user.post(&path, json!({ "text": question })).await;
        questions.push((path, question));
        // The moment differs from round to round: after so many events of the answer or at once.
        if round % 3 > 0 {
            let events = format!("{company}/chat-runs/{}/events", sent["run"]["id"].as_str().unwrap());
            let mut stream = user.send(reqwest::Method::GET, &events, None).await;
            for _ in 0..round % 5 {
                let _ = stream.chunk().await;
            }
        }
        served.kill();
        served = Served::start(folder.path());
        user.base.clone_from(&served.url);
    }
    for (path, question) in &questions {
        let messages = user.get(path).await;
        assert_eq!(messages["messages"][0]["text"], **question, "an acknowledged question is there");
    }
    // The last answer is completed by the restarted process, once.
    let (path, _) = questions.last().unwrap();
    let messages = user.get(path).await;
    let last_run = messages["messages"][0]["run_id"].as_str().map(str::to_owned);
    if let Some(run) = last_run {
        let events = user.events(&format!("{company}/chat-runs/{run}/events"), 0).await;
        assert!(matches!(events.last().unwrap().kind.as_str(), "done" | "failed"), "{events:?}");
    }
    // The last run comes to its end, recall included, though the process died under it.
    let last = user.get(&format!("{company}/widgets/{widget}/runs")).await["runs"][0]["id"].as_str().unwrap().to_owned();
    let events = user.events(&format!("{company}/runs/{last}/events"), 0).await;
    assert!(matches!(events.last().unwrap().kind.as_str(), "done" | "failed"), "{events:?}");
    assert!(served.terminate());
    let dir = folder.path().display().to_string();
    let verified = run(&["ledger", "verify", "--data-dir", &dir]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let database = onsite::store::open_read_only(&folder.path().join("onsite.db")).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let doubles: i64 = database
        .query_row(
            "SELECT count(*) FROM (SELECT chat_run_id FROM messages WHERE role = 'assistant' GROUP BY chat_run_id HAVING count(*) > 1)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(doubles, 0, "one answer a question");
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let twice = "SELECT count(*) FROM (SELECT 1 FROM chunks WHERE run_id IS NOT NULL GROUP BY run_id, ordinal HAVING count(*) > 1)";
    assert_eq!(count(twice), 0, "one chunk a place");
    assert_eq!(count("SELECT count(*) FROM chunks"), count("SELECT count(*) FROM chunk_vectors"), "a vector for each chunk");
    assert_eq!(count("SELECT count(*) FROM widget_runs WHERE ingest = 'running'"), 0, "no ingest is left half done");
}
