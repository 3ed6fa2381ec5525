//! The real appliance on a loopback port in a temporary folder, and a program that uses it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use onsite::app::{Instance, StartOptions};
use onsite::base::clock::{FakeClock, Timestamp};
use onsite::base::paths::DataDir;
use onsite::base::random::SystemRandom;
use onsite::base::seams::Seams;
use onsite::base::secret::Secret;
use onsite::config::Config;
use onsite::config::sources::Sources;
use onsite::model::session::Origin;
use onsite::services::auth::AccountForm;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// 2030-01-01T00:00:00Z: after any build, so that the licence does not suspect the clock.
pub const START: Timestamp = Timestamp::from_millis(1_893_456_000_000);
pub const EMAIL: &str = "admin@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// A client that neither follows redirects nor uses a proxy of the machine.
#[expect(clippy::disallowed_methods, reason = "the test is outside of the appliance: its requests do not go through egress")]
pub fn http_client() -> reqwest::Client {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// An event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: u64,
    pub kind: String,
    pub data: Value,
}

/// A running appliance with a clock that stands still.
pub struct TestApp {
    pub clock: Arc<FakeClock>,
    pub user: User,
    pub dir: DataDir,
    instance: Option<Instance>,
    _folder: Arc<tempfile::TempDir>,
    settings: BTreeMap<String, String>,
}

impl TestApp {
    /// Starts with recall on and the defaults otherwise.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with these settings beside the defaults.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mut all =
            BTreeMap::from([("AUTOMATION_VECTORSTORE_ENABLED".to_owned(), "1".to_owned()), ("AUTH_IDLE_TIMEOUT_MINUTES".to_owned(), "0".to_owned())]);
        // The clock stands still, and with it the minute in which a test that waits may ask.
        all.insert("ONSITE_USER_REQUESTS_PER_MINUTE".to_owned(), "0".to_owned());
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::open(folder, all, Arc::new(FakeClock::new(START))).await
    }

    async fn open(folder: Arc<tempfile::TempDir>, settings: BTreeMap<String, String>, clock: Arc<FakeClock>) -> Self {
        let dir = DataDir::new(folder.path());
        let config = Config::load(&Sources { flags: settings.clone(), ..Sources::default() }).unwrap();
        let seams = Seams { clock: clock.clone(), random: Arc::new(SystemRandom) };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let instance = Instance::start(StartOptions { dir: dir.clone(), listen, dev: true, config, seams }).await.unwrap();
        let user = User { base: instance.url.clone(), token: None, client: http_client() };
        Self { clock, user, dir, instance: Some(instance), _folder: folder, settings }
    }

    /// Stops, and starts again on the same folder. Sessions stay.
    pub async fn restart(mut self) -> Self {
        if let Some(instance) = self.instance.take() {
            instance.stop().await;
        }
        let token = self.user.token.take();
        let mut app = Self::open(Arc::clone(&self._folder), self.settings.clone(), Arc::clone(&self.clock)).await;
        app.user.token = token;
        app
    }

    /// Stops, and starts again with the clock set to `now`.
    pub async fn restart_at(mut self, now: Timestamp) -> Self {
        if let Some(instance) = self.instance.take() {
            instance.stop().await;
        }
        self.clock = Arc::new(FakeClock::new(now));
        Self::open(Arc::clone(&self._folder), self.settings.clone(), Arc::clone(&self.clock)).await
    }

    /// Stops, and starts again with other settings: another build's keys, for example.
    pub async fn restart_with(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.restart().await
    }

    /// Redeems the bootstrap token: the user is now the first admin.
    pub async fn with_admin(mut self) -> Self {
        let token = std::fs::read_to_string(self.dir.bootstrap_token()).unwrap();
        let body = json!({ "token": token.trim(), "email": EMAIL, "password": PASSWORD, "name": "Ada Admin", "session": "bearer" });
        let answer = self.user.post("/api/setup/redeem", body).await;
        self.user.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
        self
    }

    /// Creates a company and returns the path below which it lives.
    pub async fn company(&self) -> String {
        let company = self.user.post("/api/companies", json!({ "name": "Example Works" })).await;
        format!("/api/companies/{}", company["id"].as_str().unwrap())
    }

    /// What the appliance is made of: for states that no route makes yet.
    pub fn state(&self) -> &onsite::http::AppState {
        &self.instance.as_ref().unwrap().composed.state
    }

    /// A new person, signed in, with a role in the company below this path.
    pub async fn person(&self, company: &str, role: &str) -> User {
        let state = self.state();
        let admin = state.auth.authenticate(self.user.token.as_deref().unwrap()).await.unwrap().unwrap();
        let company = company.rsplit('/').next().unwrap().parse().unwrap();
        let email = format!("{role}-{company}@example.com");
        let form = AccountForm::check(&email, role, Secret::new(PASSWORD.to_owned())).unwrap();
        let made = state.auth.create_user(&admin, form, &Origin::default()).await.unwrap();
        assert!(state.companies.set_role(&admin, company, made.id, role.parse().unwrap(), &Origin::default()).await.unwrap());
        self.sign_in(&email).await
    }

    /// Another session of somebody.
    pub async fn sign_in(&self, email: &str) -> User {
        let mut user = User { token: None, ..self.user.clone() };
        let answer = user.post("/api/auth/login", json!({ "email": email, "password": PASSWORD, "session": "bearer" })).await;
        user.token = Some(answer["session"]["token"].as_str().unwrap().to_owned());
        user
    }

    /// Allows the appliance to reach a loopback address.
    pub async fn allow(&self, address: SocketAddr) {
        let rule = json!({ "destination": address.ip().to_string(), "port": address.port(), "reason": "the test's own site" });
        self.user.post("/api/system-admin/egress/rules", rule).await;
    }

    /// Moves the clock.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// Stops as the operator would, and waits for it.
    pub async fn stop(mut self) {
        if let Some(instance) = self.instance.take() {
            instance.stop().await;
        }
    }
}

impl Drop for TestApp {
    /// A test that ends without stopping it, or fails, leaves no server behind at work in a folder that is being removed.
    fn drop(&mut self) {
        let Some(instance) = self.instance.take() else { return };
        let runtime = tokio::runtime::Handle::current();
        if runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| runtime.block_on(instance.stop()));
        } else {
            instance.composed.state.tasks.token().cancel();
        }
    }
}

/// A program with a bearer token.
#[derive(Clone)]
pub struct User {
    pub base: String,
    pub token: Option<String>,
    client: reqwest::Client,
}

impl User {
    /// A program without a token, against any appliance.
    pub fn anonymous(base: &str) -> Self {
        Self { base: base.to_owned(), token: None, client: http_client() }
    }

    /// For requests of an unusual form.
    pub const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Status and JSON of an answer; `null` for an empty one.
    pub async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let answer = self.send(method, path, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, value) = self.try_send(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {value}");
        value
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.try_send(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "POST {path}: {status} {value}");
        value
    }

    /// Posts what must be refused; returns the status and the error.
    pub async fn refused(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let (status, value) = self.try_send(Method::POST, path, Some(body)).await;
        assert!(!status.is_success(), "POST {path} was not refused: {value}");
        (status, value["error"].clone())
    }

    /// Uploads a document.
    pub async fn upload(&self, path: &str, name: &str, bytes: Vec<u8>) -> (StatusCode, Value) {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new().part("file", part);
        let answer = self
            .client
            .post(format!("{}{path}", self.base))
            .bearer_auth(self.token.as_deref().unwrap_or_default())
            .multipart(form)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Follows a stream from after event `after` to its end.
    pub async fn events(&self, path: &str, after: u64) -> Vec<Event> {
        let mut request = self.client.get(format!("{}{path}", self.base)).bearer_auth(self.token.as_deref().unwrap_or_default());
        if after > 0 {
            request = request.header("last-event-id", after.to_string());
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "GET {path}: {}", answer.status());
        let mut body = answer.bytes_stream();
        let mut text = String::new();
        while let Some(bytes) = body.next().await {
            // A server that was killed ends the stream in the middle: what came is what is known.
            let Ok(bytes) = bytes else { break };
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        let field = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        text.split("\n\n")
            .filter_map(|block| {
                let (id, kind, data) = (field(block, "id:")?, field(block, "event:")?, field(block, "data:")?);
                Some(Event { id: id.parse().ok()?, kind, data: serde_json::from_str(&data).ok()? })
            })
            .collect()
    }

    /// Makes a widget over web pages and returns its id.
    pub async fn widget(&self, company: &str, url: &str, pages: u32) -> String {
        let widget = json!({
            "title": "Test widget", "objective": "Rivers, their length and their mouths",
            "source_config": { "source_class": "internal_web", "urls": [url], "crawl": { "max_pages": pages, "max_depth": 5, "same_site": true } },
            "schedule": { "kind": "manual" }, "stale_after_hours": 48, "visibility": "company", "deep_collection": false,
        });
        self.post(&format!("{company}/widgets"), widget).await["id"].as_str().unwrap().to_owned()
    }

    /// Runs a widget to the end of its stream; returns the run and its events.
    pub async fn run(&self, company: &str, widget: &str) -> (Value, Vec<Event>) {
        let run = self.post(&format!("{company}/widgets/{widget}/runs"), json!({})).await;
        let path = format!("{company}/runs/{}", run["id"].as_str().unwrap());
        let events = self.events(&format!("{path}/events"), 0).await;
        (self.get(&path).await, events)
    }

    /// Asks in a new conversation; returns the answer's message, the run's path and the events.
    pub async fn ask(&self, company: &str, question: &str) -> (Value, String, Vec<Event>) {
        let conversation = self.post(&format!("{company}/conversations"), json!({})).await;
        let path = format!("{company}/conversations/{}/messages", conversation["id"].as_str().unwrap());
        let sent = self.post(&path, json!({ "text": question })).await;
        let run = format!("{company}/chat-runs/{}", sent["run"]["id"].as_str().unwrap());
        let events = self.events(&format!("{run}/events"), 0).await;
        let message = events.last().map(|event| event.data["message"].clone()).unwrap_or_default();
        (message, run, events)
    }
}
