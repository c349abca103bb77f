//! The feed in process: a bounded channel per session that has subscribers.
//!
//! Publishing never waits. A subscriber that falls behind by more than [`CAPACITY`] messages loses the oldest and is
//! told so with `Lagged`: it then reads the log.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use futures_util::stream;
use psyche_core::ids::SessionId;
use psyche_core::port::{Bus, News, NewsStream, StoreError};
use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};

/// Messages a subscriber may be behind: some turns' worth of deltas, a few tens of KiB.
pub const CAPACITY: usize = 256;

/// Clones share their topics.
#[derive(Clone, Default)]
pub struct LocalBus {
    topics: Arc<Topics>,
}

/// Sessions with at least one subscriber. Held for a map operation or a send, never across an await.
#[derive(Default)]
struct Topics(Mutex<HashMap<SessionId, Sender<News>>>);

impl Topics {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Sender<News>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalBus {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sessions that somebody listens to.
    pub fn topics(&self) -> usize {
        self.topics.lock().len()
    }
}

#[async_trait]
impl Bus for LocalBus {
    fn publish(&self, session: SessionId, news: News) {
        if let Some(topic) = self.topics.lock().get(&session) {
            // An error means that nobody listens any more: news that nobody hears is not kept.
            let _ = topic.send(news);
        }
    }

    fn subscribe(&self, session: SessionId) -> NewsStream {
        let mut topics = self.topics.lock();
        let topic = topics.entry(session).or_insert_with(|| broadcast::channel(CAPACITY).0);
        let subscription = Subscription {
            session,
            // The stream ends when the bus is gone, so it must not keep the topics alive.
            topics: Arc::downgrade(&self.topics),
            news: Some(topic.subscribe()),
        };
        Box::pin(stream::unfold(subscription, |mut subscription| async move {
            let news = match subscription.news.as_mut()?.recv().await {
                Ok(news) => news,
                Err(RecvError::Lagged(_)) => News::Lagged,
                Err(RecvError::Closed) => return None,
            };
            Some((news, subscription))
        }))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl fmt::Debug for LocalBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalBus").field("topics", &self.topics()).finish()
    }
}

/// One subscriber. The last one to go takes the topic along.
struct Subscription {
    session: SessionId,
    topics: Weak<Topics>,
    news: Option<Receiver<News>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(topics) = self.topics.upgrade() else { return };
        let mut topics = topics.lock();
        // Under the lock, so that nobody subscribes between the count and the removal.
        self.news = None;
        if topics.get(&self.session).is_some_and(|topic| topic.receiver_count() == 0) {
            topics.remove(&self.session);
        }
    }
}
