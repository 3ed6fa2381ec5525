//! What people ask of their own files, and how many of the answers are right: a price list, a list of stations as JSON, a handbook, a museum's website.
//! Nothing in the product knows these texts. A change that answers fewer of them is a step back, whatever else it does.

use std::path::PathBuf;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use reqwest::StatusCode;
use serde_json::Value;

use crate::app::TestApp;
use crate::site::Site;

/// Question, what its answer must say, and what it must not.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const PRICES: [Case; 8] = [
    ("How much does the Kestrel cost?", &["38.90", "price_eur: 38.90"], &["64.50", "14.20"]),
    ("What is the price of the Ibex sleeping bag?", &["249.00"], &["189.00"]),
    ("How heavy is the Marmot?", &["1.45"], &["1.10"]),
    ("How many Herons are in stock?", &["410"], &["66"]),
    ("What is the delivery time of the Chamois poles?", &["4 days"], &["3 weeks"]),
    ("How much is the four-person Eagle tent?", &["579.00"], &[]),
    ("What category is the Bittern?", &["Water filter"], &["Water bottle"]),
    ("What is the article number of the Wren?", &["4901"], &["4710"]),
];

const STATIONS: [Case; 5] = [
    ("What is the height of the Brackhorn station?", &["2140"], &["1685", "912"]),
    ("How high is Grimsdal?", &["912"], &["2140"]),
    ("Who is the keeper of Silverfjell?", &["Tor Lunde"], &["Marte Vik"]),
    ("Which sensors does Grimsdal have?", &["river level"], &["snow"]),
    ("What is the phone number of Ida Solberg?", &["+47 55 01 22 10"], &["22 31"]),
];

const HANDBOOK: [Case; 14] = [
    ("How many days of leave do I have?", &["28 days"], &["14 months"]),
    ("When do unused leave days expire?", &["31 March"], &["14 months"]),
    ("How long can parental leave be?", &["14 months"], &["28 days"]),
    ("From whom is parental leave requested?", &["Petra Hahn"], &["28 days"]),
    ("When is the core time?", &["10:00 to 15:00"], &["three months"]),
    ("Who runs the travel desk?", &["Samuel Osei"], &["Petra"]),
    ("What do I have to hand in after a trip?", &["travel form", "receipts", "boarding pass"], &["headset"]),
    ("How much may a hotel night cost?", &["135 euros"], &["four years"]),
    ("What is the daily allowance abroad?", &["42.50 euros"], &["135"]),
    ("How often is the laptop replaced?", &["four years"], &["28.00"]),
    ("Where is the service desk?", &["room 2.14"], &["Yusuf"]),
    ("Who is the first aider on duty?", &["Yusuf Demir"], &["Samuel"]),
    ("Where is the assembly point?", &["car park behind hall C"], &["Nordhaus"]),
    ("Which means of transport is used up to 600 km?", &["train"], &["premium"]),
];

const MUSEUM: [Case; 17] = [
    ("Who founded the museum?", &["Aksel Brandt"], &["Haugen"]),
    ("When was the museum founded?", &["1923"], &["1898"]),
    ("How many objects are in the collection?", &["11,400"], &["9,200"]),
    ("How many people visit the museum each year?", &["62,000"], &["11,400"]),
    ("How long is the main hall?", &["212 m"], &["61 m"]),
    ("What are the opening hours on Saturday?", &["11:00–18:00"], &["10:00–17:00"]),
    ("Is the museum open on Monday?", &["Monday: closed"], &[]),
    ("How much is a ticket for a student?", &["8.00"], &["28.00"]),
    ("How long do guided tours take?", &["90 minutes"], &["61 m"]),
    ("What may visitors bring?", &["cameras without flash"], &["90 minutes"]),
    ("How long is the Nordstjerna?", &["61 m"], &["212 m", "7.4 m"]),
    ("Who maintains the Nordstjerna?", &["Runa Eide"], &["Haugen"]),
    ("When was the Skua built?", &["1911"], &["1898"]),
    ("Who gave the Lykke to the museum?", &["Haugen family"], &["Runa Eide"]),
    ("What is the phone number of the ticket desk?", &["+47 70 11 20 00"], &["20 15"]),
    ("Who is the director?", &["Kaja Strand"], &["Per Olav"]),
    ("What is the address of the museum?", &["Kaigata 8"], &["Havnegata"]),
];

/// What none of the texts says.
const UNANSWERED: [&str; 6] = [
    "How much does the Falcon cost?",
    "Who is the mayor of Sandvik?",
    "How deep is the harbour?",
    "What is the salary of an engineer?",
    "When does the cafeteria open?",
    "How many rooms does the hotel in Oslo have?",
];

/// Answers that must be right, and questions for which nothing may be quoted.
const RIGHT_MIN: usize = 42;
const SILENT_MIN: usize = 5;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/library").join(name)).unwrap()
}

async fn museum() -> Site {
    let mut routes = Router::new();
    for name in ["index", "visit", "ships", "contact"] {
        let text = file(&format!("site/{name}.html"));
        let path = if name == "index" { "/".to_owned() } else { format!("/{name}.html") };
        routes = routes.route(&path, get(move || std::future::ready(([(CONTENT_TYPE, "text/html; charset=utf-8")], text.clone()))));
    }
    Site::serve(routes).await
}

async fn upload(app: &TestApp, company: &str, name: &str) {
    let (status, document) = app.user.upload(&format!("{company}/documents"), name, file(name)).await;
    assert_eq!(status, StatusCode::CREATED, "{document}");
    let path = format!("{company}/documents/{}", document["id"].as_str().unwrap());
    let mut state = app.user.get(&path).await;
    while state["state"] != "ready" {
        assert_ne!(state["state"], "failed", "{state}");
        tokio::task::yield_now().await;
        state = app.user.get(&path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_ones_own_files_are_answered_by_quotes_that_stand_in_them() {
    let site = museum().await;
    let app = TestApp::start().await.with_admin().await;
    let company = app.company().await;
    app.allow(site.address).await;
    for name in ["prices.csv", "stations.json", "handbook.md"] {
        upload(&app, &company, name).await;
    }
    let widget = app.user.widget(&company, &site.url("/"), 10).await;
    app.user.run(&company, &widget).await;

    let cases: Vec<Case> = PRICES.into_iter().chain(STATIONS).chain(HANDBOOK).chain(MUSEUM).collect();
    let (mut right, mut wrong) = (0, Vec::new());
    for (question, expected, never) in &cases {
        let (message, ..) = app.user.ask(&company, question).await;
        let text = message["text"].as_str().unwrap();
        assert_cited(&app, &company, &message).await;
        if expected.iter().all(|part| text.contains(part)) && !never.iter().any(|part| text.contains(part)) {
            right += 1;
        } else {
            wrong.push(format!("{question}\n    {}", text.replace('\n', "\n    ")));
        }
    }
    let mut quoted = Vec::new();
    for question in UNANSWERED {
        let (message, ..) = app.user.ask(&company, question).await;
        if message["citations"].as_array().is_some_and(|cited| !cited.is_empty()) {
            quoted.push(format!("{question}\n    {}", message["text"].as_str().unwrap()));
        }
    }
    println!("{right} of {} right; wrong:\n{}\nquoted for nothing:\n{}", cases.len(), wrong.join("\n"), quoted.join("\n"));
    assert!(right >= RIGHT_MIN, "{right} of {} are right:\n{}", cases.len(), wrong.join("\n"));
    assert!(UNANSWERED.len() - quoted.len() >= SILENT_MIN, "{}", quoted.join("\n"));
    app.stop().await;
}

/// Every citation's quote stands in one block of the text that is kept of its source.
async fn assert_cited(app: &TestApp, company: &str, message: &Value) {
    for citation in message["citations"].as_array().unwrap() {
        let page = app.user.get(&format!("{company}/pages/{}", citation["content_hash"].as_str().unwrap())).await;
        let text = page["text"].as_str().unwrap();
        let quotes = citation["quotes"].as_array().into_iter().flatten().chain([&citation["quote"]]);
        for quote in quotes.map(|quote| quote.as_str().unwrap()) {
            assert!(text.lines().any(|block| block.contains(quote)), "{quote:?} of {citation}");
        }
    }
}
