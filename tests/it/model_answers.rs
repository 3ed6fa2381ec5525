//! Answers by an OpenAI-compatible server: streamed, cited, and told truthfully when the server fails.

use std::time::Duration;

use serde_json::Value;

use crate::app::{Event, TestApp};
use crate::model_server::{ModelServer, Reply};
use crate::site::rivers;

const QUESTION: &str = "How long is the Danube?";

/// An appliance with recalled pages whose answers come from the server; the company's path.
async fn asked_of(server: &ModelServer) -> (TestApp, String) {
    let site = rivers().await;
    let app = TestApp::start_with(&[("ONSITE_MODEL_URL", server.url().as_str()), ("ONSITE_MODEL_NAME", "tiny")]).await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    app.allow(server.url().trim_start_matches("http://").parse().unwrap()).await;
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    app.user.run(&company, &widget).await;
    (app, company)
}

fn deltas(events: &[Event]) -> usize {
    events.iter().filter(|event| event.kind == "delta").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_streams_with_its_citations() {
    let server = ModelServer::start([Reply::answer("The Danube is 2,850 km long [1].")]);
    let (app, company) = asked_of(&server).await;
    let (message, _, events) = app.user.ask(&company, QUESTION).await;
    assert!(message["text"].as_str().unwrap().contains("2,850 km long"), "{message}");
    assert_eq!(message["quoted"], false);
    assert_eq!(message["citations"][0]["n"], 1, "{message}");
    assert!(deltas(&events) >= 2, "{events:?}");
    let received = server.received();
    assert_eq!((received.len(), received[0].path.as_str()), (1, "/v1/chat/completions"));
    assert_eq!((&received[0].body["model"], &received[0].body["stream"]), (&Value::from("tiny"), &Value::from(true)));
    assert!(received[0].body.to_string().contains("2,850 km"), "the recalled passage is in the prompt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_once_is_asked_again() {
    let server = ModelServer::start([Reply::status(500, "busy"), Reply::answer("It is 2,850 km long [1].")]);
    let (app, company) = asked_of(&server).await;
    let mut asking = std::pin::pin!(app.user.ask(&company, QUESTION));
    // The wait between the two requests passes on the appliance's clock.
    let mut answered = None;
    for _ in 0..100 {
        answered = tokio::time::timeout(Duration::from_millis(100), asking.as_mut()).await.ok();
        if answered.is_some() {
            break;
        }
        app.advance(Duration::from_secs(1));
    }
    let (message, ..) = answered.expect("an answer");
    assert!(message["text"].as_str().unwrap().contains("2,850 km long"), "{message}");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_or_is_malformed_fails_with_a_remedy_and_the_next_one_works() {
    let server = ModelServer::start([
        Reply::stream().text("The Danube is ").disconnect(),
        Reply::stream().text("The Danube is ").raw("data: {nonsense\n\n"),
        Reply::answer("It is 2,850 km long [1]."),
    ]);
    let (app, company) = asked_of(&server).await;
    for what in ["broken off", "malformed"] {
        let (_, _, events) = app.user.ask(&company, QUESTION).await;
        let last = events.last().unwrap();
        assert_eq!(last.kind, "failed", "{what}: {events:?}");
        assert!(last.data.to_string().contains("remedy"), "{what}: {last:?}");
    }
    let (message, ..) = app.user.ask(&company, QUESTION).await;
    assert!(message["text"].as_str().unwrap().contains("2,850 km long"), "{message}");
}
