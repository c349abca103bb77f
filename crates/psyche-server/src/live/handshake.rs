//! The opening handshake (RFC 6455, section 4.2), and the socket that is ours after it.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::stream::Stream;

/// Appended to the client's key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An upgrade that may begin.
#[derive(Debug)]
pub struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

/// The socket after the answer went out, and what the client has sent already.
#[derive(Debug)]
pub struct Taken {
    pub stream: Stream,
    pub read: bytes::Bytes,
}

/// Why a request is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    NotAnUpgrade,
    OtherVersion,
    BadKey,
}

impl IntoResponse for Unfit {
    fn into_response(self) -> Response {
        match self {
            Self::NotAnUpgrade => {
                let upgrade = [(header::UPGRADE, "websocket"), (header::CONNECTION, "Upgrade")];
                (StatusCode::UPGRADE_REQUIRED, upgrade).into_response()
            }
            Self::OtherVersion => {
                (StatusCode::UPGRADE_REQUIRED, [(header::SEC_WEBSOCKET_VERSION, "13")]).into_response()
            }
            Self::BadKey => StatusCode::BAD_REQUEST.into_response(),
        }
    }
}

impl Handshake {
    /// Checks the request (RFC 6455, section 4.2.1).
    pub fn of(request: &mut Request) -> Result<Self, Unfit> {
        let headers = request.headers();
        let asks = request.version() == Version::HTTP_11
            && names(headers, &header::CONNECTION, "upgrade")
            && names(headers, &header::UPGRADE, "websocket");
        if !asks {
            return Err(Unfit::NotAnUpgrade);
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|v| v.as_bytes() != b"13") {
            return Err(Unfit::OtherVersion);
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        // Sixteen bytes in base64.
        let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
        let accept = key.and_then(accept).ok_or(Unfit::BadKey)?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Unfit::NotAnUpgrade)?;
        Ok(Self { accept, upgrade })
    }

    /// The answer to the client, and the upgrade that follows it.
    pub fn answer(self, protocol: Option<&'static str>) -> (Response, OnUpgrade) {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        (response, self.upgrade)
    }
}

/// Waits for the answer to be out and takes the socket from the HTTP library. `None` when the client went.
pub async fn take(upgrade: OnUpgrade, tracker: &TaskTracker) -> Option<Taken> {
    match upgrade.await.ok()?.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Some(Taken { stream: Stream::Tcp(parts.io.into_inner()), read: parts.read_buf }),
        // Over TLS. What the client has sent already comes with the rest.
        Err(upgraded) => match Stream::carry(TokioIo::new(upgraded), tracker) {
            Ok(stream) => Some(Taken { stream, read: bytes::Bytes::new() }),
            Err(error) => {
                tracing::warn!(%error, "a socket over TLS could not be opened");
                None
            }
        },
    }
}

fn accept(key: &[u8]) -> Option<HeaderValue> {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest)).ok()
}

/// Whether a comma-separated header names a token, in any case.
pub fn names(headers: &HeaderMap, header: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_the_standard() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn requests_that_are_no_handshake_are_told_why() {
        let good: [(HeaderName, &str); 4] = [
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "WebSocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let cases = [
            (header::CONNECTION, "close", Unfit::NotAnUpgrade),
            (header::UPGRADE, "h2c", Unfit::NotAnUpgrade),
            (header::SEC_WEBSOCKET_VERSION, "8", Unfit::OtherVersion),
            (header::SEC_WEBSOCKET_KEY, "short", Unfit::BadKey),
            // Right in every way, but no connection stands behind it.
            (header::UPGRADE, "websocket", Unfit::NotAnUpgrade),
        ];
        for (name, value, expected) in cases {
            let mut request = Request::new(axum::body::Body::empty());
            for (header, good) in &good {
                request.headers_mut().insert(header, HeaderValue::from_static(good));
            }
            request.headers_mut().insert(&name, HeaderValue::from_static(value));
            assert_eq!(Handshake::of(&mut request).unwrap_err(), expected, "{name}: {value}");
        }
    }
}
