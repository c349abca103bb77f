//! The connection to Redis: one, multiplexed, made again when it is lost, and given up early when it does not answer.
//!
//! Whoever asks while there is none is told so at once: that is the circuit breaker. One task connects again, with pauses
//! that grow, so that neither a dead Redis nor a slow one is asked more often than that.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError, RedisFuture, Value};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::address::Address;

/// Failures one after the other at which the connection is given up.
const FAILURES: u32 = 3;
/// How often a connection that nobody uses is looked at.
const LOOK: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What happens to the connection is told so often at most.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(super) enum Wire {
    One(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(wire) => wire.req_packed_command(cmd),
            Self::Cluster(wire) => wire.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(wire) => wire.req_packed_commands(pipeline, offset, count),
            Self::Cluster(wire) => wire.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(wire) => wire.get_db(),
            Self::Cluster(wire) => wire.get_db(),
        }
    }
}

impl Wire {
    /// Hears of these channels from now on, or not any more.
    async fn listen(&mut self, channels: &[String], on: bool) -> Result<(), RedisError> {
        if channels.is_empty() {
            return Ok(());
        }
        match (self, on) {
            (Self::One(wire), true) => wire.subscribe(channels).await,
            (Self::One(wire), false) => wire.unsubscribe(channels).await,
            // Each channel has its own shard.
            (Self::Cluster(wire), _) => {
                for channel in channels {
                    if on { wire.ssubscribe(channel).await? } else { wire.sunsubscribe(channel).await? }
                }
                Ok(())
            }
        }
    }

    /// The command that says something to a channel.
    fn publish(&self) -> &'static str {
        match self {
            Self::One(_) => "PUBLISH",
            Self::Cluster(_) => "SPUBLISH",
        }
    }
}

/// Why Redis did not do it.
#[derive(Debug)]
pub(super) enum Failure {
    /// It cannot be reached, or does not answer in time.
    Away(String),
    /// It answered that it will not.
    Refused(RedisError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => f.write_str(why),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

/// Shared by all who use the connection.
#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    address: Address,
    /// How long an answer is waited for.
    patience: Duration,
    /// The connection and its number; `None` while there is none.
    wire: RwLock<Option<(u64, Wire)>>,
    made: AtomicU64,
    /// Failures since the last answer.
    failures: AtomicU32,
    /// The number of the newest connection that is to be given up.
    broken: watch::Sender<u64>,
    /// Channels that are to be heard, and a bell for changes.
    channels: Mutex<std::collections::BTreeSet<String>>,
    changed: Notify,
    told: Mutex<Told>,
    tasks: Mutex<JoinSet<()>>,
}

/// What was last said of the connection, and when.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    is_up: bool,
}

impl Link {
    /// Connects, now and whenever that is needed. What is said on channels goes to `heard`.
    pub fn start(address: Address, patience: Duration, heard: impl Fn(&[u8], &[u8]) + Send + Sync + 'static) -> Self {
        let link = Self(Arc::new(Inner {
            address,
            patience,
            wire: RwLock::default(),
            made: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            broken: watch::Sender::new(0),
            channels: Mutex::default(),
            changed: Notify::new(),
            told: Mutex::default(),
            tasks: Mutex::default(),
        }));
        // The task ends with the last handle: it must not keep one itself.
        let weak = Arc::downgrade(&link.0);
        let task = async move {
            let mut pause = FIRST_PAUSE;
            while let Some(inner) = weak.upgrade() {
                let (pushed, mut pushes) = mpsc::unbounded_channel();
                match inner.connect(pushed).await {
                    Ok(number) => {
                        pause = FIRST_PAUSE;
                        inner.tell(true, "Redis is reached");
                        let link = Self(inner);
                        let why = link.attend(number, &mut pushes, &heard).await;
                        *link.0.wire.write().unwrap_or_else(PoisonError::into_inner) = None;
                        link.0.tell(false, &why);
                    }
                    Err(error) => {
                        inner.tell(false, &error.to_string());
                        drop(inner);
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        link.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        link
    }

    /// One command, one answer.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let (number, mut wire) = self.wire()?;
        self.judge(number, command.query_async(&mut wire).await)
    }

    /// Commands on one key that happen together or not at all.
    pub async fn ask_together<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Failure> {
        let (number, mut wire) = self.wire()?;
        self.judge(number, commands.query_async(&mut wire).await)
    }

    /// Commands that are sent at once, their answers of no interest. In a cluster each goes its own way.
    pub async fn tell(&self, commands: Vec<Cmd>) -> Result<(), Failure> {
        let (number, wire) = self.wire()?;
        let answered = match wire {
            Wire::One(mut wire) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command).ignore();
                }
                pipeline.query_async(&mut wire).await
            }
            Wire::Cluster(wire) => {
                let one = |command: Cmd| {
                    let mut wire = wire.clone();
                    async move { command.exec_async(&mut *wire).await }
                };
                join_all(commands.into_iter().map(one)).await.into_iter().collect()
            }
        };
        self.judge(number, answered)
    }

    /// A script on one key.
    pub async fn run<T: FromRedisValue>(&self, script: &redis::ScriptInvocation<'_>) -> Result<T, Failure> {
        let (number, mut wire) = self.wire()?;
        self.judge(number, script.invoke_async(&mut wire).await)
    }

    /// What says something to a channel; nothing while nobody can be told.
    pub fn publish(&self, channel: &str, message: &[u8]) -> Option<Cmd> {
        let (_, wire) = self.wire().ok()?;
        let mut command = redis::cmd(wire.publish());
        command.arg(channel).arg(message);
        Some(command)
    }

    /// Hears of a channel from soon on, or not any more.
    pub fn listen(&self, channel: String, on: bool) {
        let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if on {
            channels.insert(channel);
        } else {
            channels.remove(&channel);
        }
        self.0.changed.notify_one();
    }

    fn wire(&self) -> Result<(u64, Wire), Failure> {
        let wire = self.0.wire.read().unwrap_or_else(PoisonError::into_inner);
        wire.clone().ok_or_else(|| Failure::Away("Redis is away".to_owned()))
    }

    /// Counts failures: a connection that fails again and again is given up.
    fn judge<T>(&self, number: u64, answer: Result<T, RedisError>) -> Result<T, Failure> {
        let error = match answer {
            Ok(answer) => {
                self.0.failures.store(0, Ordering::Relaxed);
                return Ok(answer);
            }
            Err(error) => error,
        };
        // A server that became a replica, or is not what it says, is to be looked for anew; a full one is only full.
        let moved = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH" | "CLUSTERDOWN"));
        let answered = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) && !moved;
        if answered {
            self.0.failures.store(0, Ordering::Relaxed);
            return Err(Failure::Refused(error));
        }
        let failures = self.0.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if moved || failures >= FAILURES || error.is_connection_dropped() || error.kind() == ErrorKind::Parse {
            self.0.broken.send_if_modified(|newest| std::mem::replace(newest, number.max(*newest)) < number);
        }
        Err(Failure::Away(error.to_string()))
    }

    /// Hands on what is heard and keeps the channels as they are wanted, until the connection is lost. Says why it was.
    async fn attend(
        &self,
        number: u64,
        pushes: &mut mpsc::UnboundedReceiver<PushInfo>,
        heard: &(impl Fn(&[u8], &[u8]) + Send + Sync),
    ) -> String {
        let mut listening = std::collections::BTreeSet::new();
        let mut broken = self.0.broken.subscribe();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.0.changed.notify_one();
        loop {
            if Arc::strong_count(&self.0) == 1 {
                return "it is not needed any more".to_owned();
            }
            tokio::select! {
                push = pushes.recv() => match push {
                    None => return "the connection was closed".to_owned(),
                    Some(push) => match (push.kind, push.data.as_slice()) {
                        // A cluster's client reaches for the lost node by itself.
                        (PushKind::Disconnection, _) if !self.is_cluster() => return "the connection was lost".to_owned(),
                        (
                            PushKind::Message | PushKind::SMessage,
                            [Value::BulkString(channel), Value::BulkString(message)],
                        ) => heard(channel, message),
                        _ => {}
                    },
                },
                () = self.0.changed.notified() => {
                    let wanted = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let more: Vec<String> = wanted.difference(&listening).cloned().collect();
                    let less: Vec<String> = listening.difference(&wanted).cloned().collect();
                    let Ok((_, mut wire)) = self.wire() else { continue };
                    let answered = match wire.listen(&more, true).await {
                        Ok(()) => wire.listen(&less, false).await,
                        other => other,
                    };
                    if let Err(error) = answered {
                        return error.to_string();
                    }
                    listening = wanted;
                }
                _ = looks.tick() => {
                    // Whether it answers is counted there.
                    let _ = self.ask::<Value>(&redis::cmd("PING")).await;
                }
                // What it answers with must not be held here.
                () = broken.wait_for(|newest| *newest >= number).map(drop) => return "it does not answer".to_owned(),
            }
        }
    }

    fn is_cluster(&self) -> bool {
        matches!(self.wire(), Ok((_, Wire::Cluster(_))))
    }
}

impl Inner {
    async fn connect(&self, pushed: mpsc::UnboundedSender<PushInfo>) -> Result<u64, Failure> {
        let connecting = self.address.connect(self.patience, pushed);
        // Sentinels and clusters ask several servers, each with its own patience.
        let wire = tokio::time::timeout(self.patience * 6, connecting).await;
        let mut wire =
            wire.map_err(|_| Failure::Away("no connection in time".to_owned()))?.map_err(Failure::Refused)?;
        // Whoever accepts connections and says nothing is not there.
        let greeted = redis::cmd("PING").query_async::<Value>(&mut wire).await;
        greeted.map_err(Failure::Refused)?;
        self.failures.store(0, Ordering::Relaxed);
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        *self.wire.write().unwrap_or_else(PoisonError::into_inner) = Some((number, wire));
        Ok(number)
    }

    /// One line each ten seconds at most, however often it comes and goes.
    fn tell(&self, is_up: bool, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = told.at.is_some_and(|at| at.elapsed() < TELL_EVERY);
        if quiet || told.is_up == is_up && (is_up || told.at.is_some_and(|at| at.elapsed() < TELL_EVERY * 6)) {
            return;
        }
        *told = Told { at: Some(Instant::now()), is_up };
        if is_up {
            tracing::info!("{why}");
        } else {
            tracing::warn!(why, "Redis is away: live news come from the log, limits are counted here alone");
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("is_up", &self.wire().is_ok()).finish_non_exhaustive()
    }
}
