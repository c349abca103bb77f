//! A running server and clients for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use psyche_bus::{Limits as EphemeralLimits, LocalBus, LocalEphemeral};
use psyche_core::measure::Vader;
use psyche_core::port::{Clock, Directory, LanguageModel, ModelCatalog, NewUser, Role, User, UserStatus};
use psyche_core::words::Hash;
use psyche_core::{TenantId, Timestamp, UserId};
use psyche_engine::{Engine, Options, Ports as EnginePorts};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_server::{Ports, Rate, Server, ServerOptions, passwords};
use psyche_store::memory::MemoryStore;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gates::{Gate, GatedAudit, GatedDirectory, GatedEphemeral, Gates};

pub const PASSWORD: &str = "a long enough secret";
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Starts at a fixed moment, runs with the machine, and can be moved. Its entropy is a counter.
pub struct TestClock {
    began: tokio::time::Instant,
    offset_ms: AtomicI64,
    drawn: AtomicU64,
}

impl TestClock {
    fn new() -> Self {
        Self { began: tokio::time::Instant::now(), offset_ms: AtomicI64::new(0), drawn: AtomicU64::new(0) }
    }

    pub fn advance(&self, by: Duration) {
        self.offset_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn elapsed_micros(&self) -> i64 {
        let run = i64::try_from(self.began.elapsed().as_micros()).unwrap();
        run + self.offset_ms.load(Ordering::SeqCst) * 1000
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000_000 + self.elapsed_micros())
    }
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.elapsed_micros() / 1000).unwrap()
    }
    fn entropy(&self) -> [u8; 32] {
        Hash::of(&self.drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes()).0
    }
}

struct Catalog(Arc<dyn LanguageModel>);

impl ModelCatalog for Catalog {
    fn model(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        (id == "scripted").then(|| Arc::clone(&self.0))
    }
    fn models(&self) -> Vec<Arc<dyn LanguageModel>> {
        vec![Arc::clone(&self.0)]
    }
    fn default_model(&self) -> &'static str {
        "scripted"
    }
}

pub struct TestApp {
    pub base: String,
    pub http: reqwest::Client,
    pub server: Server,
    pub store: Arc<MemoryStore>,
    pub engine: Engine,
    pub clock: Arc<TestClock>,
    pub token: CancellationToken,
    pub run: JoinHandle<std::io::Result<()>>,
    /// Takes dependencies of the server away.
    pub gates: Gates,
    phc: String,
}

/// Somebody with a live sign-in.
#[derive(Clone)]
pub struct Person {
    pub id: UserId,
    pub token: String,
    pub refresh: String,
}

pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {:?}", self.text))
    }
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

/// Tests of limits set their own.
pub fn options() -> ServerOptions {
    let mut options = ServerOptions::new("0.0.0-test", vec![vec![9; 32]]);
    options.setup_code = Some("the-setup-code".into());
    let plenty = Rate { per_minute: 1e6, burst: 1e6 };
    let limits = &mut options.limits;
    for rate in
        [&mut limits.anonymous, &mut limits.users, &mut limits.sign_ins, &mut limits.upgrades, &mut limits.health]
    {
        *rate = plenty;
    }
    options
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::with_model(change, ScriptedModel::new("scripted", Pace::AtOnce)).await
    }

    pub async fn with_model(change: impl FnOnce(&mut ServerOptions), model: impl LanguageModel + 'static) -> Self {
        Self::with_engine(change, model, Options::default()).await
    }

    pub async fn with_engine(
        change: impl FnOnce(&mut ServerOptions),
        model: impl LanguageModel + 'static,
        engine: Options,
    ) -> Self {
        Self::with_all(change, Arc::new(Catalog(Arc::new(model))), engine).await
    }

    /// With models of its own.
    pub async fn with_models(models: Arc<dyn ModelCatalog>) -> Self {
        Self::with_all(|_| (), models, Options::default()).await
    }

    async fn with_all(change: impl FnOnce(&mut ServerOptions), models: Arc<dyn ModelCatalog>, engine: Options) -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let bus = Arc::new(LocalBus::new());
        let gates = Gates::default();
        let gated = |gate: &Gate| {
            let inner = LocalEphemeral::new(clock.clone(), EphemeralLimits::default());
            Arc::new(GatedEphemeral { inner, gate: gate.clone() })
        };
        let engine = Engine::start(
            EnginePorts {
                log: store.clone(),
                directory: store.clone(),
                bus: bus.clone(),
                clock: clock.clone(),
                models: models.clone(),
                vader: Arc::new(Vader::new()),
                embedder: None,
            },
            engine,
        );
        let ports = Ports {
            engine: engine.clone(),
            log: store.clone(),
            directory: Arc::new(GatedDirectory { inner: store.clone(), gates: vec![gates.directory.clone()] }),
            bus,
            ephemeral: gated(&gates.ephemeral),
            counters: gated(&gates.counters),
            audit: Arc::new(GatedAudit { inner: store.clone(), gates: gates.clone() }),
            courier: None,
            clock: clock.clone(),
            models,
        };
        let mut options = options();
        change(&mut options);
        let server = Server::new(ports, options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let token = CancellationToken::new();
        let run = TaskTracker::new().spawn(server.clone().run(listener, token.clone()));
        let phc = passwords::hash(PASSWORD, passwords::Kind::Argon2id, [5; 32]).unwrap();
        Self { base, http: reqwest::Client::new(), server, store, engine, clock, token, run, gates, phc }
    }

    /// An account, not signed in.
    pub async fn account(&self, username: &str, role: Role) -> UserId {
        let user = User {
            user_id: UserId(self.clock.uuid()),
            tenant: TenantId::DEFAULT,
            username: username.into(),
            display_name: username.into(),
            email: format!("{username}@example.org"),
            role,
            status: UserStatus::Active,
            password_hash: self.phc.clone(),
            preferences: json!({}),
            last_login: None,
            created_at: self.clock.now(),
            second_factor: None,
            consents: Vec::new(),
        };
        let id = user.user_id;
        self.store.create_user(NewUser { user, only_first_admin: false }).await.unwrap();
        id
    }

    pub async fn person(&self, username: &str, role: Role) -> Person {
        let id = self.account(username, role).await;
        self.sign_in(username, id).await
    }

    pub async fn sign_in(&self, username: &str, id: UserId) -> Person {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.post("/auth/login", None, body).await.expect(200);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Person { id, token: text("access_token"), refresh: text("refresh_token") }
    }

    pub fn request(&self, method: Method, path: &str, person: Option<&Person>) -> reqwest::RequestBuilder {
        let path = if path.starts_with("//") { path[1..].to_owned() } else { format!("/api/v1{path}") };
        let request = self.http.request(method, format!("{}{path}", self.base));
        match person {
            Some(person) => request.bearer_auth(&person.token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str, person: Option<&Person>) -> Reply {
        send(self.request(Method::GET, path, person)).await
    }
    pub async fn delete(&self, path: &str, person: Option<&Person>) -> Reply {
        send(self.request(Method::DELETE, path, person)).await
    }
    pub async fn post(&self, path: &str, person: Option<&Person>, body: Value) -> Reply {
        send(self.request(Method::POST, path, person).json(&body)).await
    }
    pub async fn patch(&self, path: &str, person: Option<&Person>, body: Value) -> Reply {
        send(self.request(Method::PATCH, path, person).json(&body)).await
    }
    pub async fn put(&self, path: &str, person: Option<&Person>, body: Value) -> Reply {
        send(self.request(Method::PUT, path, person).json(&body)).await
    }

    /// A new session's id.
    pub async fn session(&self, owner: &Person, rounds: u64) -> String {
        let body = json!({"session_type": "shared", "name": "A talk", "max_rounds": rounds, "seed": 7});
        let session = self.post("/sessions", Some(owner), body).await.expect(201);
        session["session_id"].as_str().unwrap().to_owned()
    }

    /// Runs a session's rounds to their end and returns its events as REST tells them.
    pub async fn talk(&self, owner: &Person, session: &str) -> Vec<Value> {
        let mut socket = self.watch(owner, session, json!({})).await;
        // Its end is then still to come, however short it is.
        socket.until(|f| f["type"] == "snapshot").await;
        self.post(&format!("/sessions/{session}/commands"), Some(owner), json!({"command": "start"})).await.expect(200);
        socket.until(|f| f["type"] == "session_status" && f["reason"] == "max_rounds").await;
        self.events(owner, session).await
    }

    pub async fn events(&self, person: &Person, session: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(0, |e: &Value| e["seq"].as_u64().unwrap());
            let path = format!("/sessions/{session}/events?limit=200&after={after}");
            let page = self.get(&path, Some(person)).await.expect(200);
            events.extend(page["items"].as_array().unwrap().iter().cloned());
            if page["next_cursor"].is_null() {
                return events;
            }
        }
    }

    /// A socket that nobody has authenticated yet. `path` may have a query.
    pub async fn socket(&self, path: &str) -> Socket {
        self.socket_with(path, &[("Sec-WebSocket-Protocol", "psyche.v1")]).await.unwrap()
    }

    pub async fn socket_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let url = format!("ws{}{path}", self.base.strip_prefix("http").unwrap());
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket past `auth_ok`.
    pub async fn watch(&self, person: &Person, session: &str, subscribe: Value) -> Socket {
        let mut socket = self.socket(&format!("/ws/{session}")).await;
        socket.say(json!({"type": "auth", "token": person.token, "subscribe": subscribe})).await;
        let hello = socket.next().await;
        assert_eq!(hello["type"], "auth_ok", "{hello}");
        socket
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

pub async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer in time").unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, text: response.text().await.unwrap() }
}

pub struct Socket {
    pub stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub async fn say(&mut self, frame: Value) {
        self.say_text(frame.to_string()).await;
    }
    pub async fn say_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("a message in time");
        next.expect("the socket is open").unwrap()
    }

    /// The next frame of any kind.
    pub async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} instead of a frame"),
            }
        }
    }

    /// The next frame that is not about presence, status or activity.
    pub async fn next_main(&mut self) -> Value {
        let aside = ["presence", "system_status", "agent_processing_started", "agent_processing_complete", "delta"];
        loop {
            let frame = self.next().await;
            if !aside.contains(&frame["type"].as_str().unwrap()) {
                return frame;
            }
        }
    }

    /// Everything up to and including the first frame that fits.
    pub async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        let begun = tokio::time::Instant::now();
        loop {
            // Frames that tell nothing new come for ever.
            assert!(begun.elapsed() < PATIENCE, "among {} frames none fits: {frames:#?}", frames.len());
            let frame = self.next().await;
            let found = fits(&frame);
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }

    /// The server's goodbye: the `bye` frame and the close code, which must agree.
    pub async fn farewell(&mut self) -> Value {
        let bye = self.until(|f| f["type"] == "bye").await.pop().unwrap();
        loop {
            match self.message().await {
                Message::Close(Some(close)) => {
                    assert_eq!(Value::from(u16::from(close.code)), bye["code"]);
                    return bye;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} after bye"),
            }
        }
    }
}

pub fn stored(frames: &[Value]) -> Vec<&Value> {
    frames.iter().filter(|f| f.get("prev").is_some()).collect()
}
