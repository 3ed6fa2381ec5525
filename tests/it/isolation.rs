//! Every route of the API, from its own description: nothing without a session, nothing of a company that is not the caller's.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::app::TestApp;

/// What may be asked without a session.
const PUBLIC: [&str; 9] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/setup",
    "/api/setup/redeem",
    "/api/auth/login",
    "/api/auth/password-reset",
    "/api/invitations/look",
    "/api/invitations/accept-as-new",
];

fn routes() -> Vec<(Method, String)> {
    let (_, document) = onsite::http::router::api();
    let document = serde_json::to_value(document).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if item.get(method).is_some() {
                found.push((method.to_uppercase().parse().unwrap(), path.clone()));
            }
        }
    }
    found
}

/// A path with ids of the right form that name nothing.
fn filled(path: &str, company: &str) -> String {
    let body = "01m82jh43d9k4ep4v20bq8xesw";
    let prefixes = [
        ("widget", "wgt_"),
        ("run", "run_"),
        ("report", "rpt_"),
        ("document", "doc_"),
        ("conversation", "cnv_"),
        ("chat_run", "crn_"),
        ("rule", "egr_"),
        ("id", "egr_"),
        ("user", "usr_"),
        ("session", "ses_"),
        ("invitation", "inv_"),
    ];
    path.split('/')
        .map(|part| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            None => part.to_owned(),
            Some("company") => company.to_owned(),
            Some("chunk") => "chk_0000000100000001".to_owned(),
            Some("content_hash") => "0".repeat(64),
            Some(name) => {
                let prefix =
                    prefixes.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{path}: add the prefix of {{{name}}} here")).1;
                format!("{prefix}{body}")
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_wants_a_session() {
    let app = TestApp::start().await.with_admin().await;
    let stranger = crate::app::User::anonymous(&app.user.base);
    let all = routes();
    assert!(all.len() > 40, "{}", all.len());
    for (method, path) in all.into_iter().filter(|(_, path)| !PUBLIC.contains(&path.as_str())) {
        let (status, value) = stranger.try_send(method.clone(), &filled(&path, "cmp_01m82jh43d9k4ep4v20bq8xesw"), Some(json!({}))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_companys_anything_is_not_there() {
    let app = TestApp::start().await.with_admin().await;
    let foreign = "cmp_01m82jh43d9k4ep4v20bq8xesw";
    for (method, path) in routes().into_iter().filter(|(_, path)| path.contains("{company}")) {
        let (status, value) = app.user.try_send(method.clone(), &filled(&path, foreign), Some(json!({}))).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_one_company_does_not_open_in_another() {
    let site = crate::site::rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let (own, other) = (app.company().await, app.company().await);
    app.allow(site.address).await;
    let widget = app.user.widget(&own, &site.url("/"), 5).await;
    let (run, _) = app.user.run(&own, &widget).await;
    let (message, chat_run, _) = app.user.ask(&own, "How long is the Rhine?").await;
    let citation = &message["citations"][0];
    let chat_run = chat_run.rsplit('/').next().unwrap().to_owned();
    let paths = [
        format!("/widgets/{widget}"),
        format!("/widgets/{widget}/runs"),
        format!("/widgets/{widget}/reports"),
        format!("/widgets/{widget}/series"),
        format!("/runs/{}", run["id"].as_str().unwrap()),
        format!("/runs/{}/events", run["id"].as_str().unwrap()),
        format!("/reports/{}", run["report_id"].as_str().unwrap()),
        format!("/chat-runs/{chat_run}"),
        format!("/chat-runs/{chat_run}/events"),
        format!("/chunks/{}", citation["chunk_id"].as_str().unwrap()),
        format!("/pages/{}", citation["content_hash"].as_str().unwrap()),
    ];
    for path in paths {
        assert_eq!(app.user.try_send(Method::GET, &format!("{own}{path}"), None).await.0, StatusCode::OK, "{path} in its own company");
        assert_eq!(app.user.try_send(Method::GET, &format!("{other}{path}"), None).await.0, StatusCode::NOT_FOUND, "{path} in another");
    }
    assert_eq!(app.user.get(&format!("{other}/recall?q=Rhine&k=5")).await["results"], json!([]));
}
