//! Streams of events end when they should: with their run, with their viewer's session, and never later.

use std::time::Duration;

use serde_json::json;

use crate::app::{EMAIL, TestApp};
use crate::model_server::{ModelServer, Reply, Signal};

/// An appliance whose one answer stands still after its first word until the signal is given; its company and the answer's run.
async fn held(signal: &Signal) -> (TestApp, ModelServer, String) {
    let server = ModelServer::start(vec![Reply::stream().text("Slowly").wait_for(signal).text(" done.").finish("stop").usage(3, 2).done()]);
    let app = TestApp::start_with(&[("ONSITE_MODEL_URL", server.url().as_str()), ("ONSITE_MODEL_NAME", "tiny")]).await.with_admin().await;
    let address = server.url().trim_start_matches("http://").split('/').next().unwrap().parse().unwrap();
    app.allow(address).await;
    let company = app.company().await;
    let conversation = app.user.post(&format!("{company}/conversations"), json!({})).await;
    let messages = format!("{company}/conversations/{}/messages", conversation["id"].as_str().unwrap());
    let sent = app.user.post(&messages, json!({ "text": "How are you?" })).await;
    let events = format!("{company}/chat-runs/{}/events", sent["run"]["id"].as_str().unwrap());
    (app, server, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_closed_when_its_viewer_signs_out_and_goes_on_for_the_other_session() {
    let signal = Signal::default();
    let (app, _server, path) = held(&signal).await;
    let second = app.sign_in(EMAIL).await;
    let mut answer = second.send(reqwest::Method::GET, &path, None).await;
    let mut text = String::new();
    while !text.contains("Slowly") {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    second.post("/api/auth/logout", json!({})).await;
    // Once is enough, unless the clock moves just before the stream begins to wait.
    for _ in 0..5 {
        app.advance(Duration::from_secs(16));
        let closed = async {
            while !text.contains("event: closed") {
                let Some(part) = answer.chunk().await.unwrap() else { break };
                text.push_str(std::str::from_utf8(&part).unwrap());
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), closed).await.is_ok() {
            break;
        }
    }
    assert!(text.contains("event: closed") && !text.contains("done."), "{text}");
    assert!(answer.chunk().await.unwrap().is_none(), "nothing comes after it");
    let id = |block: &str| block.lines().find_map(|line| line.strip_prefix("id:")).map(|id| id.trim().to_owned());
    let ids: Vec<_> = text.split("\n\n").filter(|block| block.contains("event:")).map(id).collect();
    assert_eq!(ids[ids.len() - 1], ids[ids.len() - 2], "whoever follows again goes on from the last real event");
    signal.give();
    assert_eq!(app.user.events(&path, 0).await.last().unwrap().kind, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_asked_for_from_beyond_its_end_ends_with_its_run() {
    let signal = Signal::default();
    let (app, _server, path) = held(&signal).await;
    let (user, beyond) = (app.user.clone(), path.clone());
    let answer = user.client().get(format!("{}{beyond}", user.base)).bearer_auth(user.token.as_deref().unwrap()).header("last-event-id", "9999");
    let answer = answer.send().await.unwrap();
    signal.give();
    let rest = tokio::time::timeout(Duration::from_secs(60), answer.text()).await.unwrap().unwrap();
    assert!(!rest.contains("event: delta"), "{rest}");
}
