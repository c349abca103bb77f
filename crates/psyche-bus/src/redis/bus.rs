//! The feed between replicas: what is published here is heard here at once and elsewhere through Redis.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use psyche_core::ids::SessionId;
use psyche_core::port::{Bus, Live, News, NewsStream, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::keys::{Seal, of_session, session_of};
use super::link::Link;
use super::shelf;
use crate::LocalBus;

/// News that may wait to be said. What does not fit is read from the log by who misses it.
const WAITING: usize = 4_096;
/// News that are said at once.
const TOGETHER: usize = 256;

/// What replicas say to each other.
#[derive(Serialize, Deserialize)]
struct Message {
    from: Uuid,
    news: Told,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Appended { generation: u32, seq: u64 },
    Live(Arc<Live>),
    Deleted,
}

/// What subscribers here and the connection share.
pub(super) struct Outbox {
    /// Whoever says something does not want to hear it back.
    me: Uuid,
    local: LocalBus,
    link: Link,
    seal: Seal,
    /// Sessions that somebody here listens to.
    listening: Mutex<HashMap<SessionId, usize>>,
}

impl Outbox {
    pub fn new(me: Uuid, seal: Seal, link: Link) -> Self {
        Self { me, local: LocalBus::new(), link, seal, listening: Mutex::default() }
    }

    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Something was said on a channel. What this program did not say is passed over.
    pub fn heard(&self, channel: &[u8], message: &[u8]) {
        let Some(session) = session_of(channel) else { return };
        let Some(plain) = self.seal.open(&of_session(session, "news"), message) else { return };
        let Ok(Message { from, news }) = serde_json::from_slice(&plain) else { return };
        if from == self.me {
            return;
        }
        let news = match news {
            Told::Appended { generation, seq } => News::Appended { generation, seq, events: None },
            Told::Live(live) => News::Live(live),
            Told::Deleted => News::Deleted,
        };
        self.local.publish(session, news);
    }

    fn listen(&self, session: SessionId, on: bool) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let count = listening.entry(session).or_default();
        *count = if on { *count + 1 } else { count.saturating_sub(1) };
        let (first, last) = (on && *count == 1, !on && *count == 0);
        if last {
            listening.remove(&session);
        }
        if first || last {
            // Under the lock, so that the last to go does not silence the next to come.
            self.link.listen(of_session(session, "news"), on);
        }
    }

    /// Says news, and lays what they hold onto the shelf.
    async fn say(&self, waiting: &mut Vec<(SessionId, News)>) {
        let mut commands = Vec::with_capacity(waiting.len());
        for (session, news) in waiting.drain(..) {
            let told = match &news {
                News::Appended { generation, seq, .. } => Told::Appended { generation: *generation, seq: *seq },
                News::Live(live) => Told::Live(Arc::clone(live)),
                News::Deleted => Told::Deleted,
                News::Lagged => continue,
            };
            let channel = of_session(session, "news");
            let Ok(plain) = serde_json::to_vec(&Message { from: self.me, news: told }) else { continue };
            let Some(say) = self.link.publish(&channel, &self.seal.seal(&channel, &plain)) else { continue };
            commands.push(say);
            commands.extend(shelf::commands(session, &news, &self.seal));
        }
        // Nobody waits for it; the connection itself tells when it does not work.
        if !commands.is_empty()
            && let Err(why) = self.link.tell(commands).await
        {
            tracing::debug!(%why, "news were not passed on");
        }
    }
}

/// Clones share their topics.
#[derive(Clone)]
pub struct RedisBus {
    outbox: Arc<Outbox>,
    sender: mpsc::Sender<(SessionId, News)>,
    _task: Arc<JoinSet<()>>,
}

impl RedisBus {
    pub(super) fn start(outbox: Arc<Outbox>) -> Self {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        let own = Arc::clone(&outbox);
        task.spawn(async move {
            let mut waiting = Vec::new();
            while receiver.recv_many(&mut waiting, TOGETHER).await > 0 {
                own.say(&mut waiting).await;
            }
        });
        Self { outbox, sender, _task: Arc::new(task) }
    }
}

#[async_trait]
impl Bus for RedisBus {
    fn publish(&self, session: SessionId, news: News) {
        self.outbox.local.publish(session, news.clone());
        // A full queue: the others find it in the log.
        let _ = self.sender.try_send((session, news));
    }

    fn subscribe(&self, session: SessionId) -> NewsStream {
        let news = self.outbox.local.subscribe(session);
        self.outbox.listen(session, true);
        let ear = Ear { outbox: Arc::clone(&self.outbox), session };
        Box::pin(news.map(move |news| {
            let _while_heard = &ear;
            news
        }))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let answer = self.outbox.link.ask::<redis::Value>(&redis::cmd("PING")).await;
        answer.map(drop).map_err(|why| StoreError::Unavailable(why.to_string()))
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBus").field("link", &self.outbox.link).finish_non_exhaustive()
    }
}

/// One subscriber. The last one to go takes the channel along.
struct Ear {
    outbox: Arc<Outbox>,
    session: SessionId,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.outbox.listen(self.session, false);
    }
}
