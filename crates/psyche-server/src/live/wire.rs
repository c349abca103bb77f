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

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use tokio::time::Sleep;

    use super::*;

    type Written = Arc<Mutex<Vec<Message>>>;

    /// A client that reads nothing for a while, then everything. Says nothing itself.
    struct Stuck {
        reads_again: Pin<Box<Sleep>>,
        written: Written,
        flushes: usize,
    }

    impl Stream for Stuck {
        type Item = Result<Message, axum::Error>;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }

    impl Sink<Message> for Stuck {
        type Error = axum::Error;
        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
            Poll::Ready(Ok(()))
        }
        fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), axum::Error> {
            self.written.lock().unwrap().push(message);
            Ok(())
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
            self.flushes += 1;
            self.reads_again.as_mut().poll(cx).map(Ok)
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
            Poll::Ready(Ok(()))
        }
    }

    fn wire(stuck_for: Duration) -> (Wire<Stuck>, Written, CancellationToken) {
        let written = Written::default();
        let reads_again = Box::pin(tokio::time::sleep(stuck_for));
        let leaving = CancellationToken::new();
        let socket = Stuck { reads_again, written: Arc::clone(&written), flushes: 0 };
        (Wire::new(socket, Duration::from_secs(15), leaving.clone()), written, leaving)
    }

    fn batch(n: usize) -> Vec<Message> {
        (0..n).map(|n| Message::Text(n.to_string().into())).collect()
    }

    #[tokio::test]
    async fn many_frames_are_one_flush() {
        let (mut wire, written, _) = wire(Duration::ZERO);
        tokio::time::sleep(Duration::from_millis(1)).await;
        wire.send(batch(100)).await.unwrap();
        assert_eq!((written.lock().unwrap().len(), wire.socket.flushes), (100, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off_with_its_cursor() {
        let (mut wire, written, _) = wire(Duration::from_secs(17));
        let began = tokio::time::Instant::now();
        assert_eq!(wire.send(batch(3)).await, Err(Leave::bye(code::TOO_SLOW)));
        assert_eq!(began.elapsed().as_secs(), 15);
        wire.leave(code::TOO_SLOW, 0, Some((1, 42))).await;
        // It reads again after two seconds and finds the goodbye.
        let written = written.lock().unwrap();
        let [.., Message::Text(bye), Message::Close(Some(close))] = &written[..] else { panic!("{written:?}") };
        let bye: serde_json::Value = serde_json::from_str(bye).unwrap();
        assert_eq!(bye, json!({"type": "bye", "code": 4010, "retry_after_ms": 0, "cursor": {"gen": 1, "seq": 42}}));
        assert_eq!(close.code, 4010);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_reads_in_time_stays() {
        let (mut wire, _, _) = wire(Duration::from_secs(14));
        assert_eq!(wire.send(batch(3)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn leaving_does_not_wait_for_a_slow_reader() {
        let (mut wire, _, leaving) = wire(Duration::from_hours(1));
        leaving.cancel();
        assert_eq!(wire.send(batch(1)).await, Err(Leave::bye(code::RESTARTING)));
        let began = tokio::time::Instant::now();
        wire.leave(code::RESTARTING, 1, None).await;
        assert_eq!(began.elapsed(), GOODBYE);
    }
}
