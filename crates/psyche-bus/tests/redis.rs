//! The adapters in Redis, on a private server: the suites, and what Redis may do to them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the failure, in its helpers too")]

mod conformance;
mod elsewhere;
#[path = "servers/redis.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use psyche_bus::redis::{Options, Redis, RedisBus, RedisEphemeral};
use psyche_bus::{Limits, LocalEphemeral};
use psyche_core::Timestamp;
use psyche_core::event::{AgentActivity, AgentStateUpdate, Event, Payload};
use psyche_core::ids::{AgentId, SessionId};
use psyche_core::port::{Bus, Clock, EphemeralStore, Live, News, NewsStream, StoreError};
use uuid::Uuid;

conformance::conformance!(bus, crate::bus_of_its_own);
conformance::conformance!(ephemeral, crate::ephemeral_of_its_own);

#[derive(Debug)]
struct RealClock(Instant);

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "the tests' own home of the clock")]
    fn now(&self) -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64)
    }
    fn monotonic_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        bytes
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' own home of the clock")]
fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock(Instant::now()))
}

fn options(url: &str) -> Options {
    Options::new(url.to_owned(), [7; 32], clock())
}

fn replica(url: &str) -> Redis {
    Redis::start(options(url)).unwrap()
}

fn ephemeral(redis: &Redis) -> RedisEphemeral {
    redis.ephemeral("kept", LocalEphemeral::new(clock(), Limits::default()))
}

/// Waits until the connection is as it is wanted.
async fn until(redis: &Redis, up: bool) {
    for _ in 0..200 {
        if redis.bus().probe().await.is_ok() == up {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the connection did not come or go in ten seconds");
}

fn up(redis: &Redis) {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(until(redis, true)));
}

/// A bus and the server it needs.
struct Held<T>(T, #[expect(dead_code, reason = "it only has to live as long")] server::Redis);

#[async_trait]
impl Bus for Held<RedisBus> {
    fn publish(&self, session: SessionId, news: News) {
        self.0.publish(session, news);
    }
    fn subscribe(&self, session: SessionId) -> NewsStream {
        self.0.subscribe(session)
    }
    async fn probe(&self) -> Result<(), StoreError> {
        self.0.probe().await
    }
}

fn bus_of_its_own() -> Held<RedisBus> {
    let server = server::Redis::start().unwrap();
    let redis = replica(&server.url());
    up(&redis);
    Held(redis.bus(), server)
}

#[async_trait]
impl EphemeralStore for Held<RedisEphemeral> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key).await
    }
    async fn put(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<(), StoreError> {
        self.0.put(key, value, ttl_ms).await
    }
    async fn put_new(&self, key: &str, value: Vec<u8>, ttl_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.put_new(key, value, ttl_ms).await
    }
    async fn increment(&self, key: &str, ttl_ms: u64) -> Result<u64, StoreError> {
        self.0.increment(key, ttl_ms).await
    }
    async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.take(key).await
    }
}

fn ephemeral_of_its_own() -> (Held<RedisEphemeral>, impl Fn(u64)) {
    let server = server::Redis::start().unwrap();
    let redis = replica(&server.url());
    up(&redis);
    // Time is Redis' own here.
    let pass = |ms| tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(ms)));
    (Held(ephemeral(&redis), server), pass)
}

fn session(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(n))
}

fn delta(text: &str) -> News {
    let (agent_id, text) = (AgentId::new("ego"), text.to_owned());
    News::Live(Arc::new(Live::Delta { agent_id, turn: 1, attempt: 1, index: 0, text }))
}

fn appended(seq: u64) -> News {
    News::Appended { generation: 1, seq, events: None }
}

/// The next news, or nothing within two seconds.
async fn heard(stream: &mut NewsStream) -> Option<News> {
    tokio::time::timeout(Duration::from_secs(2), stream.next()).await.ok().flatten()
}

/// Publishes again and again until it is heard elsewhere: a subscription takes a moment.
async fn hears(from: &RedisBus, to: &mut NewsStream, id: SessionId) -> News {
    for seq in 1..100 {
        from.publish(id, appended(seq));
        if let Ok(Some(news)) = tokio::time::timeout(Duration::from_millis(50), to.next()).await {
            return news;
        }
    }
    panic!("nothing was heard in five seconds");
}

async fn two_replicas_hear_each_other(url: &str) {
    two_replicas_of(|| replica(url)).await;
}

async fn two_replicas_of(replica: impl Fn() -> Redis) {
    let (one, two) = (replica(), replica());
    until(&one, true).await;
    until(&two, true).await;
    let (here, there) = (one.bus(), two.bus());
    let mut elsewhere = there.subscribe(session(1));
    let mut own = here.subscribe(session(1));
    assert!(matches!(hears(&here, &mut elsewhere, session(1)).await, News::Appended { generation: 1, .. }));
    while tokio::time::timeout(Duration::from_millis(200), elsewhere.next()).await.is_ok() {}
    while tokio::time::timeout(Duration::from_millis(1), own.next()).await.is_ok() {}
    here.publish(session(2), delta("not for this session"));
    for news in [delta("know thyself"), News::Deleted] {
        here.publish(session(1), news);
    }
    let Some(News::Live(live)) = heard(&mut elsewhere).await else { panic!("no delta") };
    assert!(matches!(&*live, Live::Delta { text, .. } if text == "know thyself"));
    assert!(matches!(heard(&mut elsewhere).await, Some(News::Deleted)));
    // Once, not back again.
    assert!(matches!(heard(&mut own).await, Some(News::Live(_))));
    assert!(matches!(heard(&mut own).await, Some(News::Deleted)));
    assert!(tokio::time::timeout(Duration::from_millis(300), own.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_replica_says_the_others_hear_once() {
    let server = server::Redis::start().unwrap();
    two_replicas_hear_each_other(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_news_go_over_the_shard_of_their_session() {
    let server = server::Redis::start_with("--cluster-enabled yes", "").unwrap();
    server.run(&["cluster", "addslotsrange", "0", "16383"]).unwrap();
    while !server.run(&["cluster", "info"]).unwrap().contains("cluster_state:ok") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = format!("redis+cluster://127.0.0.1:{}", server.port());
    two_replicas_hear_each_other(&url).await;
    let redis = replica(&url);
    until(&redis, true).await;
    let bus = redis.bus();
    let _heard = bus.subscribe(session(3));
    let mut channels = String::new();
    for _ in 0..100 {
        channels = server.run(&["pubsub", "shardchannels"]).unwrap();
        if !channels.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(channels, format!("psyche:{{{}}}:news", session(3)), "sharded, and nobody listens to all");
    assert_eq!(server.run(&["pubsub", "channels"]).unwrap(), "");
    let store = ephemeral(&redis);
    assert_eq!(store.increment("n", 60_000).await.unwrap(), 1);
    assert_eq!(store.increment("n", 60_000).await.unwrap(), 2);
    assert!(server.run(&["dbsize"]).unwrap().ends_with('1'), "it is counted there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_sign_in_is_told_by_the_url_and_nobody_else_is_let_in() {
    let server = server::Redis::start_with("--requirepass s3cret", "-a s3cret --no-auth-warning").unwrap();
    server
        .run(&["acl", "setuser", "psyche", "on", ">p@ss", "~psyche:*", "&psyche:*", "+@all", "-@dangerous", "+ping"])
        .unwrap();
    let redis = replica(&format!("redis://psyche:p%40ss@127.0.0.1:{}", server.port()));
    until(&redis, true).await;
    let store = ephemeral(&redis);
    store.put("a", b"x".to_vec(), 60_000).await.unwrap();
    assert_eq!(server.run(&["dbsize"]).unwrap(), "1", "these rights are enough");
    let stranger = replica(&server.url());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(stranger.bus().probe().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_people_can_be_read_in_redis() {
    let server = server::Redis::start().unwrap();
    let redis = replica(&server.url());
    until(&redis, true).await;
    let mut monitor = std::process::Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "monitor"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    redis.bus().publish(session(1), delta("canary-of-speech"));
    let store = ephemeral(&redis);
    store.put("canary-of-keys", b"canary-of-values".to_vec(), 60_000).await.unwrap();
    assert_eq!(store.get("canary-of-keys").await.unwrap().as_deref(), Some(&b"canary-of-values"[..]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    monitor.kill().unwrap();
    let seen = monitor.wait_with_output().unwrap().stdout;
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("PUBLISH") && seen.contains("SET"), "{seen}");
    assert!(!seen.contains("canary"), "{seen}");
    // With another master key it is as good as nothing.
    let other = Redis::start(Options { master_key: [8; 32], ..options(&server.url()) }).unwrap();
    until(&other, true).await;
    assert_eq!(ephemeral(&other).get("canary-of-keys").await.unwrap(), None);
}

/// Whoever can publish in Redis cannot put words into an agent's mouth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_say_on_our_channels_is_passed_over() {
    let server = server::Redis::start().unwrap();
    let (one, two) = (replica(&server.url()), replica(&server.url()));
    until(&one, true).await;
    until(&two, true).await;
    let mut stream = two.bus().subscribe(session(1));
    hears(&one.bus(), &mut stream, session(1)).await;
    while tokio::time::timeout(Duration::from_millis(200), stream.next()).await.is_ok() {}
    let channel = format!("psyche:{{{}}}:news", session(1));
    let forged = r#"{"from":"00000000-0000-0000-0000-000000000001","news":"deleted"}"#;
    assert_eq!(server.run(&["publish", &channel, forged]).unwrap(), "1");
    one.bus().publish(session(1), appended(77));
    assert!(matches!(heard(&mut stream).await, Some(News::Appended { seq: 77, .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_goes_on_alone_and_together_again_when_it_is_back() {
    let mut server = server::Redis::start().unwrap();
    let (one, two) = (replica(&server.url()), replica(&server.url()));
    until(&one, true).await;
    until(&two, true).await;
    let (mine, theirs) = (ephemeral(&one), ephemeral(&two));
    assert_eq!(mine.increment("n", 60_000).await.unwrap(), 1);
    assert_eq!(theirs.increment("n", 60_000).await.unwrap(), 2, "counted together");
    let mut here = one.bus().subscribe(session(1));
    let mut there = two.bus().subscribe(session(1));
    hears(&one.bus(), &mut there, session(1)).await;
    server.stop();
    until(&one, false).await;
    until(&two, false).await;
    // A limit is then a replica's, never none.
    for count in 1..=3 {
        assert_eq!(mine.increment("n", 60_000).await.unwrap(), count);
    }
    assert_eq!(theirs.increment("n", 60_000).await.unwrap(), 1);
    assert_eq!(mine.put_new("k", b"1".to_vec(), 60_000).await.unwrap(), None);
    assert_eq!(mine.put_new("k", b"2".to_vec(), 60_000).await.unwrap(), Some(b"1".to_vec()));
    while tokio::time::timeout(Duration::from_millis(1), here.next()).await.is_ok() {}
    one.bus().publish(session(1), appended(500));
    assert!(matches!(heard(&mut here).await, Some(News::Appended { seq: 500, .. })), "here it is heard all the same");
    server.go_on().unwrap();
    until(&one, true).await;
    until(&two, true).await;
    while tokio::time::timeout(Duration::from_millis(1), there.next()).await.is_ok() {}
    hears(&one.bus(), &mut there, session(1)).await;
    assert_eq!(theirs.increment("m", 60_000).await.unwrap(), 1);
    assert_eq!(mine.increment("m", 60_000).await.unwrap(), 2);
}

/// A Redis that accepts and says nothing costs half a second a few times, then nothing until it answers again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_given_up() {
    let server = server::Redis::start().unwrap();
    let redis = replica(&server.url());
    until(&redis, true).await;
    server.hang(true);
    until(&redis, false).await;
    let store = ephemeral(&redis);
    let begun = tokio::time::Instant::now();
    for count in 1..=100 {
        assert_eq!(store.increment("n", 60_000).await.unwrap(), count);
    }
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?} for what nobody answers", begun.elapsed());
    server.hang(false);
    until(&redis, true).await;
}

/// Full, it still passes news on; what it will not keep is kept here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_keeps_passing_news_on() {
    let server = server::Redis::start().unwrap();
    let (one, two) = (replica(&server.url()), replica(&server.url()));
    until(&one, true).await;
    until(&two, true).await;
    server.run(&["config", "set", "maxmemory", "1"]).unwrap();
    let store = ephemeral(&one);
    store.put("k", b"v".to_vec(), 60_000).await.unwrap();
    assert_eq!(store.increment("n", 60_000).await.unwrap(), 1);
    assert_eq!(store.increment("n", 60_000).await.unwrap(), 2);
    let mut there = two.bus().subscribe(session(1));
    hears(&one.bus(), &mut there, session(1)).await;
    assert!(one.bus().probe().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_are_shared_by_redis_clock() {
    let server = server::Redis::start().unwrap();
    let (one, two) = (replica(&server.url()), replica(&server.url()));
    until(&one, true).await;
    until(&two, true).await;
    let (mine, theirs) = (ephemeral(&one), ephemeral(&two));
    // One each second, three at once.
    for store in [&mine, &theirs, &mine] {
        assert_eq!(store.admit("a", 1_000.0, 3_000.0).await.unwrap().unwrap().wait_ms, None);
    }
    let refused = theirs.admit("a", 1_000.0, 3_000.0).await.unwrap().unwrap();
    assert!(refused.wait_ms.is_some_and(|wait| (500.0..=1_000.0).contains(&wait)), "{refused:?}");
    assert_eq!(theirs.admit("b", 1_000.0, 3_000.0).await.unwrap().unwrap().wait_ms, None, "others are not concerned");
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(theirs.admit("a", 1_000.0, 3_000.0).await.unwrap().unwrap().wait_ms, None);
}

/// What other tools find of a session: states in plain form, and nothing once its past has changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_states_lie_there_for_other_tools_for_a_while() {
    let server = server::Redis::start().unwrap();
    let redis = replica(&server.url());
    until(&redis, true).await;
    let update = AgentStateUpdate {
        agent_id: AgentId::new("shadow"),
        state: AgentActivity::Active,
        confidence: Some(0.5),
        last_action: "spoke".to_owned(),
        metadata: std::collections::BTreeMap::new(),
    };
    let payload = Payload::from(update);
    let event = Event { generation: 1, seq: 9, at: Timestamp(1_800_000_000_000_000), payload };
    redis.bus().publish(session(1), News::Appended { generation: 1, seq: 9, events: Some(Arc::new([event])) });
    let key = format!("psyche:{{{}}}:agents", session(1));
    let mut found = String::new();
    for _ in 0..100 {
        found = server.run(&["hget", &key, "shadow"]).unwrap();
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(found.contains("\"state\":\"active\"") && found.contains("\"seq\":9"), "{found}");
    let left: u64 = server.run(&["ttl", &key]).unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&left), "{left}");
    redis.bus().publish(session(1), appended(9));
    for _ in 0..100 {
        if server.run(&["exists", &key]).unwrap() == "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("words that may have been erased are still there");
}
