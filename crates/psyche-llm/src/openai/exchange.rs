//! One answer as it arrives: bytes in, events out, within three time-outs.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use psyche_core::port::{ModelError, ModelEvent};
use tokio::time::{Instant, timeout, timeout_at};

use super::reply::ReplyReader;
use crate::failure::{Explain, bad_answer, timeout as timed_out};

/// After the finish reason only usage can follow; a server that never closes is not waited for longer.
const AFTER_FINISH: Duration = Duration::from_secs(2);
/// After `[DONE]` the body's end is read too, so that the connection can be used again.
const DRAIN: Duration = Duration::from_millis(50);

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the request to the first byte of the answer's body.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// From the request to the end of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { first_byte: Duration::from_secs(30), idle: Duration::from_secs(20), total: Duration::from_mins(3) }
    }
}

impl Timeouts {
    pub(super) fn no_first_byte(&self) -> ModelError {
        timed_out(format!("the model server did not begin to answer within {}", seconds(self.first_byte)))
    }
}

/// The body of an answer; an error is the transport's own words.
pub(super) type Body = BoxStream<'static, Result<Bytes, String>>;

/// The events of a reply that was asked for at `asked`.
pub(super) fn events(
    body: Body,
    reader: ReplyReader,
    timeouts: Timeouts,
    asked: Instant,
) -> impl Stream<Item = Result<ModelEvent, ModelError>> + Send {
    let exchange =
        Exchange { body, reader: Some(reader), begun: false, timeouts, asked, ready: VecDeque::new(), failed: None };
    unfold(exchange, |mut exchange| async move { exchange.next().await.map(|item| (item, exchange)) })
}

struct Exchange {
    body: Body,
    /// Gone once the reply has ended, well or badly.
    reader: Option<ReplyReader>,
    begun: bool,
    timeouts: Timeouts,
    asked: Instant,
    ready: VecDeque<ModelEvent>,
    failed: Option<ModelError>,
}

impl Exchange {
    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            self.read_more().await?;
        }
    }

    /// `None` when the reply had ended before.
    async fn read_more(&mut self) -> Option<()> {
        let reader = self.reader.as_mut()?;
        let (deadline, late) = deadline(&self.timeouts, self.asked, self.begun, reader.has_finish());
        match timeout_at(deadline, self.body.next()).await {
            Ok(Some(Ok(bytes))) => {
                self.begun |= !bytes.is_empty();
                if let Err(error) = reader.push(&bytes, &mut self.ready) {
                    self.fail(error);
                } else if reader.is_over() {
                    // What comes after the end does not matter, nor whether it comes.
                    let _ =
                        timeout(DRAIN, async { while self.body.next().await.is_some_and(|end| end.is_ok()) {} }).await;
                    self.finish();
                }
            }
            Ok(None) => self.finish(),
            // A reply that was told to be complete stays so, whatever happens to the connection.
            Ok(Some(Err(_))) | Err(_) if reader.has_finish() => self.finish(),
            Ok(Some(Err(error))) => {
                self.fail(
                    bad_answer("the connection to the model server broke in the middle of the reply").detail(error),
                );
            }
            Err(_) => self.fail(late),
        }
        Some(())
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.failed = reader.finish(&mut self.ready).err();
        }
    }

    fn fail(&mut self, error: ModelError) {
        self.reader = None;
        self.failed = Some(error);
    }
}

/// The moment to stop waiting, and what to say then.
fn deadline(timeouts: &Timeouts, asked: Instant, begun: bool, has_finish: bool) -> (Instant, ModelError) {
    let idle = if has_finish { timeouts.idle.min(AFTER_FINISH) } else { timeouts.idle };
    let (next, late) = if begun {
        let message = format!("the model server fell silent for {} in the middle of the reply", seconds(idle));
        (Instant::now() + idle, timed_out(message))
    } else {
        (asked + timeouts.first_byte, timeouts.no_first_byte())
    };
    let total = asked + timeouts.total;
    if total < next {
        let message = format!("the reply was not complete within {}", seconds(timeouts.total));
        (total, timed_out(message))
    } else {
        (next, late)
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
