//! Rubbish, hostile sites and limits: a clear error each, and nothing lost.

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode as Status, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::TestApp;
use crate::site::{Site, page};

async fn collect(routes: Router, pages: u32) -> (TestApp, Value) {
    let site = Site::serve(routes).await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let widget = app.user.widget(&company, &site.url("/"), pages).await;
    let (run, events) = app.user.run(&company, &widget).await;
    assert!(matches!(events.last().unwrap().kind.as_str(), "done" | "failed"), "{events:?}");
    (app, run)
}

fn failed_with(run: &Value, code: &str) {
    assert_eq!((run["state"].as_str(), run["error"]["code"].as_str()), (Some("failed"), Some(code)), "{run}");
    assert!(!run["error"]["message"].as_str().unwrap().is_empty());
}

async fn endless() -> Response {
    let part = bytes::Bytes::from(vec![b'x'; 1 << 16]);
    let body = futures_util::stream::iter((0..32_768).map(move |_| Ok::<_, std::io::Error>(part.clone())));
    ([(header::CONTENT_TYPE, "text/html")], Body::from_stream(body)).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_sends_two_gigabytes_is_cut() {
    let (app, run) = collect(Router::new().route("/", get(endless)), 5).await;
    assert!(matches!(run["state"].as_str(), Some("failed" | "succeeded")), "{run}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_whose_links_never_end_stays_within_its_budget() {
    let routes = Router::new().fallback(|uri: axum::http::Uri| async move {
        let path = uri.path().trim_end_matches('/').to_owned();
        page("Loop", &format!("<p>Station number {} of the loop.</p><a href='{path}/a'>on</a> <a href='{path}/b'>on</a>", path.len()))
    });
    let (_app, run) = collect(routes, 7).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert!(run["pages_collected"].as_u64().unwrap() <= 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_a_private_address_is_refused() {
    let routes = Router::new().route("/", get(|| async { Redirect::temporary("http://169.254.169.254/latest/meta-data") }));
    let (app, run) = collect(routes, 5).await;
    failed_with(&run, "egress_not_allowed");
    let log = app.user.get("/api/system-admin/egress/log?limit=10").await;
    assert!(log.to_string().contains("169.254.169.254"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_content_an_empty_page_and_a_broken_site_are_told() {
    let binary = || async { ([(header::CONTENT_TYPE, "application/octet-stream")], vec![0u8, 159, 146, 150]) };
    failed_with(&collect(Router::new().route("/", get(binary)), 5).await.1, "nothing_collected");
    failed_with(
        &collect(Router::new().route("/", get(|| async { axum::response::Html("<html><body></body></html>") })), 5).await.1,
        "nothing_collected",
    );
    failed_with(&collect(Router::new().route("/", get(|| async { Status::NOT_FOUND })), 5).await.1, "http_status");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_lies_about_its_encoding_is_read() {
    let lying = || async {
        let text = "<html><body><p>The caf\u{e9} in Z\u{fc}rich opened in 1911 and seats 120 guests every day of the week.</p></body></html>";
        let latin: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], latin)
    };
    let (app, run) = collect(Router::new().route("/", get(lying)), 5).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let company = app.user.get("/api/companies").await["companies"][0]["id"].as_str().unwrap().to_owned();
    let report = app.user.get(&format!("/api/companies/{company}/reports/{}", run["report_id"].as_str().unwrap())).await;
    assert!(report.to_string().contains("Zürich"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_nobody_allowed_is_refused_with_the_way_out() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let widget = json!({
        "title": "T", "objective": "O", "source_config": { "source_class": "public_web", "urls": ["http://192.0.2.1/"] },
        "schedule": { "kind": "manual" }, "stale_after_hours": 48, "visibility": "company",
    });
    let (status, error) = app.user.refused(&format!("{company}/widgets"), widget).await;
    assert_eq!((status, error["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("egress_not_allowed")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("192.0.2.1") && error["remedy"].is_string(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_fields_are_named() {
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    let widget = |change: Value| {
        let mut widget = json!({
            "title": "T", "objective": "O", "source_config": { "source_class": "internal_web", "urls": ["http://127.0.0.1:9/"] },
            "schedule": { "kind": "manual" }, "stale_after_hours": 48, "visibility": "company",
        });
        for (name, value) in change.as_object().unwrap() {
            widget[name] = value.clone();
        }
        widget
    };
    let cases = [
        (json!({ "title": "" }), "title"),
        (json!({ "stale_after_hours": 0 }), "stale_after_hours"),
        (json!({ "schedule": { "kind": "every", "minutes": 1 } }), "schedule"),
        (json!({ "schedule": { "kind": "cron", "expression": "nonsense", "time_zone": "UTC" } }), "schedule"),
        (json!({ "schedule": { "kind": "cron", "expression": "0 6 * * *", "time_zone": "Mars/Olympus" } }), "schedule"),
        (json!({ "source_config": { "source_class": "internal_web", "urls": [] } }), "source_config"),
        (json!({ "source_config": { "source_class": "internal_web", "urls": ["ftp://x/"] } }), "source_config"),
        (json!({ "visibility": "everyone" }), "visibility"),
    ];
    for (change, field) in cases {
        let (status, error) = app.user.refused(&format!("{company}/widgets"), widget(change.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {error}");
        assert!(error["field"].as_str().unwrap_or_default().starts_with(field), "{change}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_questions_have_bounds() {
    let app = TestApp::start_with(&[("ONSITE_UPLOAD_MEGABYTES_MAX", "1")]).await.with_admin().await;
    let company = app.company().await;
    let documents = format!("{company}/documents");
    let (status, error) = app.user.upload(&documents, "empty.txt", Vec::new()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{error}");
    let (status, error) = app.user.upload(&documents, "large.txt", vec![b'a'; 2_000_000]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains('1'), "{error}");
    let (status, error) = app.user.upload(&documents, "picture.png", vec![0x89, b'P', b'N', b'G', 0, 0, 0, 1]).await;
    assert!(status.is_client_error(), "{error}");
    assert_eq!(app.user.get(&documents).await["documents"], json!([]), "nothing was kept");
    let conversation = app.user.post(&format!("{company}/conversations"), json!({})).await;
    let messages = format!("{company}/conversations/{}/messages", conversation["id"].as_str().unwrap());
    assert_eq!(app.user.refused(&messages, json!({ "text": "x".repeat(1 << 20) })).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(app.user.refused(&messages, json!({ "text": "x".repeat(40_000) })).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(app.user.refused(&messages, json!({ "text": "  " })).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.user.get(&messages).await["messages"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_what_they_should_be() {
    let app = TestApp::start().await.with_admin().await;
    let (status, error) = app.user.refused("/api/companies", json!({ "nme": "x" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(error["message"].as_str().unwrap().contains("name"), "{error}");
    let (status, error) = app.user.refused("/api/license", json!({ "code": "rubbish" })).await;
    assert_eq!((status, error["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("malformed")), "{error}");
    assert_eq!(app.user.get("/api/license").await["reason"].as_str().map(str::is_empty), Some(false));
    let (status, _) = app.user.try_send(Method::GET, "/api/companies/not-an-id/widgets", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = app.user.try_send(Method::DELETE, "/api/me", None).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_body_does_not_come_is_ended_by_the_time_limit() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = TestApp::start().await;
    let mut connection = tokio::net::TcpStream::connect(app.user.base.trim_start_matches("http://")).await.unwrap();
    let head =
        "POST /api/auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    for _ in 0..100 {
        // The request may not have come that far when the clock moves: then it moves again.
        app.advance(std::time::Duration::from_secs(601));
        let reading = connection.read_to_string(&mut answer);
        if tokio::time::timeout(std::time::Duration::from_millis(200), reading).await.is_ok() {
            break;
        }
    }
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("timed_out"), "{answer}");
}
