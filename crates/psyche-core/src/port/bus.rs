//! The live feed: hints that something is new, and what is never stored.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Event;
use crate::ids::{AgentId, SessionId};

use super::log::StoreError;

/// What is shown and never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Live {
    /// A piece of an utterance that is being spoken. `index` counts from 0 within (turn, attempt).
    Delta {
        agent_id: AgentId,
        turn: u64,
        attempt: u32,
        index: u32,
        text: String,
    },
    AgentProcessingStarted {
        agent_id: AgentId,
        turn: u64,
        attempt: u32,
    },
    AgentProcessingComplete {
        agent_id: AgentId,
        turn: u64,
        attempt: u32,
    },
    /// Who has the session open at one replica, as presence shows them. Said again and again while somebody has.
    Present {
        replica: Uuid,
        people: Vec<serde_json::Value>,
    },
}

/// One message of the feed.
#[derive(Clone, Debug)]
pub enum News {
    /// The log is durable up to `seq`. In process the events come along; otherwise they are read from the log.
    Appended {
        generation: u32,
        seq: u64,
        events: Option<Arc<[Event]>>,
    },
    Live(Arc<Live>),
    /// The session is gone.
    Deleted,
    /// Messages were lost: read the log.
    Lagged,
}

pub type NewsStream = Pin<Box<dyn Stream<Item = News> + Send>>;

/// At most once, unordered across sessions, ordered within one.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Never blocks on a slow subscriber.
    fn publish(&self, session: SessionId, news: News);
    /// News from now on.
    fn subscribe(&self, session: SessionId) -> NewsStream;
    async fn probe(&self) -> Result<(), StoreError>;
}

/// Values that expire: rate limits, idempotency keys, tickets.
#[async_trait]
pub trait EphemeralStore: Send + Sync {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    async fn put(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<(), StoreError>;
    /// Stores only when the key is free; returns the value that is there when it is not.
    async fn put_new(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<Option<Vec<u8>>, StoreError>;
    /// Adds one and returns the new count; the time to live starts with the first.
    async fn increment(&self, key: &str, ttl_ms: u64) -> Result<u64, StoreError>;
    /// Reads and removes.
    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Takes one from a bucket that fills by one each `each_ms` and holds `depth_ms` of them (the generic cell rate
    /// algorithm), counted for all replicas together. `None`: only this process counts.
    async fn admit(&self, _key: &str, _each_ms: f64, _depth_ms: f64) -> Result<Option<Admission>, StoreError> {
        Ok(None)
    }
}

/// What a bucket answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Admission {
    /// Until it is full again.
    pub missing_ms: f64,
    /// When nothing was left: until something is.
    pub wait_ms: Option<f64>,
}
