//! What the store costs over bare SQLite, in one run, by turns.
//!
//! `cargo run --release -p psyche-store --example bench_store [directory]`; the directory is on the disk to be measured.
//! Each slice appends the records of a turn (six, one with a text of 400 characters) again and again, with a sync at
//! every commit: through the store, then the same rows in a single loop over rusqlite. The medians over all slices are
//! compared. Then 32 sessions append at once, and a log is read; it grows to 10,000 turns and is forked at its end.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use psyche_core::Timestamp;
use psyche_core::ids::{OwnerId, SessionId, TenantId, UserId};
use psyche_core::port::{
    Append, Claim, Clock, Determinism, EventLog as _, NewFork, NewSession, Parent, SessionRow, SessionSummary, Spent,
};
use psyche_core::record::{Record, Text};
use psyche_core::session::{Budget, SessionStatus, SessionType, TurnOrder};
use psyche_core::words::{Hash, Subject, commitment};
use psyche_store::sqlite::{Options, SqliteStore};
use rusqlite::{Connection, params};
use tokio::task::JoinSet;
use uuid::Uuid;

const SLICES: usize = 15;
const TURNS: u64 = 200;
const SESSIONS: u128 = 32;
/// Turns of the log that is forked.
const LONG: u64 = 10_000;
const FORKS: u128 = 5;
/// Events of a turn, as the engine writes them.
const KINDS: [&str; 6] =
    ["agent_message", "agent_state_update", "network_update", "health_update", "prompt_adapted", "turn_committed"];

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    // On a worker of the runtime, as the engine's tasks are.
    let mut tasks = JoinSet::new();
    tasks.spawn(measure());
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn measure() -> Outcome {
    let within = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::tempdir_in(within)?;
    let store = Arc::new(SqliteStore::open(Options::new(dir.path().join("ours.db"), [1; 32], Arc::new(SystemClock)))?);
    let bare_path = dir.path().join("bare.db");
    let mut bare = Bare::open(&bare_path)?;

    let (one, two) = (session(1), session(2));
    let mut ours_log = Log::create(&store, one).await?;
    let mut bare_log = Log::new(two);
    bare.create(two)?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for slice in 0..=SLICES {
        let batches: Vec<_> = (0..TURNS).map(|_| ours_log.turn()).collect();
        let start = now();
        for batch in batches {
            store.append(batch).await?;
        }
        let our_rate = TURNS as f64 / start.elapsed().as_secs_f64();

        let batches: Vec<_> = (0..TURNS).map(|_| bare_log.turn()).collect();
        let start = now();
        for batch in &batches {
            bare.append(batch)?;
        }
        let bare_rate = TURNS as f64 / start.elapsed().as_secs_f64();
        // The first slice warms caches and files.
        if slice > 0 {
            ours.push(our_rate);
            theirs.push(bare_rate);
            ratios.push(our_rate / bare_rate);
        }
    }
    println!("one session, {} commits a side, synchronous=FULL, by turns:", TURNS * SLICES as u64);
    println!("  psyche-store {:>8.0} commits/s", median(&mut ours));
    println!("  bare SQLite  {:>8.0} commits/s", median(&mut theirs));
    println!("  ratio        {:>8.2}  (goal 0.80)", median(&mut ratios));

    let alone = median(&mut ours);
    let (rate, commits) = together(&store).await?;
    println!("{SESSIONS} sessions at once, {} appends in {commits} commits:", SESSIONS as u64 * TURNS);
    println!("  psyche-store {rate:>8.0} appends/s  ({:.1} x one session alone)", rate / alone);

    let start = now();
    let (mut after, mut read) = (0, 0);
    loop {
        let records = store.read(one, after, 1000).await?;
        let Some(last) = records.last() else { break };
        after = last.seq;
        read += records.len();
    }
    let rate = read as f64 / start.elapsed().as_secs_f64();
    println!("reading {read} records, a thousand at a time, texts opened:");
    println!("  psyche-store {rate:>8.0} records/s");

    while ours_log.turn < LONG {
        store.append(ours_log.turns(100)).await?;
    }
    let mut forks = Vec::new();
    for n in 0..FORKS {
        let summary = SessionSummary { session_id: session(1_000 + n), ..ours_log.summary.clone() };
        let parent = Parent { session_id: one, generation: 1, seq: ours_log.seq };
        let records = vec![ours_log.clone().record("forked")];
        let start = now();
        store.fork(NewFork { row: SessionRow { tenant: TenantId::DEFAULT, summary }, parent, records }).await?;
        forks.push(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("a fork of {LONG} turns, {} records, every text sealed anew:", ours_log.seq);
    println!("  psyche-store {:>8.0} ms", median(&mut forks));
    store.close().await;
    Ok(())
}

/// Every session appends its turns one after the other; all sessions at once.
async fn together(store: &Arc<SqliteStore>) -> Outcome<(f64, u64)> {
    let mut logs = Vec::new();
    for n in 0..SESSIONS {
        let mut log = Log::create(store, session(100 + n)).await?;
        logs.push((0..TURNS).map(|_| log.turn()).collect::<Vec<_>>());
    }
    let commits = store.commits();
    let start = now();
    let mut tasks = JoinSet::new();
    for batches in logs {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for batch in batches {
                store.append(batch).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let rate = (SESSIONS as u64 * TURNS) as f64 / start.elapsed().as_secs_f64();
    Ok((rate, store.commits() - commits))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn session(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(n))
}

/// Makes the records of one turn after another.
#[derive(Clone)]
struct Log {
    session: SessionId,
    epoch: u64,
    seq: u64,
    turn: u64,
    head: Hash,
    summary: SessionSummary,
}

impl Log {
    fn new(session: SessionId) -> Self {
        Self { session, epoch: 1, seq: 0, turn: 0, head: Hash::ZERO, summary: summary(session) }
    }

    async fn create(store: &SqliteStore, session: SessionId) -> Outcome<Self> {
        let mut log = Self::new(session);
        let row = SessionRow { tenant: TenantId::DEFAULT, summary: log.summary.clone() };
        store.create(NewSession { row, records: Vec::new() }).await?;
        match store.claim(session, OwnerId(Uuid::nil()), 3_600_000).await? {
            Claim::Granted(head) => log.epoch = head.epoch,
            Claim::Held { owner, .. } => return Err(format!("held by {owner}").into()),
        }
        Ok(log)
    }

    fn turn(&mut self) -> Append {
        self.turns(1)
    }

    /// So many turns in one append.
    fn turns(&mut self, count: u64) -> Append {
        let expected = self.head;
        let mut records = Vec::new();
        for _ in 0..count {
            self.turn += 1;
            records.extend(KINDS.iter().map(|kind| self.record(kind)));
        }
        self.summary.turn = self.turn;
        self.summary.seq = self.seq;
        let summary = Some(self.summary.clone());
        Append { session: self.session, epoch: Some(self.epoch), expected, records, summary, charge: None }
    }

    fn record(&mut self, kind: &str) -> Record {
        self.seq += 1;
        let mut texts = Vec::new();
        let mut content = String::new();
        if kind == "agent_message" {
            let (salt, text) = ([7; 16], format!("{:400}", format!("utterance {}", self.seq)));
            content = format!(r#","content":{{"sha256":"{}"}}"#, commitment(&salt, &text));
            texts.push(Text {
                field: "content".to_owned(),
                subject: Subject::Session,
                salt,
                text: Some(text),
                masked: false,
            });
        }
        // A body of about 600 bytes: the middle of what the kinds have.
        let filler = format!("{:560}", self.seq);
        let mut record = Record {
            generation: 1,
            seq: self.seq,
            epoch: self.epoch,
            kind: kind.to_owned(),
            version: 1,
            at: Timestamp(1_795_380_000_000_000 + self.seq as i64),
            body: format!(r#"{{"agent_id":"shadow","filler":"{filler}"{content}}}"#),
            hash: Hash::ZERO,
            committed_turn: (kind == "turn_committed").then_some(self.turn),
            command_id: None,
            texts,
        };
        record.hash = record.chain(&self.head);
        self.head = record.hash;
        record
    }
}

fn summary(session: SessionId) -> SessionSummary {
    SessionSummary {
        session_id: session,
        name: "bench".to_owned(),
        session_type: SessionType::SingleUser,
        status: SessionStatus::Running,
        reason: None,
        actor: None,
        owner: UserId(Uuid::nil()),
        cast_id: "jungian".to_owned(),
        cast_version: 1,
        situation: "A house by the sea. ".repeat(10),
        seed: 1,
        model: "scripted".to_owned(),
        determinism: Determinism::Tape,
        turn_order: TurnOrder::Sequential,
        pacing_ms: 0,
        max_rounds: None,
        budget: Budget::default(),
        spent: Spent { tokens: 1, cost: 0.0 },
        round: 1,
        turn: 1,
        seq: 1,
        generation: 1,
        parent: None,
        tags: vec!["bench".to_owned()],
        created_at: Timestamp(1_795_380_000_000_000),
        last_activity: Timestamp(1_795_380_000_000_000),
        stagnation: vec![Some(0.123_456); 20],
        emergencies: 0,
        waiting: 0,
    }
}

/// The same rows by hand: no queue, no checks, no sealing, no chain.
struct Bare(Connection);

impl Bare {
    fn open(path: &Path) -> Outcome<Self> {
        let db = Connection::open(path)?;
        db.set_prepared_statement_cache_capacity(64);
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
        db.execute_batch(include_str!("../migrations/sqlite/0001_log_and_directory.sql"))?;
        Ok(Self(db))
    }

    fn create(&self, session: SessionId) -> Outcome {
        self.0.execute(
            "INSERT INTO session VALUES (?1, zeroblob(16), zeroblob(16), 'running', 'bench', 0, 0, '{}')",
            [session.0],
        )?;
        self.0.execute(
            "INSERT INTO session_head VALUES (?1, zeroblob(16), 1, NULL, 1, 0, 0, zeroblob(32))",
            [session.0],
        )?;
        Ok(())
    }

    fn append(&mut self, batch: &Append) -> Outcome {
        let session = batch.session.0;
        let begun = self.0.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let last = batch.records.last().map_or(Hash::ZERO, |r| r.hash);
        begun
            .prepare_cached(
                "UPDATE session_head SET last_seq = last_seq + ?2, head_hash = ?3
                 WHERE session_id = ?1 AND epoch = ?4 AND head_hash = ?5",
            )?
            .execute(params![session, batch.records.len(), last.0, batch.epoch, batch.expected.0])?;
        for record in &batch.records {
            begun.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?.execute(
                params![
                    session,
                    record.seq,
                    record.generation,
                    record.epoch,
                    record.kind,
                    record.version,
                    record.at.micros(),
                    record.body,
                    record.hash.0,
                    record.committed_turn,
                    record.command_id,
                ],
            )?;
            for text in &record.texts {
                let words = text.text.as_deref().unwrap_or_default();
                // As long as the sealed form: nonce and tag are 40 bytes.
                let sealed = [words.as_bytes(), &[0; 40]].concat();
                begun
                    .prepare_cached("INSERT INTO event_text VALUES (?1, ?2, 0, ?3, 'session', ?4, ?5, ?6, ?7)")?
                    .execute(params![session, record.seq, text.field, record.hash.0, text.salt, session, sealed])?;
            }
        }
        if let Some(summary) = &batch.summary {
            begun
                .prepare_cached(
                    "UPDATE session SET status = ?2, last_activity = ?3, summary = ?4 WHERE session_id = ?1",
                )?
                .execute(params![
                    session,
                    summary.status.name(),
                    summary.last_activity.micros(),
                    serde_json::to_string(summary)?,
                ])?;
        }
        begun.commit()?;
        Ok(())
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_380_000_000_000)
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        read.unwrap_or_else(|error| panic!("no randomness: {error}"));
        bytes
    }
}
