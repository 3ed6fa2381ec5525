//! The demo's client: it talks to the running appliance over HTTP as any program would, with a bearer token.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::DemoError;
use crate::base::tasks::Tasks;

/// An event of a run, as it came over the wire.
#[derive(Debug)]
pub(super) struct WireEvent {
    pub(super) kind: String,
    pub(super) data: Value,
}

/// Speaks HTTP/1.1 to one loopback address.
#[derive(Clone)]
pub(super) struct Client {
    address: SocketAddr,
    token: Option<String>,
    tasks: Tasks,
}

impl Client {
    pub(super) const fn new(address: SocketAddr, tasks: Tasks) -> Self {
        Self { address, token: None, tasks }
    }

    pub(super) fn sign_in(&mut self, token: String) {
        self.token = Some(token);
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, DemoError> {
        self.json(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, DemoError> {
        self.json(Method::POST, path, Some(body)).await
    }

    async fn json(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, DemoError> {
        let what = format!("{method} {path}");
        let answer = self.send(method, path, body).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.map_err(|error| DemoError::new(&what, error))?.to_bytes();
        if !status.is_success() {
            let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let told = body["error"]["message"].is_string();
            return Err(if told { DemoError::told(&what, &body["error"]) } else { DemoError::new(&what, format!("answered {status}")) });
        }
        if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes).map_err(|error| DemoError::new(&what, error)) }
    }

    /// Follows a stream of events to its end and hands each event on.
    pub(super) async fn follow(&self, path: &str, mut on_event: impl FnMut(WireEvent)) -> Result<(), DemoError> {
        let what = format!("GET {path}");
        let mut body = self.send(Method::GET, path, None).await?.into_body();
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| DemoError::new(&what, error))?;
            if let Some(bytes) = frame.data_ref() {
                text.push_str(&String::from_utf8_lossy(bytes));
            }
            while let Some(end) = text.find("\n\n") {
                let block: String = text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(kind), Some(data)) = (field("event:"), field("data:")) {
                    let data = serde_json::from_str(data).map_err(|error| DemoError::new(&what, error))?;
                    on_event(WireEvent { kind: kind.to_owned(), data });
                }
            }
        }
        Ok(())
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<http::Response<Incoming>, DemoError> {
        let what = format!("{method} {path}");
        let fault = |error: &dyn std::fmt::Display| DemoError::new(&what, error);
        let stream = TcpStream::connect(self.address).await.map_err(|error| fault(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| fault(&error))?;
        self.tasks.spawn("demo-connection", async move {
            // A connection that breaks shows in the request that uses it.
            let _ = connection.await;
        });
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.address.to_string());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes)).map_err(|error| fault(&error))?;
        sender.send_request(request).await.map_err(|error| fault(&error))
    }
}
