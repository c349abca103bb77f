//! Expiring values in Redis. While it is away each replica keeps its own: a limit is then a replica's, never none.

use std::fmt;
use std::sync::LazyLock;

use async_trait::async_trait;
use psyche_core::port::{Admission, EphemeralStore, StoreError};
use redis::{Cmd, Pipeline, Script};

use super::keys::Seal;
use super::link::{Failure, Link};
use crate::LocalEphemeral;

/// The generic cell rate algorithm by Redis' clock, since replicas' clocks differ. Answers in microseconds: what is missing
/// of a full bucket, and how long to wait, or -1.
static ADMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
         local each, depth = tonumber(ARGV[1]), tonumber(ARGV[2])
         local missing = full + each - now
         if missing > depth + 1 then return {full - now, missing - depth} end
         redis.call('SET', KEYS[1], string.format('%.0f', full + each), 'PX', math.ceil(missing / 1000) + 1)
         return {missing, -1}",
    )
});

/// Clones share their values.
#[derive(Clone)]
pub struct RedisEphemeral {
    /// Part of every key.
    kind: &'static str,
    link: Link,
    seal: Seal,
    otherwise: LocalEphemeral,
}

impl RedisEphemeral {
    pub(super) fn new(kind: &'static str, link: Link, seal: Seal, otherwise: LocalEphemeral) -> Self {
        Self { kind, link, seal, otherwise }
    }

    fn key(&self, key: &str) -> String {
        format!("psyche:{}:{}", self.kind, self.seal.digest(key))
    }

    fn command(&self, name: &str, key: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(self.key(key));
        command
    }

    /// Counts are plain, so that Redis can count; everything else is sealed. What cannot be opened is as good as gone.
    fn opened(&self, key: &str, stored: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let stored = stored?;
        match stored.split_first() {
            Some((&SEALED, sealed)) => self.seal.open(&self.key(key), sealed),
            _ => Some(stored),
        }
    }

    fn sealed(&self, key: &str, value: &[u8]) -> Vec<u8> {
        [&[SEALED], self.seal.seal(&self.key(key), value).as_slice()].concat()
    }
}

/// Before what is sealed. No count begins with it.
const SEALED: u8 = 0;

/// Redis has no lives of nothing.
fn life(ttl_ms: u64) -> u64 {
    ttl_ms.clamp(1, 1 << 48)
}

fn now_here(why: &Failure) {
    tracing::debug!(%why, "an expiring value is kept in this process alone");
}

#[async_trait]
impl EphemeralStore for RedisEphemeral {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.link.ask(&self.command("GET", key)).await {
            Ok(stored) => Ok(self.opened(key, stored)),
            Err(why) => {
                now_here(&why);
                self.otherwise.get(key).await
            }
        }
    }

    async fn put(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<(), StoreError> {
        let mut command = self.command("SET", key);
        command.arg(self.sealed(key, &value)).arg("PX").arg(life(ttl_ms));
        match self.link.ask::<()>(&command).await {
            Ok(()) => Ok(()),
            Err(why) => {
                now_here(&why);
                self.otherwise.put(key, value, ttl_ms).await
            }
        }
    }

    async fn put_new(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = self.command("SET", key);
        command.arg(self.sealed(key, &value)).arg("NX").arg("GET").arg("PX").arg(life(ttl_ms));
        match self.link.ask(&command).await {
            // What is there and cannot be opened is somebody's all the same.
            Ok(stored @ Some(_)) => Ok(Some(self.opened(key, stored).unwrap_or_default())),
            Ok(None) => Ok(None),
            Err(why) => {
                now_here(&why);
                self.otherwise.put_new(key, value, ttl_ms).await
            }
        }
    }

    async fn increment(&self, key: &str, ttl_ms: u64) -> Result<u64, StoreError> {
        let mut together = Pipeline::new();
        together.atomic().add_command(self.command("INCR", key));
        let mut expire = self.command("PEXPIRE", key);
        // The time to live starts with the first.
        expire.arg(life(ttl_ms)).arg("NX");
        together.add_command(expire).ignore();
        match self.link.ask_together::<(u64,)>(&together).await {
            Ok((count,)) => Ok(count),
            Err(Failure::Refused(error)) if error.to_string().contains("not an integer") => {
                Err(StoreError::Corrupt(format!("the value of {key:?} is not a count")))
            }
            Err(why) => {
                now_here(&why);
                self.otherwise.increment(key, ttl_ms).await
            }
        }
    }

    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // What was kept here while Redis was away must not be found again.
        let here = self.otherwise.take(key).await?;
        match self.link.ask(&self.command("GETDEL", key)).await {
            Ok(stored) => Ok(self.opened(key, stored).or(here)),
            Err(why) => {
                now_here(&why);
                Ok(here)
            }
        }
    }

    async fn admit(&self, key: &str, each_ms: f64, depth_ms: f64) -> Result<Option<Admission>, StoreError> {
        let mut script = ADMIT.key(self.key(key));
        script.arg((each_ms * 1_000.0) as u64).arg((depth_ms * 1_000.0) as u64);
        Ok(match self.link.run::<(i64, i64)>(&script).await {
            Ok((missing, wait)) => {
                let ms = |us: i64| us as f64 / 1_000.0;
                Some(Admission { missing_ms: ms(missing), wait_ms: (wait >= 0).then(|| ms(wait)) })
            }
            Err(why) => {
                now_here(&why);
                None
            }
        })
    }
}

impl fmt::Debug for RedisEphemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEphemeral").field("kind", &self.kind).finish_non_exhaustive()
    }
}
