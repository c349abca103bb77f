//! A listening address: who comes in, over what, and how many at once.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::api::auth::Peer;
use crate::tls::Tls;

/// Request heads larger than this are refused (LIM-01).
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 100;
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
const PLAIN: &str = "This port speaks HTTPS: use an address that begins with https://\n";

/// What is behind a listening address. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    pub router: Router,
    pub tls: Option<Tls>,
    /// Connections at once; more wait in the listener's queue.
    pub places: usize,
    /// A handshake, and the head of a request, come within this each.
    pub header_timeout: Duration,
    pub tracker: TaskTracker,
    /// Cancelled when connections are to end with the answer under way.
    pub leaving: CancellationToken,
}

impl Door {
    /// Lets in who comes, until the token is cancelled.
    pub async fn open(self, listener: TcpListener, token: &CancellationToken) {
        let places = Arc::new(Semaphore::new(self.places));
        loop {
            let place = tokio::select! {
                () = token.cancelled() => return,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                () = token.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.tracker.spawn(self.clone().enter(stream, peer, place));
                }
                Err(error) => {
                    // Out of descriptors, most likely: others may end soon.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn enter(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let _place = place;
        // Frames are small and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.serve(stream, peer).await };
        // Boxed, so that a connection without TLS keeps no room for one with it.
        let encrypted = Box::pin(tokio::time::timeout(self.header_timeout, encrypt(tls, stream)));
        let encrypted = tokio::select! {
            encrypted = encrypted => encrypted,
            () = self.leaving.cancelled() => return,
        };
        if let Ok(Some(stream)) = encrypted {
            Box::pin(self.serve(stream, peer)).await;
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr) {
        let (router, tracker) = (self.router, self.tracker);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            let answer = router.clone().oneshot(request.map(axum::body::Body::new));
            // A client that breaks off does not break off what it asked for: half a password change is worse than none.
            let work = tracker.spawn(answer);
            async move { work.await.unwrap_or_else(|_| Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            // Clients break off as they like.
            _ = connection.as_mut() => {}
            () = self.leaving.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// The handshake. `None` for a client that does not speak TLS, or not ours; where it spoke HTTP it has got a sentence.
async fn encrypt(tls: &Tls, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0] == HANDSHAKE {
        return TlsAcceptor::from(tls.current()).accept(stream).await.ok();
    }
    if first[0].is_ascii_uppercase() {
        let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length:";
        stream.write_all(format!("{head} {}\r\n\r\n{PLAIN}", PLAIN.len()).as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        // A socket closed over unread bytes resets the connection, and the answer may be lost with it.
        let mut rest = stream.take(HEAD_BYTES as u64);
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    }
    None
}
