//! The steps of the demo, in order, each timed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::client::Client;
use super::show::{Progress, Show, list, text};
use super::verify::Verifier;
use super::{Answer, Demo, DemoError, Ledger, Outcome, site};
use crate::app::{Instance, StartOptions};
use crate::base::clock::Clock;
use crate::base::paths::DataDir;
use crate::base::seams::Seams;
use crate::base::secret::new_token;
use crate::config::Config;
use crate::config::sources::Sources;
use crate::model::licence::Environment;
use crate::services::licensing::{issue, keys};
use crate::store;

const EMAIL: &str = "admin@demo.example";
/// What the site that ships with the binary can answer.
const QUESTIONS: [&str; 3] = ["What is the diameter of Jupiter?", "When did Apollo 11 land on the Moon?", "What is the mean temperature of Venus?"];

/// Times the steps.
struct Steps {
    seams: Seams,
    show: Show,
    since: Duration,
    seconds: BTreeMap<&'static str, f64>,
}

impl Steps {
    fn done(&mut self, key: &'static str, what: &str) {
        let now = self.seams.clock.elapsed();
        let took = now.saturating_sub(self.since);
        self.since = now;
        self.show.step(what, took);
        self.seconds.insert(key, (took.as_secs_f64() * 1_000.0).round() / 1_000.0);
    }
}

/// Runs every step; stops at the first that fails.
pub(super) async fn demo(options: &Demo) -> Result<Outcome, DemoError> {
    let seams = Seams::system();
    let show = Show::new(options.json);
    let mut steps = Steps { since: seams.clock.elapsed(), seams: seams.clone(), show, seconds: BTreeMap::new() };
    let folder = tempfile::Builder::new().prefix("onsite-demo-").tempdir().map_err(|error| DemoError::new("making a temporary folder", error))?;
    let dir = DataDir::new(folder.path());
    let key = issue::generate_key(&seams);
    show.line("onsite demo: the main job, start to finish, on this machine");
    let instance = start(&dir, &key, &seams).await?;
    steps.done("start", &format!("started on {}", instance.url));

    let tasks = instance.composed.state.tasks.clone();
    let mut client = Client::new(instance.address, tasks.clone());
    let password = redeem(&mut client, &dir, &seams).await?;
    steps.done("redeem", "redeemed the bootstrap token: first admin");
    let activated = activate(&client, &key, &seams).await?;
    steps.done("activate", &activated);

    let url = match &options.url {
        Some(url) => url.clone(),
        None => {
            let address = site::serve(&tasks).await?;
            Url::parse(&format!("http://{address}/")).map_err(|error| DemoError::new("serving the demo's site", error))?
        }
    };
    let (company, widget) = prepare(&client, &url, options.pages).await?;
    steps.done("prepare", &format!("made a company and an automation over {url}"));

    let mut outcome = Outcome::default();
    let run = collect(&client, &company, &widget, options.pages, &seams.clock).await?;
    steps.done("run", &format!("collected {} pages, reported, recalled {} chunks", run["pages_collected"], run["chunks"]));
    let report = client.get(&format!("/api/companies/{company}/reports/{}", text(&run, "report_id"))).await?;
    show.report(&report);
    let count = |name: &str| run[name].as_u64().unwrap_or_default();
    (outcome.pages, outcome.chunks, outcome.findings, outcome.metrics) =
        (count("pages_collected"), count("chunks"), count("findings"), count("metrics"));

    let mut verifier = Verifier::new(instance.composed.state.egress.clone());
    for question in questions(options.url.is_none(), &report) {
        let answer = ask(&client, &company, &mut verifier, question).await?;
        show.answer(&answer);
        outcome.answers.push(answer);
    }
    show.line("");
    steps.done("ask", &format!("asked {} questions, checked every quote", outcome.answers.len()));
    outcome.ledger = account(&client, &company, &dir, show).await?;
    steps.done("ledger", "verified the ledger");
    outcome.seconds = steps.seconds;
    if options.keep {
        keep(&instance, &password, show).await?;
    }
    instance.stop().await;
    Ok(outcome)
}

async fn start(dir: &DataDir, key: &ed25519_dalek::SigningKey, seams: &Seams) -> Result<Instance, DemoError> {
    let step = "starting the appliance";
    let mut sources = Sources::default();
    let pem = issue::public_pem(key).map_err(|error| DemoError::new(step, error))?;
    for (name, value) in
        [("AUTOMATION_VECTORSTORE_ENABLED", "1"), ("AUTH_IDLE_TIMEOUT_MINUTES", "0"), ("LOG_LEVEL", "WARN"), ("LICENSE_PUBLIC_KEY_PEM", &pem)]
    {
        sources.flags.insert(name.to_owned(), value.to_owned());
    }
    let config =
        Config::load(&sources).map_err(|problems| DemoError::new(step, problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = StartOptions { dir: dir.clone(), listen, dev: true, config, seams: seams.clone() };
    Instance::start(options).await.map_err(|error| DemoError::new(step, error))
}

/// Creates the first admin with a random password, which it returns.
async fn redeem(client: &mut Client, dir: &DataDir, seams: &Seams) -> Result<String, DemoError> {
    let token = std::fs::read_to_string(dir.bootstrap_token()).map_err(|error| DemoError::new("reading the bootstrap token", error))?;
    let password: String = new_token(seams).expose().chars().take(20).collect();
    let body = json!({ "token": token.trim(), "email": EMAIL, "password": password, "name": "Demo Admin", "session": "bearer" });
    let answer = client.post("/api/setup/redeem", body).await?;
    client.sign_in(text(&answer["session"], "token").to_owned());
    Ok(password)
}

/// Issues a development code and enters it. A release build takes only the vendor's codes, so there the free tier must do.
async fn activate(client: &Client, key: &ed25519_dalek::SigningKey, seams: &Seams) -> Result<String, DemoError> {
    let step = "issuing a development code";
    if keys::has_compiled_in_keys() {
        return Ok("a release build takes only the vendor's codes: free tier".to_owned());
    }
    let order = issue::Order {
        issuer: "Onsite demo".to_owned(),
        customer: "demo".to_owned(),
        company: "Demo Company".to_owned(),
        plan: "enterprise".to_owned(),
        features: BTreeMap::new(),
        seats: None,
        not_before: None,
        days: 365,
        grace_days: 0,
        install_id: None,
        seq: 1,
        supersedes: Vec::new(),
        environment: Environment::Development,
    };
    let code = issue::issue(order, key, seams).map_err(|error| DemoError::new(step, error))?;
    let licence = client.post("/api/license", json!({ "code": code.to_line() })).await?;
    Ok(format!("activated with a development code: plan {}, {}", text(&licence, "plan"), text(&licence, "reason")))
}

async fn prepare(client: &Client, url: &Url, pages: u32) -> Result<(String, String), DemoError> {
    let company = client.post("/api/companies", json!({ "name": "Demo Company" })).await?;
    let company = text(&company, "id").to_owned();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let rule = json!({ "destination": host, "port": url.port_or_known_default(), "allow_private": true, "reason": "the demo collects this site" });
    client.post("/api/system-admin/egress/rules", rule).await?;
    let widget = json!({
        "title": "Demo: what the site says",
        "objective": "Key figures, dates and statements of this site",
        "source_config": {
            "source_class": "internal_web",
            "urls": [url],
            "crawl": { "max_pages": pages, "max_depth": 10, "same_site": true },
        },
        "schedule": { "kind": "every", "minutes": 1440 },
        "stale_after_hours": 48,
        "visibility": "company",
        "deep_collection": true,
    });
    let widget = client.post(&format!("/api/companies/{company}/widgets"), widget).await?;
    Ok((company, text(&widget, "id").to_owned()))
}

/// Starts a run and follows it to its last event.
async fn collect(client: &Client, company: &str, widget: &str, pages: u32, clock: &Arc<dyn Clock>) -> Result<Value, DemoError> {
    let run = client.post(&format!("/api/companies/{company}/widgets/{widget}/runs"), json!({})).await?;
    let path = format!("/api/companies/{company}/runs/{}", text(&run, "id"));
    let mut collecting = Some(Progress::new("collecting", "pages at most", Arc::clone(clock)));
    let mut embedding = None;
    client
        .follow(&format!("{path}/events"), |event| match event.kind.as_str() {
            "page" => {
                if let Some(progress) = &mut collecting {
                    progress.at(event.data["n"].as_u64().unwrap_or_default(), u64::from(pages));
                }
            }
            "ingest" => {
                if let Some(progress) = collecting.take() {
                    progress.clear();
                }
                let (done, total) = (event.data["done"].as_u64().unwrap_or_default(), event.data["total"].as_u64().unwrap_or_default());
                if total > 0 {
                    embedding.get_or_insert_with(|| Progress::new("embedding", "chunks", Arc::clone(clock))).at(done, total);
                }
            }
            _ => {}
        })
        .await?;
    for progress in collecting.into_iter().chain(embedding) {
        progress.clear();
    }
    let run = client.get(&path).await?;
    match (text(&run, "state"), text(&run, "ingest")) {
        ("succeeded", "done") => Ok(run),
        _ if run["error"].is_object() => Err(DemoError::told("the run failed", &run["error"])),
        (state, ingest) => Err(DemoError::new("the run", format!("ended as {state}, its ingest as {ingest}"))),
    }
}

/// Three questions: fixed ones for the site that ships with the binary, else taken from the report itself.
fn questions(own_site: bool, report: &Value) -> Vec<String> {
    if own_site {
        return QUESTIONS.map(str::to_owned).to_vec();
    }
    let metrics = list(report, "metrics").iter().take(1).map(|metric| format!("What is {}?", text(metric, "name")));
    let findings = list(report, "findings").iter().step_by(5).map(|finding| {
        let words: Vec<&str> = text(finding, "text").split_whitespace().take(12).collect();
        format!("What is said about this: {}", words.join(" "))
    });
    metrics.chain(findings).take(3).collect()
}

async fn ask(client: &Client, company: &str, verifier: &mut Verifier, question: String) -> Result<Answer, DemoError> {
    let conversation = client.post(&format!("/api/companies/{company}/conversations"), json!({})).await?;
    let messages = format!("/api/companies/{company}/conversations/{}/messages", text(&conversation, "id"));
    let sent = client.post(&messages, json!({ "text": question })).await?;
    let mut end = None;
    client
        .follow(&format!("/api/companies/{company}/chat-runs/{}/events", text(&sent["run"], "id")), |event| {
            if matches!(event.kind.as_str(), "done" | "failed" | "cancelled") {
                end = Some(event);
            }
        })
        .await?;
    match end {
        Some(event) if event.kind == "done" => {
            let message = &event.data["message"];
            Ok(Answer { citations: verifier.check(message).await?, text: text(message, "text").to_owned(), question })
        }
        Some(event) if event.data["error"].is_object() => Err(DemoError::told(&format!("asking {question:?}"), &event.data["error"])),
        Some(event) => Err(DemoError::new(&format!("asking {question:?}"), format!("the answer ended as {}", event.kind))),
        None => Err(DemoError::new(&format!("asking {question:?}"), "the stream ended without an answer")),
    }
}

async fn account(client: &Client, company: &str, dir: &DataDir, show: Show) -> Result<Ledger, DemoError> {
    let usage = client.get(&format!("/api/companies/{company}/usage?days=1")).await?;
    let connection = store::open_read_only(&dir.database()).map_err(|error| DemoError::new("opening the ledger", error))?;
    let verdict = store::ledger::verify(&connection).map_err(|error| DemoError::new("verifying the ledger", error))?;
    let ledger = Ledger { rows: verdict.rows, balance: usage["balance"].as_i64().unwrap_or_default(), verified: verdict.first_error.is_none() };
    show.ledger(list(&usage, "transactions"), &ledger);
    Ok(ledger)
}

/// Leaves the appliance running until the operator ends it.
async fn keep(instance: &Instance, password: &str, show: Show) -> Result<(), DemoError> {
    show.line(format_args!(
        "\nrunning on {}: sign in as {EMAIL} with the password {password} (Ctrl-C ends it; its folder is temporary)",
        instance.url
    ));
    tokio::signal::ctrl_c().await.map_err(|error| DemoError::new("waiting for Ctrl-C", error))
}
