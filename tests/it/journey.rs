//! The main job, from an empty folder to a cited answer and a ledger that holds.

use reqwest::StatusCode;
use serde_json::json;

use crate::app::TestApp;
use crate::site::rivers;

#[tokio::test(flavor = "multi_thread")]
async fn from_a_website_to_a_cited_answer() {
    let site = rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    let (run, events) = app.user.run(&company, &widget).await;
    assert_eq!((run["state"].as_str(), run["ingest"].as_str()), (Some("succeeded"), Some("done")), "{run}");
    assert_eq!(run["pages_collected"], 3, "{run}");
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=events.len() as u64).collect::<Vec<_>>(), "places without gaps");
    assert_eq!(events.last().unwrap().kind, "done");

    // Every finding and metric points at evidence whose quote stands in the stored page.
    let report = app.user.get(&format!("{company}/reports/{}", run["report_id"].as_str().unwrap())).await;
    let evidence = report["evidence"].as_array().unwrap();
    assert!(!report["findings"].as_array().unwrap().is_empty() && !report["metrics"].as_array().unwrap().is_empty(), "{report}");
    for item in report["findings"].as_array().unwrap().iter().chain(report["metrics"].as_array().unwrap()) {
        let cited = item["evidence"].as_array().unwrap();
        assert!(!cited.is_empty(), "{item}");
        assert!(cited.iter().all(|id| evidence.iter().any(|known| known["id"] == *id)), "{item}");
    }
    for item in evidence {
        let page = app.user.get(&format!("{company}/pages/{}", item["content_hash"].as_str().unwrap())).await;
        assert!(page["text"].as_str().unwrap().contains(item["quote"].as_str().unwrap()), "{item}");
    }

    // The answer quotes, cites, and is as fresh as its source.
    let (message, run_path, events) = app.user.ask(&company, "How long is the Danube?").await;
    assert!(message["text"].as_str().unwrap().contains("2,850 km"), "{message}");
    assert_eq!(message["quoted"], true);
    let citations = message["citations"].as_array().unwrap();
    assert!(!citations.is_empty(), "{message}");
    for citation in citations {
        assert_eq!(citation["freshness"], "FRESH");
        let chunk = app.user.get(&format!("{company}/chunks/{}", citation["chunk_id"].as_str().unwrap())).await;
        assert!(chunk["content"].as_str().unwrap().contains(citation["quote"].as_str().unwrap()), "{citation} {chunk}");
    }

    // From any event on, a follower sees the same rest.
    for after in 0..events.len() as u64 {
        let rest = app.user.events(&format!("{run_path}/events"), after).await;
        assert_eq!(rest, events[usize::try_from(after).unwrap()..]);
    }

    // Every token is accounted for.
    let usage = app.user.get(&format!("{company}/usage?days=1")).await;
    let types: Vec<&str> = usage["transactions"].as_array().unwrap().iter().filter_map(|row| row["tx_type"].as_str()).collect();
    for expected in ["free_daily", "automation_spend", "embedding_spend", "chat_spend"] {
        assert!(types.contains(&expected), "{expected} is missing in {types:?}");
    }
    let run_row = usage["transactions"].as_array().unwrap().iter().find(|row| row["tx_type"] == "automation_spend").unwrap();
    assert!(run_row["reference_name"].is_string(), "a run is named by its automation: {run_row}");
    let dir = app.dir.path().display().to_string();
    let verified = crate::binary::run(&["ledger", "verify", "--data-dir", &dir]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_a_session_survive_a_restart() {
    let site = rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    app.user.run(&company, &widget).await;
    let (message, run_path, events) = app.user.ask(&company, "Which sea does the Rhine flow into?").await;
    assert!(message["text"].as_str().unwrap().contains("North Sea"), "{message}");
    let app = app.restart().await;
    assert_eq!(app.user.events(&format!("{run_path}/events"), 0).await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_unchanged_pages_and_embeds_nothing_again() {
    let site = rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    app.user.run(&company, &widget).await;
    let (run, _) = app.user.run(&company, &widget).await;
    let fates: Vec<&str> = run["pages"].as_array().unwrap().iter().filter_map(|page| page["fate"].as_str()).collect();
    assert_eq!(fates, ["unchanged"; 3], "{run}");
    let (third, _) = app.user.run(&company, &widget).await;
    assert_eq!(third["state"], "succeeded");
    let reports = app.user.get(&format!("{company}/widgets/{widget}/reports")).await;
    assert_eq!(reports["reports"].as_array().unwrap().len(), 3);
    let series = app.user.get(&format!("{company}/widgets/{widget}/series")).await;
    assert!(series["series"].as_array().unwrap().iter().all(|line| line["points"].as_array().unwrap().len() == 3), "{series}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_said_before_it_changed_is_not_an_answer_any_more() {
    use axum::routing::get;
    let visits = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let fleet = get(move || {
        let capacity = if visits.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 { 640 } else { 655 };
        std::future::ready(crate::site::page("Fleet", &format!("<p>The Kittiwake carries {capacity} passengers.</p>")))
    });
    let site = crate::site::Site::serve(
        axum::Router::new().route("/fleet", fleet).route("/", get(|| std::future::ready(axum::response::Redirect::temporary("/fleet")))),
    )
    .await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let widget = app.user.widget(&company, &site.url("/"), 1).await;
    let question = "How many passengers does the Kittiwake carry?";
    app.user.run(&company, &widget).await;
    assert!(app.user.ask(&company, question).await.0["text"].as_str().unwrap().contains("640"));
    app.advance(std::time::Duration::from_secs(3600));
    app.user.run(&company, &widget).await;
    let answer = app.user.ask(&company, question).await.0["text"].as_str().unwrap().to_owned();
    assert!(answer.contains("655") && !answer.contains("640"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_recalled_and_cited() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let text = "# Maintenance\n\nThe pump in hall seven is serviced every 90 days by the night shift.\n";
    let (status, document) = app.user.upload(&format!("{company}/documents"), "maintenance.md", text.as_bytes().to_vec()).await;
    assert_eq!(status, StatusCode::CREATED, "{document}");
    let path = format!("{company}/documents/{}", document["id"].as_str().unwrap());
    let mut state = app.user.get(&path).await;
    while state["state"] != "ready" {
        assert_ne!(state["state"], "failed", "{state}");
        tokio::task::yield_now().await;
        state = app.user.get(&path).await;
    }
    let (message, _, _) = app.user.ask(&company, "How often is the pump in hall seven serviced?").await;
    assert!(message["text"].as_str().unwrap().contains("90 days"), "{message}");
    assert_eq!(message["citations"][0]["document_id"], document["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_by_itself() {
    let site = rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let widget = json!({
        "title": "Hourly", "objective": "Rivers", "source_config": { "source_class": "internal_web", "urls": [site.url("/")] },
        "schedule": { "kind": "every", "minutes": 60 }, "stale_after_hours": 48, "visibility": "company",
    });
    let widget = app.user.post(&format!("{company}/widgets"), widget).await;
    let runs = format!("{company}/widgets/{}/runs", widget["id"].as_str().unwrap());
    let mut seen = app.user.get(&runs).await;
    while seen["runs"].as_array().unwrap().is_empty() {
        app.advance(std::time::Duration::from_secs(60));
        seen = app.user.get(&runs).await;
    }
    let run = seen["runs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(seen["runs"][0]["trigger"], "schedule");
    let events = app.user.events(&format!("{company}/runs/{run}/events"), 0).await;
    assert_eq!(events.last().unwrap().kind, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_recalled_gives_no_invented_answer() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let (message, _, events) = app.user.ask(&company, "What is the boiling point of tungsten?").await;
    assert_eq!(events.last().unwrap().kind, "done");
    assert_eq!(message["citations"], json!([]));
    assert!(!message["text"].as_str().unwrap().is_empty());
}
