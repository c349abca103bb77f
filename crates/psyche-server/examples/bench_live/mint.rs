//! People and their sign-ins, put straight into a throw-away store: no password is ever hashed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use psyche_core::port::{Clock, Directory as _, NewSignIn, NewUser, Relation, Role, SignIn, User, UserStatus};
use psyche_core::words::Hash;
use psyche_core::{SessionId, SignInId, TenantId, Timestamp, UserId};
use psyche_store::sqlite::{Options, SqliteStore};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::Outcome;

/// The throw-away installation's secrets. They guard nothing.
pub const JWT_SECRET: &str = "a throw-away secret of the load tool, never used elsewhere";
pub const MASTER_KEY: [u8; 32] = [0x5a; 32];

const LIFE_S: i64 = 24 * 3600;
/// Writes at once; the store commits them in groups.
const TOGETHER: usize = 512;

/// Somebody with an account and a live sign-in.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: UserId,
    pub token: String,
}

/// Makes `count` accounts of one role, each signed in once.
pub fn people(database: &Path, role: Role, count: usize) -> Outcome<Vec<Person>> {
    runtime()?.block_on(async {
        let store = open(database)?;
        let names: Vec<usize> = (0..count).collect();
        let made = stream::iter(names).map(|n| person(&store, role, n)).buffered(TOGETHER).try_collect().await;
        store.close().await;
        made
    })
}

/// Makes people viewers of sessions.
pub fn viewers(database: &Path, pairs: &[(SessionId, UserId)]) -> Outcome {
    runtime()?.block_on(async {
        let store = open(database)?;
        let relate = |(session, user): &(SessionId, UserId)| store.set_relation(*session, *user, Relation::Viewer);
        let done = stream::iter(pairs).map(relate).buffer_unordered(TOGETHER).try_collect::<()>().await;
        store.close().await;
        Ok(done?)
    })
}

async fn person(store: &SqliteStore, role: Role, n: usize) -> Outcome<Person> {
    let now = SystemClock.now();
    let id = UserId(SystemClock.uuid());
    let username = format!("{}-{n}", if role == Role::Observer { "reader" } else { "owner" });
    let user = User {
        user_id: id,
        tenant: TenantId::DEFAULT,
        username: username.clone(),
        display_name: username.clone(),
        email: format!("{username}@example.org"),
        role,
        status: UserStatus::Active,
        // Nobody signs in with a password here, and nobody could with this.
        password_hash: "!".to_owned(),
        preferences: json!({}),
        last_login: None,
        created_at: now,
        second_factor: None,
        consents: Vec::new(),
    };
    store.create_user(NewUser { user, only_first_admin: false }).await?;
    let sign_in = SignIn {
        id: SignInId(SystemClock.uuid()),
        user_id: id,
        device: "load tool".to_owned(),
        ip: "127.0.0.1".to_owned(),
        user_agent: "bench_live".to_owned(),
        created_at: now,
        last_seen: now,
        expires_at: now.plus_ms(LIFE_S * 1000),
        revoked: false,
    };
    let token = token(id, sign_in.id, now)?;
    let refresh_hash = Hash::of(sign_in.id.to_string().as_bytes());
    store.create_sign_in(NewSignIn { sign_in, refresh_hash }, 5).await?;
    Ok(Person { id, token })
}

/// An access token as the server issues them.
fn token(user: UserId, sign_in: SignInId, now: Timestamp) -> Outcome<String> {
    let seconds = now.micros() / 1_000_000;
    let claims = json!({
        "iss": "psyche", "aud": "psyche", "sub": user, "sid": sign_in, "jti": sign_in.to_string(),
        "iat": seconds, "nbf": seconds, "exp": seconds + LIFE_S, "epoch": 1, "tenant": TenantId::DEFAULT,
    });
    let named: Vec<u8> = b"psyche.kid\0".iter().chain(JWT_SECRET.as_bytes()).copied().collect();
    let kid = hex::encode(&Hash::of(&named).0[..8]);
    let header = Header { typ: Some("at+jwt".to_owned()), kid: Some(kid), ..Header::new(Algorithm::HS256) };
    Ok(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes()))?)
}

fn open(database: &Path) -> Outcome<SqliteStore> {
    Ok(SqliteStore::open(Options::new(database, MASTER_KEY, Arc::new(SystemClock)))?)
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let time = clock_gettime(ClockId::Realtime);
        Timestamp(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000)
    }

    fn monotonic_ms(&self) -> u64 {
        crate::machine::now() / crate::machine::MS
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        read.unwrap_or_else(|error| panic!("no randomness: {error}"));
        bytes
    }
}
