//! The shared store as one replica reaches it, and stores with a flaw, which the checks must find.

use std::sync::Arc;

use async_trait::async_trait;
use psyche_core::ids::{OwnerId, SessionId, TenantId};
use psyche_core::port::{Append, AppendError, Claim, EventLog, Head, NewFork, NewSession, Snapshot, StoreError};
use psyche_core::record::Record;
use psyche_core::words::Subject;
use psyche_store::memory::MemoryStore;

use super::history::{History, Taken};
use super::wire::Replica;

/// What a store gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Whoever knows the head may append, whatever their epoch.
    NoFence,
    /// An append is acknowledged now and then without being stored.
    LosesAppends,
    /// One command can be received twice.
    ForgetsCommands,
    /// A lease of an owner that is gone never ends.
    EternalLeases,
    /// What appends have cost is charged to nobody.
    ChargesNobody,
}

/// The log, behind the wire of one replica.
pub struct Log {
    pub store: MemoryStore,
    pub replica: Arc<Replica>,
    pub history: Arc<History>,
    pub flaw: Flaw,
}

impl Log {
    async fn call<T, E, F>(&self, name: &'static str, run: impl FnOnce(MemoryStore) -> F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.replica.call(name, run(self.store.clone())).await
    }
}

#[async_trait]
impl EventLog for Log {
    async fn create(&self, new: NewSession) -> Result<(), StoreError> {
        self.call("create", async move |store: MemoryStore| store.create(new).await).await
    }

    async fn fork(&self, new: NewFork) -> Result<(), StoreError> {
        self.call("fork", async move |store: MemoryStore| store.fork(new).await).await
    }

    async fn head(&self, session: SessionId) -> Result<Option<Head>, StoreError> {
        self.call("head", async move |store: MemoryStore| store.head(session).await).await
    }

    async fn claim(&self, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Result<Claim, StoreError> {
        let ttl_ms = if self.flaw == Flaw::EternalLeases { 1 << 40 } else { ttl_ms };
        let (replica, wire) = (self.replica.id, Arc::clone(&self.replica.wire));
        let run = async move |store: MemoryStore| {
            let before = store.head(session).await?;
            let claim = store.claim(session, owner, ttl_ms).await?;
            if let Claim::Granted(head) = &claim {
                let other = before.is_some_and(|b| b.epoch > 0 && b.owner != Some(owner));
                wire.count(if other { "takeovers" } else { "claims" });
                wire.tell(|| format!("replica {replica} owns {session} from now on, epoch {}", head.epoch));
            }
            Ok(claim)
        };
        self.call("claim", run).await
    }

    async fn renew(&self, owner: OwnerId, sessions: &[SessionId], ttl_ms: u64) -> Result<Vec<SessionId>, StoreError> {
        let sessions = sessions.to_vec();
        self.call("renew", async move |store: MemoryStore| store.renew(owner, &sessions, ttl_ms).await).await
    }

    async fn release(&self, owner: OwnerId, sessions: &[SessionId]) -> Result<(), StoreError> {
        let sessions = sessions.to_vec();
        self.call("release", async move |store: MemoryStore| store.release(owner, &sessions).await).await
    }

    async fn append(&self, mut append: Append) -> Result<Head, AppendError> {
        let (flaw, history, wire) = (self.flaw, Arc::clone(&self.history), Arc::clone(&self.replica.wire));
        let name = if append.epoch.is_some() { "append" } else { "append without ownership" };
        let replica = self.replica.id;
        let run = async move |store: MemoryStore| {
            let (session, epoch) = (append.session, append.epoch);
            let last = append.records.last().map_or(0, |record| record.seq);
            match flaw {
                Flaw::NoFence if epoch.is_some() => {
                    append.epoch = store.head(session).await?.map(|head| head.epoch);
                }
                Flaw::LosesAppends if wire.draw(|dice| dice.odds(300)) => {
                    let head = store.head(session).await?.ok_or(StoreError::NotFound("session"))?;
                    let hash = append.records.last().map_or(head.hash, |record| record.hash);
                    return Ok(Head { seq: last, hash, ..head });
                }
                Flaw::ForgetsCommands => append.records.iter_mut().for_each(|record| record.command_id = None),
                Flaw::ChargesNobody => append.charge = None,
                _ => {}
            }
            let kinds: Vec<String> = append.records.iter().map(|record| record.kind.clone()).collect();
            let commits = append.records.iter().filter(|record| record.committed_turn.is_some()).count() as u64;
            let result = store.append(append).await;
            let ends = result.as_ref().map_or_else(ToString::to_string, |head| format!("at {}", head.seq));
            wire.tell(|| format!("replica {replica}, epoch {epoch:?}: {} -> {ends}", kinds.join(" ")));
            match &result {
                Ok(_) => {
                    if let Some(epoch) = epoch {
                        history.taken(Taken { session, replica, epoch, seq: last, commits });
                    } else {
                        wire.count("forwarded");
                    }
                }
                Err(AppendError::Fenced) => wire.count("fenced"),
                Err(AppendError::Stale(_)) => wire.count("stale"),
                Err(_) => {}
            }
            result
        };
        self.call(name, run).await
    }

    async fn read(&self, session: SessionId, after: u64, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.call("read", async move |store: MemoryStore| store.read(session, after, limit).await).await
    }

    async fn read_numbers(
        &self,
        session: SessionId,
        kinds: &'static [&'static str],
        after: u64,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let run = async move |store: MemoryStore| store.read_numbers(session, kinds, after, limit).await;
        self.call("read numbers", run).await
    }

    async fn find_command(&self, session: SessionId, command_id: &str) -> Result<Option<u64>, StoreError> {
        let id = command_id.to_owned();
        self.call("find command", async move |store: MemoryStore| store.find_command(session, &id).await).await
    }

    async fn save_snapshot(&self, session: SessionId, snapshot: Snapshot) -> Result<(), StoreError> {
        let run = async move |store: MemoryStore| store.save_snapshot(session, snapshot).await;
        self.call("save snapshot", run).await
    }

    async fn snapshot(&self, session: SessionId, seq: u64) -> Result<Option<Snapshot>, StoreError> {
        self.call("snapshot", async move |store: MemoryStore| store.snapshot(session, seq).await).await
    }

    async fn claimable(&self, tenant: TenantId, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.call("claimable", async move |store: MemoryStore| store.claimable(tenant, limit).await).await
    }

    async fn erase(&self, session: Option<SessionId>, subject: Subject) -> Result<Vec<SessionId>, StoreError> {
        self.call("erase", async move |store: MemoryStore| store.erase(session, subject).await).await
    }

    async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        self.call("delete", async move |store: MemoryStore| EventLog::delete(&store, session).await).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.call("probe", async move |store: MemoryStore| store.probe().await).await
    }
}
