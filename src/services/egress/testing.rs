//! For tests: a web server on loopback that does what it is told, and egress with chosen rules and names.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::resolver::{Resolve, ResolveError};
use super::{Egress, EgressSettings};
use crate::base::seams::Seams;
use crate::base::tasks::Tasks;
use crate::model::egress::RuleDraft;
use crate::store::testing;

/// What a test server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What a test server answers.
pub(crate) enum Reply {
    /// Status line after the version, headers, body (Content-Length is added).
    Whole(&'static str, Vec<(&'static str, String)>, Vec<u8>),
    /// The same bytes for ever.
    Endless(&'static str),
    /// The head and part of the body, then silence until the other side gives up.
    Stuck,
    /// These bytes and nothing else.
    Raw(Vec<u8>),
    /// No answer: the connection closes.
    HangUp,
}

impl Reply {
    pub(crate) fn html(body: impl Into<String>) -> Self {
        Self::Whole("200 OK", vec![("Content-Type", "text/html; charset=utf-8".into())], body.into().into_bytes())
    }

    pub(crate) fn text(status: &'static str, body: &str) -> Self {
        Self::Whole(status, vec![("Content-Type", "text/plain".into())], body.as_bytes().to_vec())
    }

    pub(crate) fn redirect(to: impl Into<String>) -> Self {
        Self::Whole("302 Found", vec![("Location", to.into())], Vec::new())
    }
}

/// A web server on 127.0.0.1. Ends when dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl TestServer {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), asked: Arc::default(), stop: Arc::default() };
        let (asked, stop, answer) = (Arc::clone(&server.asked), Arc::clone(&server.stop), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                let Ok(stream) = stream else { break };
                std::thread::spawn(move || serve(stream, &asked, &*answer));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// The same page under another name of this server.
    pub(crate) fn url_as(&self, host: &str, path: &str) -> url::Url {
        format!("http://{host}:{}{path}", self.address.port()).parse().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(asked) = read_request(&mut reader) else { return };
    seen.lock().unwrap().push(asked.clone());
    let write = |stream: &mut TcpStream, bytes: &[u8]| stream.write_all(bytes).is_ok();
    match answer(&asked) {
        Reply::Whole(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let body = if asked.method == "HEAD" || status.starts_with("304") { Vec::new() } else { body };
            let _ = write(&mut stream, head.as_bytes()) && write(&mut stream, &body);
        }
        Reply::Endless(media_type) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: 2147483648\r\n\r\n");
            let block = vec![b'x'; 64 * 1024];
            let mut going = write(&mut stream, head.as_bytes());
            while going {
                going = write(&mut stream, &block);
            }
        }
        Reply::Stuck => {
            write(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nhalf of it");
            // Blocks until the client closes: reads to the end.
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        }
        Reply::Raw(bytes) => {
            write(&mut stream, &bytes);
        }
        Reply::HangUp => {}
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body })
}

/// Names with fixed addresses; a name listed several times gives its addresses one query after the other.
#[derive(Default)]
pub(crate) struct FixedNames {
    names: Vec<(String, Vec<IpAddr>)>,
    queries: Mutex<Vec<String>>,
}

impl FixedNames {
    pub(crate) fn new(names: &[(&str, &[&str])]) -> Arc<Self> {
        let names = names.iter().map(|(name, list)| ((*name).to_owned(), list.iter().map(|a| a.parse().unwrap()).collect())).collect();
        Arc::new(Self { names, queries: Mutex::default() })
    }

    pub(crate) fn queries(&self) -> Vec<String> {
        self.queries.lock().unwrap().clone()
    }
}

impl Resolve for FixedNames {
    fn resolve(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, ResolveError>> {
        let mut queries = self.queries.lock().unwrap();
        let before = queries.iter().filter(|query| **query == host).count();
        let answers: Vec<_> = self.names.iter().filter(|(name, _)| *name == host).collect();
        let found = answers.get(before.min(answers.len().saturating_sub(1))).map(|(_, addresses)| addresses.clone());
        queries.push(host);
        Box::pin(async move { found.ok_or(ResolveError { reason: "there is no such name".into(), temporary: false }) })
    }
}

/// Egress over a temporary store, with rules `(destination, port, allow_private)`.
pub(crate) struct TestEgress {
    pub(crate) egress: Egress,
    pub(crate) store: crate::store::Store,
    pub(crate) tasks: Tasks,
    _folder: tempfile::TempDir,
}

pub(crate) async fn egress(rules: &[(&str, Option<u16>, bool)], names: Arc<FixedNames>) -> TestEgress {
    let (store, folder) = testing::store();
    let tasks = Tasks::default();
    let settings = EgressSettings { connect_timeout_millis: 5_000, stream_idle_timeout_millis: 50, ..EgressSettings::default() };
    let egress = Egress::with_resolver(store.clone(), Seams::system(), &tasks, settings, names).await.unwrap();
    for (destination, port, allow_private) in rules {
        let draft = RuleDraft { destination: (*destination).into(), port: *port, allow_private: *allow_private, reason: "test".into() };
        egress.add_rule(&draft, &crate::model::audit::Actor::System, None).await.unwrap();
    }
    TestEgress { egress, store, tasks, _folder: folder }
}
