//! Long lists come in parts: each item once, in one order, and bad places are told.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{TestApp, User};
use crate::site::rivers;

/// Walks a list in parts of `limit` and returns the parts.
async fn walk(user: &User, path: &str, items: &str, limit: u32) -> Vec<Vec<Value>> {
    let mut parts = Vec::new();
    let mut before = String::new();
    loop {
        let answer = user.get(&format!("{path}?limit={limit}{before}")).await;
        let part = answer[items].as_array().unwrap().clone();
        assert!(part.len() <= limit as usize, "{path}: {answer}");
        parts.push(part);
        before = match &answer["next_before"] {
            Value::Null => return parts,
            Value::String(id) => format!("&before={id}"),
            other => format!("&before={other}"),
        };
        assert!(parts.len() < 100, "{path} has an end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_long_list_is_walked_in_parts_without_gaps() {
    let site = rivers().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    let mut widgets = Vec::new();
    for _ in 0..3 {
        widgets.push(app.user.widget(&company, &site.url("/"), 10).await);
        app.advance(std::time::Duration::from_secs(1));
    }
    app.user.run(&company, &widgets[0]).await;
    let since = app.user.get(&format!("{company}/widgets?limit=2&since=2020-01-01T00:00:00Z")).await;
    assert_eq!(since["widgets"].as_array().unwrap().len(), 2, "a list takes its own parameters beside those of its parts: {since}");
    app.advance(std::time::Duration::from_secs(1));
    let (run, _) = app.user.run(&company, &widgets[0]).await;
    for name in ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"] {
        let (status, _) = app.user.upload(&format!("{company}/documents"), name, format!("This is {name}.").into_bytes()).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    for role in ["viewer", "member", "dev", "admin"] {
        app.person(&company, role).await;
    }
    let mut conversation = Value::Null;
    for _ in 0..5 {
        conversation = app.user.post(&format!("{company}/conversations"), json!({})).await;
    }
    let messages = format!("{company}/conversations/{}/messages", conversation["id"].as_str().unwrap());
    for question in ["One?", "Two?", "Three?"] {
        app.user.post(&messages, json!({ "text": question })).await;
    }

    let run = format!("{company}/runs/{}", run["id"].as_str().unwrap());
    for (path, items, id, count) in [
        (format!("{company}/widgets"), "widgets", "id", 3),
        (format!("{company}/documents"), "documents", "id", 5),
        (format!("{company}/members"), "members", "user_id", 5),
        (format!("{company}/conversations"), "conversations", "id", 5),
        (format!("{company}/widgets/{}/runs", widgets[0]), "runs", "id", 2),
        (format!("{company}/widgets/{}/reports", widgets[0]), "reports", "id", 2),
        (run, "pages", "url", 3),
    ] {
        let ids = |items: &[Value]| items.iter().map(|item| item[id].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let whole = ids(app.user.get(&path).await[items].as_array().unwrap());
        assert_eq!(whole.len(), count, "{path}");
        for limit in [1, 2] {
            let parts = walk(&app.user, &path, items, limit).await;
            assert_eq!(ids(&parts.concat()), whole, "{path} in parts of {limit}");
        }
    }

    // The newest messages come first, and stand in the order in which they were written.
    let asked = |part: &[Value]| part.iter().filter(|message| message["role"] == "user").map(|message| message["text"].clone()).collect::<Vec<_>>();
    let mut parts = walk(&app.user, &messages, "messages", 2).await;
    assert!(asked(&parts[0]).contains(&json!("Three?")), "{parts:?}");
    parts.reverse();
    assert_eq!(asked(&parts.concat()), ["One?", "Two?", "Three?"]);

    for (query, field) in [("before=nobody", "before"), ("limit=many", "limit"), ("after=x", "after")] {
        let (status, answer) = app.user.try_send(Method::GET, &format!("{company}/documents?{query}"), None).await;
        assert_eq!((status, &answer["error"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)), "{query}: {answer}");
    }
    // A place in somebody else's list is no place in this one.
    let foreign = app.company().await;
    let before = app.user.get(&format!("{company}/documents?limit=1")).await["next_before"].as_str().unwrap().to_owned();
    assert_eq!(app.user.get(&format!("{foreign}/documents?before={before}")).await["documents"], json!([]));
}
