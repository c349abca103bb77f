//! Builders of what the cases store. Records carry valid hashes and commitments; their kinds mean nothing here.

use psyche_core::Timestamp;
use psyche_core::ids::{OwnerId, SessionId, SignInId, TenantId, UserId};
use psyche_core::port::{
    Append, Claim, Determinism, EventLog, Head, NewSession, NewSignIn, NewUser, Role, SessionRow, SessionSummary,
    SignIn, Spent, User, UserStatus,
};
use psyche_core::record::{Checker, Record, Text};
use psyche_core::session::{Budget, SessionStatus, SessionType, TurnOrder};
use psyche_core::words::{Hash, Subject, commitment};
use uuid::Uuid;

use super::clock::START;

pub const TENANT: TenantId = TenantId::DEFAULT;

pub fn session_id(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(n))
}

pub fn user_id(n: u128) -> UserId {
    UserId(Uuid::from_u128(0xA000 + n))
}

pub fn owner_id(n: u128) -> OwnerId {
    OwnerId(Uuid::from_u128(0xB000 + n))
}

pub fn sign_in_id(n: u128) -> SignInId {
    SignInId(Uuid::from_u128(0xC000 + n))
}

/// The end of a log, from which records are made.
#[derive(Clone, Debug)]
pub struct Chain {
    pub generation: u32,
    pub seq: u64,
    pub hash: Hash,
}

impl Chain {
    pub fn new() -> Self {
        Self { generation: 1, seq: 0, hash: Hash::ZERO }
    }

    pub fn at(head: &Head) -> Self {
        Self { generation: head.generation, seq: head.seq, hash: head.hash }
    }

    pub fn record(&mut self, kind: &str, texts: &[(Subject, &str)]) -> Record {
        self.finish(kind, texts, |_| {})
    }

    pub fn turn(&mut self, turn: u64) -> Record {
        self.finish("turn_committed", &[], |record| record.committed_turn = Some(turn))
    }

    pub fn command(&mut self, id: &str) -> Record {
        self.finish("command_received", &[], |record| record.command_id = Some(id.to_owned()))
    }

    fn finish(&mut self, kind: &str, texts: &[(Subject, &str)], set: impl Fn(&mut Record)) -> Record {
        self.seq += 1;
        let seq = self.seq;
        let texts: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(i, (subject, text))| {
                let field = format!("text{i}");
                let mut salt = [0; 16];
                salt.copy_from_slice(&Hash::of(format!("{seq} {field} {text}").as_bytes()).0[..16]);
                Text { field, subject: *subject, salt, text: Some((*text).to_owned()), masked: false }
            })
            .collect();
        let fields = texts.iter().map(|t| {
            let words = t.text.as_deref().unwrap_or_default();
            format!(r#","{}":{{"sha256":"{}"}}"#, t.field, commitment(&t.salt, words))
        });
        let body = format!(r#"{{"n":{seq}{}}}"#, fields.collect::<String>());
        let mut record = Record {
            generation: self.generation,
            seq,
            epoch: 0,
            kind: kind.to_owned(),
            version: 1,
            at: Timestamp(START.micros() + seq as i64),
            body,
            hash: Hash::ZERO,
            committed_turn: None,
            command_id: None,
            texts,
        };
        set(&mut record);
        record.hash = record.chain(&self.hash);
        self.hash = record.hash;
        record
    }
}

pub fn summary(session: SessionId, owner: UserId) -> SessionSummary {
    SessionSummary {
        session_id: session,
        name: format!("Session {session}"),
        session_type: SessionType::SingleUser,
        status: SessionStatus::Created,
        reason: None,
        actor: None,
        owner,
        cast_id: "jungian".to_owned(),
        cast_version: 1,
        situation: "A house by the sea".to_owned(),
        seed: u64::MAX,
        model: "scripted".to_owned(),
        determinism: Determinism::Tape,
        turn_order: TurnOrder::Sequential,
        pacing_ms: 0,
        max_rounds: Some(5),
        budget: Budget::default(),
        spent: Spent { tokens: 12, cost: 0.1 },
        round: 1,
        turn: 2,
        seq: 3,
        generation: 1,
        parent: None,
        tags: Vec::new(),
        created_at: START,
        last_activity: START,
        stagnation: vec![None, Some(0.25)],
        emergencies: 0,
        waiting: 0,
    }
}

pub fn row(session: SessionId, owner: UserId) -> SessionRow {
    SessionRow { tenant: TENANT, summary: summary(session, owner) }
}

/// Creates a session of one record and returns the chain at its head.
pub async fn create(store: &impl EventLog, session: SessionId) -> Chain {
    let mut chain = Chain::new();
    let records = vec![chain.record("session_created", &[])];
    store.create(NewSession { row: row(session, user_id(1)), records }).await.unwrap();
    chain
}

/// Creates a session and claims it for an hour. Returns the chain and the epoch.
pub async fn create_owned(store: &impl EventLog, session: SessionId) -> (Chain, u64) {
    let chain = create(store, session).await;
    (chain, claim(store, session, owner_id(1), 3_600_000).await.epoch)
}

pub async fn claim(store: &impl EventLog, session: SessionId, owner: OwnerId, ttl_ms: u64) -> Head {
    match store.claim(session, owner, ttl_ms).await.unwrap() {
        Claim::Granted(head) => head,
        Claim::Held { owner, until } => panic!("held by {owner} until {until}"),
    }
}

pub fn append(session: SessionId, epoch: Option<u64>, expected: Hash, records: Vec<Record>) -> Append {
    Append { session, epoch, expected, records, summary: None, charge: None }
}

/// Reads the whole log and checks that it is one: gapless, chained, texts as committed. Returns records and checker.
pub async fn checked(store: &impl EventLog, session: SessionId) -> (Vec<Record>, Checker) {
    let records = store.read(session, 0, usize::MAX).await.unwrap();
    let mut checker = Checker::default();
    for record in &records {
        checker.check(record).unwrap();
    }
    let head = store.head(session).await.unwrap().unwrap();
    assert_eq!(checker.head(), (head.seq, head.hash), "the head row names the last event");
    (records, checker)
}

pub fn texts(records: &[Record]) -> Vec<Option<&str>> {
    records.iter().flat_map(|r| &r.texts).map(|t| t.text.as_deref()).collect()
}

pub fn user(n: u128, role: Role) -> User {
    User {
        user_id: user_id(n),
        tenant: TENANT,
        username: format!("User{n}"),
        display_name: format!("User number {n}"),
        email: format!("user{n}@example.org"),
        role,
        status: UserStatus::Active,
        password_hash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned(),
        preferences: serde_json::json!({"theme": "dark"}),
        last_login: None,
        created_at: START.plus_ms(n as i64),
        second_factor: None,
        consents: Vec::new(),
    }
}

pub fn new_user(n: u128, role: Role) -> NewUser {
    NewUser { user: user(n, role), only_first_admin: false }
}

/// A sign-in of user 1 that lasts an hour from `START`; number and last use go together.
pub fn new_sign_in(n: u128) -> NewSignIn {
    let sign_in = SignIn {
        id: sign_in_id(n),
        user_id: user_id(1),
        device: "laptop".to_owned(),
        ip: "127.0.0.1".to_owned(),
        user_agent: "test".to_owned(),
        created_at: START,
        last_seen: START.plus_ms(n as i64),
        expires_at: START.plus_ms(3_600_000),
        revoked: false,
    };
    NewSignIn { sign_in, refresh_hash: token(n) }
}

pub fn token(n: u128) -> Hash {
    Hash::of(&n.to_be_bytes())
}
