//! A bound on open connections, held for as long as each connection lives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// How long a connection above the bound waits for another to close before it is dropped.
const WAIT: Duration = Duration::from_secs(10);

/// A connection on which nothing moves for so long, either way, is closed: a place is for those who talk. A stream of events
/// says something every 15 seconds.
const IDLE: Duration = Duration::from_secs(90);

/// Accepts at most so many connections at once, without Nagle's delay.
#[derive(Clone, Debug)]
pub struct Bounded {
    places: Arc<Semaphore>,
    idle: Duration,
}

impl Bounded {
    /// At most `max` connections.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max)), idle: IDLE }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Bounded {
    type Stream = Connection;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (places, idle) = (Arc::clone(&self.places), self.idle);
        Box::pin(async move {
            stream.set_nodelay(true)?;
            let place = tokio::time::timeout(WAIT, places.acquire_owned())
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "too many open connections"))?
                .map_err(io::Error::other)?;
            Ok((Connection { stream, idle: Box::pin(tokio::time::sleep(idle)), idle_max: idle, _place: place }, service))
        })
    }
}

/// A connection and its place under the bound.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    idle_max: Duration,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Something moved: the idle time begins anew. Nothing moves: is it over?
    fn watch<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let idle = tokio::time::sleep(self.idle_max);
            self.idle.set(idle);
            return moved;
        }
        match self.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved on this connection"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(cx, moved)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, moved)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, moved)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn accepted(bounded: &Bounded) -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (connection, ()) = bounded.accept(server.unwrap().0, ()).await.unwrap();
        (connection, client.unwrap())
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_gives_its_place_back() {
        let bounded = Bounded { idle: Duration::from_millis(50), ..Bounded::new(1) };
        let (mut connection, mut client) = accepted(&bounded).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        assert_eq!(bounded.places.available_permits(), 0);
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(connection);
        assert_eq!(bounded.places.available_permits(), 1);
    }
}
