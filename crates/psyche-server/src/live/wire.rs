//! Writing to a socket: many frames, one flush, and an end to patience.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// A client that reads again gets this long to take its goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// A socket, or what stands for one in a test.
pub trait Socket:
    Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}
impl<S> Socket for S where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error> + Unpin + Send
{
}

/// Why a conversation ends.
#[derive(Debug, PartialEq)]
pub enum Leave {
    /// The client went.
    Gone,
    /// The server decides on a close.
    Bye { code: u16, retry_after_ms: u64 },
}

impl Leave {
    pub fn bye(code: u16) -> Self {
        Self::Bye { code, retry_after_ms: 0 }
    }
}

pub mod code {
    pub const RESTARTING: u16 = 1012;
    pub const OVERLOADED: u16 = 1013;
    pub const POLICY: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const UNAUTHENTICATED: u16 = 4001;
    pub const FORBIDDEN: u16 = 4003;
    pub const NO_SUCH_SESSION: u16 = 4004;
    pub const AUTH_TIMEOUT: u16 = 4008;
    pub const TOO_SLOW: u16 = 4010;
    pub const TOO_MANY_MESSAGES: u16 = 4029;
}

pub struct Wire<S> {
    socket: S,
    stall: Duration,
    leaving: CancellationToken,
}

impl<S: Socket> Wire<S> {
    pub fn new(socket: S, stall: Duration, leaving: CancellationToken) -> Self {
        Self { socket, stall, leaving }
    }

    /// Writes all frames with one flush. A batch that makes no progress for `stall` ends the conversation.
    pub async fn send(&mut self, batch: Vec<Message>) -> Result<(), Leave> {
        let socket = &mut self.socket;
        let write = async {
            for message in batch {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        tokio::select! {
            done = tokio::time::timeout(self.stall, write) => match done {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Leave::Gone),
                Err(_) => Err(Leave::bye(code::TOO_SLOW)),
            },
            () = self.leaving.cancelled() => Err(Leave::bye(code::RESTARTING)),
        }
    }

    pub async fn send_json(&mut self, frame: &serde_json::Value) -> Result<(), Leave> {
        self.send(vec![Message::Text(frame.to_string().into())]).await
    }

    /// The next message; pongs are nothing.
    pub async fn next(&mut self) -> Result<Message, Leave> {
        match self.socket.next().await {
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Leave::Gone),
            Some(Ok(message)) => Ok(message),
        }
    }

    /// Says `bye` with the cursor to come back with, then closes and waits for the client's close.
    pub async fn leave(mut self, close: u16, retry_after_ms: u64, cursor: Option<(u32, u64)>) {
        let cursor = cursor.map(|(generation, seq)| json!({"gen": generation, "seq": seq}));
        let bye = json!({"type": "bye", "code": close, "retry_after_ms": retry_after_ms, "cursor": cursor});
        let closing = async {
            self.socket.feed(Message::Text(bye.to_string().into())).await?;
            self.socket.feed(Message::Close(Some(CloseFrame { code: close, reason: reason(close).into() }))).await?;
            self.socket.flush().await?;
            while let Some(Ok(message)) = self.socket.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
            Ok::<(), axum::Error>(())
        };
        let _ = tokio::time::timeout(GOODBYE, closing).await;
    }
}

fn reason(close: u16) -> &'static str {
    match close {
        code::RESTARTING => "restarting",
        code::OVERLOADED => "overloaded",
        code::POLICY => "bad input",
        code::TOO_BIG => "message too big",
        code::UNAUTHENTICATED => "unauthenticated",
        code::FORBIDDEN => "forbidden",
        code::NO_SUCH_SESSION => "no such session",
        code::AUTH_TIMEOUT => "authentication timeout",
        code::TOO_SLOW => "too slow",
        code::TOO_MANY_MESSAGES => "too many messages",
        _ => "",
    }
}
