//! A scripted model server on loopback that speaks the wire format of `/v1/chat/completions`: status codes, delays by signal, tool calls, a connection
//! that ends in the middle, malformed events, usage. Threads and blocking sockets, so that it runs beside any runtime.

#![allow(dead_code, missing_docs, reason = "shared by unit tests and the integration binary, which use different parts of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Holds a reply back until it is given.
#[derive(Clone, Default)]
pub struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    pub fn give(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Blocks the calling thread.
    pub fn wait(&self) {
        let mut given = self.0.0.lock().unwrap();
        while !*given {
            given = self.0.1.wait(given).unwrap();
        }
    }
}

enum Step {
    Bytes(Vec<u8>),
    Wait(Signal),
    Reached(Signal),
    Disconnect,
}

/// What one request is answered with.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
}

impl Reply {
    /// An answer that is not a stream.
    pub fn status(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), steps: vec![Step::Bytes(body.as_bytes().to_vec())] }
    }

    /// A stream, to be filled by the methods below.
    pub fn stream() -> Self {
        Self { status: 200, headers: vec![("content-type".into(), "text/event-stream".into())], steps: Vec::new() }
    }

    /// A whole answer in three parts, with usage.
    pub fn answer(text: &str) -> Self {
        let third = text.char_indices().nth(text.chars().count() / 3).map_or(0, |(at, _)| at);
        Self::stream().text(&text[..third]).text(&text[third..]).finish("stop").usage(11, 7).done()
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.event(&serde_json::json!({"id": "c-1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}))
    }

    pub fn finish(self, reason: &str) -> Self {
        self.event(
            &serde_json::json!({"id": "c-1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
        )
    }

    pub fn usage(self, prompt: u64, completion: u64) -> Self {
        let usage = serde_json::json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion});
        self.event(&serde_json::json!({"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    }

    pub fn tool_call(self, name: &str, arguments: &str) -> Self {
        let call = serde_json::json!([{"index": 0, "id": "t-1", "type": "function", "function": {"name": name, "arguments": arguments}}]);
        self.event(&serde_json::json!({"choices": [{"index": 0, "delta": {"tool_calls": call}, "finish_reason": null}]})).finish("tool_calls")
    }

    pub fn done(self) -> Self {
        self.raw("data: [DONE]\n\n")
    }

    pub fn event(self, data: &serde_json::Value) -> Self {
        self.raw(&format!("data: {data}\n\n"))
    }

    /// Bytes as they are: malformed ones too.
    pub fn raw(mut self, bytes: &str) -> Self {
        self.steps.push(Step::Bytes(bytes.as_bytes().to_vec()));
        self
    }

    /// Goes on once the signal is given.
    pub fn wait_for(mut self, signal: &Signal) -> Self {
        self.steps.push(Step::Wait(signal.clone()));
        self
    }

    /// Gives a signal when the reply has come this far.
    pub fn reached(mut self, signal: &Signal) -> Self {
        self.steps.push(Step::Reached(signal.clone()));
        self
    }

    /// Ends the connection without ending the answer.
    pub fn disconnect(mut self) -> Self {
        self.steps.push(Step::Disconnect);
        self
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: serde_json::Value,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

struct Shared {
    replies: Mutex<std::collections::VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    stopped: AtomicBool,
}

/// The server. Stops when dropped.
pub struct ModelServer {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

impl ModelServer {
    /// Answers the requests in order with the replies; further ones with 500.
    pub fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { replies: Mutex::new(replies.into_iter().collect()), received: Mutex::default(), stopped: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || connection.map(|connection| serve(connection, &shared)));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds a reply to the script.
    pub fn then(&self, reply: Reply) {
        self.shared.replies.lock().unwrap().push_back(reply);
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let Some(received) = read_request(&connection)? else { return Ok(()) };
    // The number of a request is fixed before it is answered, so that a reply's signals tell that it was recorded.
    shared.received.lock().unwrap().push(received);
    let reply = shared.replies.lock().unwrap().pop_front().unwrap_or_else(|| Reply::status(500, "the script has no more replies"));
    answer(connection, reply)
}

fn read_request(connection: &TcpStream) -> std::io::Result<Option<Received>> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Received { path, headers, body: serde_json::from_slice(&body).unwrap_or(serde_json::Value::Null) }))
}

fn answer(mut connection: TcpStream, reply: Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\ntransfer-encoding: chunked\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    connection.write_all(format!("{head}\r\n").as_bytes())?;
    for step in reply.steps {
        match step {
            Step::Bytes(bytes) if bytes.is_empty() => {}
            Step::Bytes(bytes) => {
                connection.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
                connection.write_all(&bytes)?;
                connection.write_all(b"\r\n")?;
            }
            Step::Wait(signal) => signal.wait(),
            Step::Reached(signal) => signal.give(),
            Step::Disconnect => return Ok(()),
        }
    }
    connection.write_all(b"0\r\n\r\n")
}
