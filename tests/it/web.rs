//! What browsers, proxies and strangers meet before any route: names, origins, headers, limits, and the one form of errors.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, Request, header};
use onsite::base::web_origin::WebOrigin;
use onsite::http::AppState;
use onsite::http::cors::Cors;
use onsite::http::hosts::Hosts;
use onsite::http::router;
use onsite::http::state::Facts;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{EMAIL, PASSWORD, TestApp};

/// The whole service as it would be with other facts.
fn with_facts(app: &TestApp, change: impl FnOnce(&mut Facts)) -> AppState {
    let mut state = app.state().clone();
    let mut facts = Facts::clone(&state.facts);
    change(&mut facts);
    state.facts = Arc::new(facts);
    state
}

/// An answer to a request with these headers from an address elsewhere.
async fn ask(state: &AppState, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 40_000))));
    let response = router::service(state.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 10_000_000).await.unwrap();
    (parts.status, parts.headers, String::from_utf8_lossy(&bytes).into_owned())
}

/// The code of an error in the one form; panics when it is not.
fn code(text: &str, what: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{what}: not the one form of errors: {text:?}"));
    let error = &value["error"];
    assert!(error["message"].as_str().is_some_and(|message| message.ends_with('.')), "{what}: {text}");
    assert!(error["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{what}: {text}");
    error["code"].as_str().unwrap_or_else(|| panic!("{what}: {text}")).to_owned()
}

/// Every path of the description with something in its places.
fn paths() -> Vec<(String, Vec<String>)> {
    let document = serde_json::to_value(router::api().1).unwrap();
    let filled = |path: &str| path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
    let methods = |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect::<Vec<_>>();
    document["paths"].as_object().unwrap().iter().map(|(path, item)| (filled(path), methods(item))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_one_form_whatever_is_sent_where() {
    let app = TestApp::start().await.with_admin().await;
    let bearer = format!("Bearer {}", app.user.token.clone().unwrap());
    let company = app.company().await;
    let state = app.state();
    let host = ("host", "localhost");
    let json_kind = ("content-type", "application/json");
    let form = ("content-type", "multipart/form-data");
    let (documents, large) = (format!("{company}/documents"), format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20)));
    for (path, methods) in paths() {
        let real = path.replacen("/api/companies/x", &company, 1);
        // A method that the address does not know.
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            if methods.iter().any(|known| known == method) {
                continue;
            }
            let what = format!("{method} {real}");
            let (status, headers, text) = ask(state, method, &real, &[host, ("authorization", &bearer)], "").await;
            if path.starts_with("/api/setup") {
                assert_eq!((status, code(&text, &what).as_str()), (StatusCode::NOT_FOUND, "not_found"), "{what}");
            } else {
                assert_eq!((status, code(&text, &what).as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"), "{what}");
                assert!(headers.contains_key(header::ALLOW), "{what}");
            }
        }
        // The methods it knows, with bodies and queries that are none.
        for method in &methods {
            for (kind, body) in [(json_kind, "{"), (json_kind, "[]"), (json_kind, large.as_str()), (("content-type", "text/csv"), "a,b"), (form, "x")]
            {
                let what = format!("{method} {real} with {} {}", kind.1, &body[..body.len().min(9)]);
                let query = if method == "GET" { "?limit=x&days=x&k=x&%ff=%zz" } else { "" };
                let headers = [host, kind, ("authorization", bearer.as_str())];
                // It would end the session that asks.
                if path == "/api/auth/logout" || path.ends_with("/end-all") {
                    continue;
                }
                let (status, _, text) = ask(state, method, &format!("{real}{query}"), &headers, body).await;
                if status.is_client_error() || status.is_server_error() {
                    code(&text, &what);
                    assert!(!status.is_server_error(), "{what}: {status} {text}");
                }
            }
        }
    }
    let expected = [
        ("POST", "/api/companies", json_kind, "{", StatusCode::BAD_REQUEST, "invalid_json"),
        ("POST", "/api/companies", json_kind, large.as_str(), StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        ("POST", "/api/companies", ("content-type", "text/plain"), "{\"name\":\"x\"}", StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        ("POST", documents.as_str(), form, "x", StatusCode::BAD_REQUEST, "form_unreadable"),
        ("POST", documents.as_str(), json_kind, "{}", StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        ("GET", "/api/nowhere", json_kind, "", StatusCode::NOT_FOUND, "not_found"),
        ("POST", "/api", json_kind, "", StatusCode::NOT_FOUND, "not_found"),
        ("POST", "/", json_kind, "", StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        ("GET", "/assets/nothing.js", json_kind, "", StatusCode::NOT_FOUND, "not_found"),
    ];
    for (method, path, kind, body, status, expected) in expected {
        let (got, _, text) = ask(state, method, path, &[host, kind, ("authorization", &bearer)], body).await;
        assert_eq!((got, code(&text, path).as_str()), (status, expected), "{method} {path}: {text}");
    }
    for (query, field) in [("?days=x", "days"), ("?days=", "days")] {
        let (status, _, text) = ask(state, "GET", &format!("{company}/usage{query}"), &[host, ("authorization", &bearer)], "").await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, error["error"]["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some(field)), "{text}");
    }
    let (status, _, text) = ask(state, "GET", &format!("{company}/recall"), &[host, ("authorization", &bearer)], "").await;
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, error["error"]["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("q")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_safety_headers_and_under_tls_hsts() {
    let app = TestApp::start().await.with_admin().await;
    let tls =
        with_facts(&app, |facts| (facts.plain_http, facts.hosts) = (false, Hosts::Canonical(WebOrigin::parse("https://onsite.example").unwrap())));
    let bearer = format!("Bearer {}", app.user.token.clone().unwrap());
    // A page, a script, an answer, an error, a refusal, a redirect, a preflight.
    let asked = [
        ("GET", "/", "onsite.example", StatusCode::OK),
        ("GET", "/favicon.svg", "onsite.example", StatusCode::OK),
        ("GET", "/api/me", "onsite.example", StatusCode::OK),
        ("GET", "/api/nowhere", "onsite.example", StatusCode::NOT_FOUND),
        ("DELETE", "/api/me", "onsite.example", StatusCode::METHOD_NOT_ALLOWED),
        ("GET", "/", "other.example", StatusCode::MOVED_PERMANENTLY),
        ("POST", "/", "other.example", StatusCode::MISDIRECTED_REQUEST),
        ("GET", "/healthz", "onsite.example", StatusCode::OK),
    ];
    for (method, path, host, status) in asked {
        let (got, headers, _) = ask(&tls, method, path, &[("host", host), ("authorization", &bearer)], "").await;
        assert_eq!(got, status, "{method} {path}");
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_else(|| panic!("{method} {path} has no {name}"));
        let policy = value("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'", "form-action 'self'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe-"), "{policy}");
        assert_eq!(value("x-content-type-options"), "nosniff");
        assert_eq!(value("x-frame-options"), "DENY");
        assert_eq!(value("referrer-policy"), "no-referrer");
        assert!(value("permissions-policy").contains("camera=()"));
        assert_eq!(value("cross-origin-opener-policy"), "same-origin");
        assert_eq!(value("cross-origin-resource-policy"), "same-origin");
        assert_eq!(value("strict-transport-security"), "max-age=31536000; includeSubDomains");
        assert!(value("x-request-id").starts_with("req_"));
        if path.starts_with("/api/") {
            assert_eq!(value("cache-control"), "no-store");
        }
    }
    let (_, headers, _) = ask(app.state(), "GET", "/", &[("host", "localhost")], "").await;
    assert!(!headers.contains_key("strict-transport-security"), "plain HTTP promises nothing about TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_ours_is_not_answered() {
    let app = TestApp::start().await;
    for host in ["evil.example", "192.168.1.5:8443", "127.0.0.1.evil.example"] {
        for path in ["/", "/api/setup", "/healthz"] {
            let (status, _, text) = ask(app.state(), "GET", path, &[("host", host)], "").await;
            assert_eq!((status, code(&text, host).as_str()), (StatusCode::MISDIRECTED_REQUEST, "wrong_host"), "{host} {path}");
        }
    }
    for headers in [&[][..], &[("host", "localhost"), ("host", "evil.example")]] {
        assert_eq!(ask(app.state(), "GET", "/healthz", headers, "").await.0, StatusCode::MISDIRECTED_REQUEST, "{headers:?}");
    }
    for host in ["localhost", "127.0.0.1:8443", "[::1]:8443"] {
        assert_eq!(ask(app.state(), "GET", "/healthz", &[("host", host)], "").await.0, StatusCode::OK, "{host}");
    }

    let canonical = with_facts(&app, |facts| facts.hosts = Hosts::Canonical(WebOrigin::parse("https://onsite.example").unwrap()));
    let (status, headers, _) = ask(&canonical, "GET", "/c/x?y=1", &[("host", "10.0.0.5")], "").await;
    assert_eq!((status, &headers[header::LOCATION]), (StatusCode::MOVED_PERMANENTLY, &"https://onsite.example/c/x?y=1".parse().unwrap()));
    assert_eq!(ask(&canonical, "GET", "/", &[("host", "ONSITE.example:443")], "").await.0, StatusCode::OK);
    let login = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let sent = ask(&canonical, "POST", "/api/auth/login", &[("host", "10.0.0.5"), ("content-type", "application/json")], &login).await;
    assert_eq!(sent.0, StatusCode::MISDIRECTED_REQUEST, "a redirect would lose the body");
    for (host, expected) in [("127.0.0.1", StatusCode::OK), ("10.0.0.5", StatusCode::OK), ("evil.example", StatusCode::MOVED_PERMANENTLY)] {
        assert_eq!(ask(&canonical, "GET", "/readyz", &[("host", host)], "").await.0, expected, "{host}");
    }
    assert_eq!(ask(&canonical, "GET", "/api/setup", &[("host", "127.0.0.1")], "").await.0, StatusCode::MOVED_PERMANENTLY, "health only");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_named_origins_call_the_api_and_read_its_answers() {
    let app = TestApp::start_with(&[("CORS_ALLOWED_ORIGINS", "https://app.example, https://Desk.example:8443")]).await.with_admin().await;
    let bearer = format!("Bearer {}", app.user.token.clone().unwrap());
    let send = async |method: &str, origin: &str, preflight: bool| {
        let mut headers = vec![("host", "localhost"), ("origin", origin), ("sec-fetch-site", "cross-site")];
        if preflight {
            headers.extend([("access-control-request-method", "POST"), ("access-control-request-headers", "authorization, content-type")]);
        } else {
            headers.extend([("authorization", bearer.as_str()), ("content-type", "application/json")]);
        }
        ask(app.state(), method, "/api/companies", &headers, r#"{"name":"From elsewhere"}"#).await
    };
    for origin in ["https://app.example", "https://desk.example:8443"] {
        let (status, headers, _) = send("OPTIONS", origin, true).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], origin);
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert!(headers[header::ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("PATCH"));
        assert!(headers.get_all(header::VARY).iter().any(|vary| vary == "origin"));
        let (status, headers, text) = send("POST", origin, false).await;
        assert_eq!((status, headers[header::ACCESS_CONTROL_ALLOW_ORIGIN].to_str().unwrap()), (StatusCode::CREATED, origin), "{text}");
    }
    for origin in ["https://evil.example", "http://app.example", "https://app.example:444", "https://app.example.evil.example", "null"] {
        let (status, headers, text) = send("OPTIONS", origin, true).await;
        assert_eq!((status, code(&text, origin).as_str()), (StatusCode::FORBIDDEN, "cross_site"), "{origin}");
        let (written, written_headers, _) = send("POST", origin, false).await;
        assert_eq!(written, StatusCode::FORBIDDEN, "{origin}");
        for headers in [headers, written_headers, send("GET", origin, false).await.1] {
            for name in [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_ALLOW_CREDENTIALS] {
                assert!(!headers.contains_key(&name), "{origin} is told {name}");
            }
        }
    }
    let none = with_facts(&app, |facts| facts.cors = Cors::default());
    let (_, headers, _) = ask(&none, "GET", "/api/me", &[("host", "localhost"), ("origin", "https://app.example")], "").await;
    assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_session_is_in_its_cookie_and_nowhere_else() {
    let app = TestApp::start().await.with_admin().await;
    let tls = with_facts(&app, |facts| (facts.plain_http, facts.hosts) = (false, Hosts::Any));
    let sign_in = async |session: Option<&str>| {
        let mut body = json!({ "email": EMAIL, "password": PASSWORD });
        if let Some(session) = session {
            body["session"] = json!(session);
        }
        let headers = [("host", "onsite.example"), ("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        ask(&tls, "POST", "/api/auth/login", &headers, &body.to_string()).await
    };
    for session in [None, Some("cookie")] {
        let (status, headers, text) = sign_in(session).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let cookie = headers[header::SET_COOKIE].to_str().unwrap();
        for part in ["__Host-onsite_session=", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age="] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Domain"));
        let token = cookie.split_once('=').unwrap().1.split(';').next().unwrap().to_owned();
        assert!(token.len() > 40 && !text.contains(&token) && !text.contains("\"token\""), "{text}");
        let with_cookie = [("host", "onsite.example"), ("cookie", &*format!("__Host-onsite_session={token}"))];
        let (status, _, me) = ask(&tls, "GET", "/api/me", &with_cookie, "").await;
        assert!(status == StatusCode::OK && !me.contains(&token));
    }
    let (_, headers, text) = sign_in(Some("bearer")).await;
    assert!(!headers.contains_key(header::SET_COOKIE), "a program gets no cookie");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["session"]["token"].as_str().unwrap().len(), 52);
    assert_eq!(sign_in(Some("both")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_told_when_to_come_back() {
    let limits = [("ONSITE_USER_REQUESTS_PER_MINUTE", "60"), ("ONSITE_ADDRESS_REQUESTS_PER_MINUTE", "30")];
    let app = TestApp::start_with(&limits).await.with_admin().await;
    let mut last = (StatusCode::OK, Value::Null);
    for _ in 0..61 {
        last = app.user.try_send(Method::GET, "/api/me", None).await;
    }
    assert_eq!((last.0, last.1["error"]["code"].as_str()), (StatusCode::TOO_MANY_REQUESTS, Some("too_many_requests")), "{}", last.1);
    let refused = app.user.send(Method::GET, "/api/me", None).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    app.advance(std::time::Duration::from_secs(2));
    assert_eq!(app.user.try_send(Method::GET, "/api/me", None).await.0, StatusCode::OK);

    for n in 0..31 {
        let (status, headers, text) = ask(app.state(), "GET", "/api/nowhere", &[("host", "localhost")], "").await;
        let expected = if n < 30 { StatusCode::NOT_FOUND } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(status, expected, "request {n}: {text}");
        assert_eq!(headers.contains_key(header::RETRY_AFTER), n == 30);
    }
    assert_eq!(ask(app.state(), "GET", "/healthz", &[("host", "localhost")], "").await.0, StatusCode::OK, "health is always answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_first_admin_setup_is_not_there_by_any_method() {
    let app = TestApp::start().await;
    let (status, headers, _) = ask(app.state(), "DELETE", "/api/setup", &[("host", "localhost")], "").await;
    assert_eq!((status, headers.contains_key(header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, true), "while it is open");
    let app = app.with_admin().await;
    let bearer = format!("Bearer {}", app.user.token.clone().unwrap());
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        for path in ["/api/setup", "/api/setup/redeem", "/api/setup/", "/api/setup/anything"] {
            for body in ["", "{", "{}"] {
                let headers = [("host", "localhost"), ("content-type", "application/json"), ("authorization", bearer.as_str())];
                let (status, headers, _) = ask(app.state(), method, path, &headers, body).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path} {body}");
                assert!(!headers.contains_key(HeaderName::from_static("allow")), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_stranger_says_little_and_whoever_is_signed_in_more() {
    let app = TestApp::start().await.with_admin().await;
    let long = |bytes: usize| json!({ "email": "a@example.org", "password": "x".repeat(bytes), "name": "x", "token": "x" });
    for path in ["/api/auth/login", "/api/auth/password-reset", "/api/invitations/accept-as-new"] {
        let (status, refused) = app.user.refused(path, long(17 << 10)).await;
        assert_eq!((status.as_u16(), &refused["code"]), (413, &json!("body_too_large")), "{path}");
    }
    let company = app.company().await;
    let (status, _) = app.user.try_send(Method::POST, &format!("{company}/conversations"), Some(json!({ "title": "x".repeat(17 << 10) }))).await;
    assert_ne!(status.as_u16(), 413);
}
