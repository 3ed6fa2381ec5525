//! A bound on open connections, of all together and of each address, held for as long as each connection lives.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::services::auth::limits::network;

/// How long a connection above the bound waits for another to close before it is dropped.
const WAIT: Duration = Duration::from_secs(10);

/// A connection on which nothing moves for so long, either way, is closed: a place is for those who talk. A stream of events
/// says something every 15 seconds.
const IDLE: Duration = Duration::from_secs(90);

/// Accepts at most so many connections at once, without Nagle's delay.
#[derive(Clone, Debug)]
pub struct Bounded {
    places: Arc<Semaphore>,
    addresses: Addresses,
    idle: Duration,
}

impl Bounded {
    /// At most `max` connections, and `per_address_max` of them from one address; `None` = no bound of its own.
    #[must_use]
    pub fn new(max: usize, per_address_max: Option<usize>) -> Self {
        Self { places: Arc::new(Semaphore::new(max)), addresses: Addresses { open: Arc::default(), max: per_address_max }, idle: IDLE }
    }
}

/// How many connections each address has open.
#[derive(Clone, Debug)]
struct Addresses {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    max: Option<usize>,
}

impl Addresses {
    /// A place among those of an address; `None` = it has as many as it may. This machine is not counted: a proxy on it is everybody.
    fn take(&self, address: IpAddr) -> Option<AddressPlace> {
        let address = network(Some(address)).filter(|address| !address.is_loopback() && self.max.is_some());
        if let Some(address) = address {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(address).or_default();
            if self.max.is_some_and(|max| *count >= max) {
                return None;
            }
            *count += 1;
        }
        Some(AddressPlace { of: self.clone(), address })
    }
}

/// Gives its place back when the connection ends.
#[derive(Debug)]
struct AddressPlace {
    of: Addresses,
    address: Option<IpAddr>,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Bounded {
    type Stream = Connection;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (places, addresses, idle) = (Arc::clone(&self.places), self.addresses.clone(), self.idle);
        Box::pin(async move {
            stream.set_nodelay(true)?;
            // At once, and not after a wait: one address must not fill the places in which others wait.
            let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "too many open connections from this address");
            let of_address = addresses.take(stream.peer_addr()?.ip()).ok_or_else(refused)?;
            let place = tokio::time::timeout(WAIT, places.acquire_owned())
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "too many open connections"))?
                .map_err(io::Error::other)?;
            Ok((Connection { stream, idle: Box::pin(tokio::time::sleep(idle)), idle_max: idle, _places: (place, of_address) }, service))
        })
    }
}

/// A connection and its place under the bound.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    idle_max: Duration,
    _places: (OwnedSemaphorePermit, AddressPlace),
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
        let bounded = Bounded { idle: Duration::from_millis(50), ..Bounded::new(1, None) };
        let (mut connection, mut client) = accepted(&bounded).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        assert_eq!(bounded.places.available_permits(), 0);
        assert_eq!(connection.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(connection);
        assert_eq!(bounded.places.available_permits(), 1);
    }

    #[test]
    fn one_address_has_so_many_and_others_have_theirs() {
        let Bounded { addresses, .. } = Bounded::new(100, Some(2));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let held: Vec<_> = (0..2).map(|_| addresses.take(address("192.0.2.1")).unwrap()).collect();
        assert!(addresses.take(address("192.0.2.1")).is_none() && addresses.take(address("::ffff:192.0.2.1")).is_none());
        assert!(addresses.take(address("192.0.2.2")).is_some());
        let network: Vec<_> = (1..=2).map(|n| addresses.take(address(&format!("2001:db8::{n}"))).unwrap()).collect();
        assert!(addresses.take(address("2001:db8::3")).is_none(), "one IPv6 network is one address");
        let own: Vec<_> = (0..50).map(|_| addresses.take(address("127.0.0.1")).unwrap()).collect();
        drop((held, network, own));
        assert!(addresses.take(address("192.0.2.1")).is_some());
        assert!(addresses.open.lock().unwrap().is_empty(), "an address without connections is forgotten");
    }
}
