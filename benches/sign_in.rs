//! 200 people who sign in at once: what the appliance takes of memory and of everybody else's time, against the same hashes without a bound in the same
//! run. Prints both ratios.
//!
//! `cargo bench --bench sign_in` starts the real binary on loopback with a data folder of its own.

#![expect(clippy::expect_used, clippy::disallowed_methods, reason = "a benchmark measures real time and stops when something fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};

const AT_ONCE: usize = 200;
/// How often somebody else asks for something meanwhile.
const ASKS_EVERY: Duration = Duration::from_millis(10);
const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "a goose crossed the yard twice";

struct Server {
    url: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("the first provider");
    let server = start();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
    let token = std::fs::read_to_string(server._folder.path().join("bootstrap-token")).expect("a token");
    let admin = json!({ "token": token.trim(), "email": EMAIL, "password": PASSWORD, "name": "Ada", "session": "bearer" });
    assert!(post(&client, &server, "/api/setup/redeem", &admin).await.0.is_success(), "an admin");
    post(&client, &server, "/api/auth/login", &sign_in(PASSWORD)).await;

    let quiet = asked_meanwhile(&client, &server, tokio::time::sleep(Duration::from_secs(2))).await;
    let before = memory(server.child.id(), "VmRSS");
    let started = Instant::now();
    let answers = Arc::new(tokio::sync::Mutex::new(BTreeMap::<u16, usize>::new()));
    let rush = async {
        let sign_ins = (0..AT_ONCE).map(|n| {
            let (client, server, answers) = (&client, &server, Arc::clone(&answers));
            async move {
                let (status, _) = post(client, server, "/api/auth/login", &sign_in(if n % 50 == 0 { "a wrong one" } else { PASSWORD })).await;
                *answers.lock().await.entry(status.as_u16()).or_default() += 1;
            }
        });
        futures_util::future::join_all(sign_ins).await;
    };
    let busy = asked_meanwhile(&client, &server, rush).await;
    let seconds = started.elapsed().as_secs_f64();
    let bounded = memory(server.child.id(), "VmHWM").saturating_sub(before);
    let unbounded = without_a_bound().await;

    let answers = answers.lock().await;
    println!("{AT_ONCE} sign-ins at once in {seconds:.1} s, by status: {answers:?}");
    println!("memory above idle            {bounded:>8} kB   without a bound {unbounded} kB   ratio {:.3}", ratio(bounded, unbounded));
    println!(
        "others meanwhile (p50, p99)  {:>5.1} {:>5.1} ms   quiet {:.1} {:.1} ms   ratio {:.1} (p50)",
        busy.0,
        busy.1,
        quiet.0,
        quiet.1,
        busy.0 / quiet.0
    );
    assert!(answers.keys().all(|status| [200, 401, 429].contains(status)), "somebody was not answered properly");
}

fn start() -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_onsite"))
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
    let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
    Server { url, child, _folder: folder }
}

fn sign_in(password: &str) -> Value {
    json!({ "email": EMAIL, "password": password, "session": "bearer" })
}

async fn post(client: &reqwest::Client, server: &Server, path: &str, body: &Value) -> (reqwest::StatusCode, String) {
    let answer = client.post(format!("{}{path}", server.url)).json(body).send().await.expect("an answer");
    (answer.status(), answer.text().await.expect("its text"))
}

/// Milliseconds (p50, p99) of somebody who reads from the database while `work` goes on.
async fn asked_meanwhile(client: &reqwest::Client, server: &Server, work: impl Future<Output = ()>) -> (f64, f64) {
    let done = AtomicBool::new(false);
    let ask = async {
        let mut times = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let started = Instant::now();
            let answer = client.get(format!("{}/readyz", server.url)).send().await.expect("an answer");
            assert!(answer.status().is_success(), "others are not answered");
            times.push(started.elapsed().as_secs_f64() * 1_000.0);
            tokio::time::sleep(ASKS_EVERY).await;
        }
        times.sort_unstable_by(f64::total_cmp);
        times
    };
    let work = async {
        work.await;
        done.store(true, Ordering::Relaxed);
    };
    let (times, ()) = tokio::join!(ask, work);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Kilobytes at most, above what there was, of as many hashes on threads of their own.
async fn without_a_bound() -> u64 {
    let before = memory(std::process::id(), "VmRSS");
    let hashes = (0..AT_ONCE).map(|_| {
        tokio::task::spawn_blocking(|| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
            argon2.hash_password_into(PASSWORD.as_bytes(), b"salt of sixteen b", &mut [0; 32]).expect("a hash");
        })
    });
    futures_util::future::join_all(hashes).await;
    memory(std::process::id(), "VmHWM").saturating_sub(before)
}

/// Kilobytes of a process, as the kernel counts them.
fn memory(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim_start_matches(':').split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}
