//! A chat-completions server that answers each request by plan, well or badly.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use psyche_llm::config::{ModelConfig, Provider};

/// How one request is answered.
#[derive(Clone, Debug)]
pub struct Behaviour {
    status: u16,
    headers: Vec<(&'static str, String)>,
    steps: Vec<Step>,
    /// Not even a status line is sent.
    is_silent: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// The same bytes until the other side is gone.
    Repeat(Vec<u8>, Duration),
    /// The connection is dropped without a proper end.
    Break,
    Hang,
}

impl Behaviour {
    /// A streamed reply, word by word, with usage and `[DONE]`.
    pub fn speaks(text: &str) -> Self {
        let steps = word_events(text).chain([ending(), usage(text), b"data: [DONE]\n\n".to_vec()]);
        Self::stream(steps.map(Step::Send).collect())
    }

    /// The given bytes as an event stream, each piece sent by itself.
    pub fn sends(pieces: &[&[u8]]) -> Self {
        Self::stream(pieces.iter().map(|piece| Step::Send(piece.to_vec())).collect())
    }

    /// A reply in one JSON document, from a server that ignores `stream`.
    pub fn whole(text: &str) -> Self {
        Self::document(200, &json!({"choices":[{"message":{"content":text},"finish_reason":"stop"}]}))
    }

    /// A status with a JSON document.
    pub fn document(status: u16, body: &Value) -> Self {
        let steps = vec![Step::Send(body.to_string().into_bytes())];
        Self { status, headers: vec![("content-type", "application/json".into())], steps, is_silent: false }
    }

    /// The connection is accepted and nothing is ever said.
    pub fn silent() -> Self {
        Self { is_silent: true, ..Self::stream(Vec::new()) }
    }

    /// The head comes at once, the first byte of the body never.
    pub fn no_first_byte() -> Self {
        Self::stream(vec![Step::Hang])
    }

    /// Falls silent after `text`, the connection open.
    pub fn idle_after(text: &str) -> Self {
        Self::stream(word_events(text).map(Step::Send).chain([Step::Hang]).collect())
    }

    /// One word per `every`, for ever.
    pub fn drips(word: &str, every: Duration) -> Self {
        Self::stream(word_events(word).map(|event| Step::Repeat(event, every)).collect())
    }

    /// An answer without end, as fast as it is read.
    pub fn giant() -> Self {
        Self::stream(word_events(&"x".repeat(8 * 1024)).map(|event| Step::Repeat(event, Duration::ZERO)).collect())
    }

    /// One line without end.
    pub fn giant_line() -> Self {
        Self::stream(vec![Step::Send(b"data: ".to_vec()), Step::Repeat(vec![b'x'; 8 * 1024], Duration::ZERO)])
    }

    /// The connection breaks after `text`.
    pub fn breaks_after(text: &str) -> Self {
        Self::stream(word_events(text).map(Step::Send).chain([Step::Break]).collect())
    }

    /// The answer ends properly after `text`, but the reply does not.
    pub fn half(text: &str) -> Self {
        Self::stream(word_events(text).map(Step::Send).collect())
    }

    /// A proper reply cut into single bytes, in the middle of characters too.
    pub fn split_utf8(text: &str) -> Self {
        let whole: Vec<u8> = word_events(text).chain([ending(), b"data: [DONE]\n\n".to_vec()]).flatten().collect();
        Self::stream(whole.chunks(1).map(|byte| Step::Send(byte.to_vec())).collect())
    }

    /// Bytes that are no event stream at all.
    pub fn garbage() -> Self {
        Self::sends(&[b"\x00\xff\xfe\x80garbage\n\ndata: {not json}\n\n"])
    }

    /// A friendly page instead of an answer, with status 200.
    pub fn page() -> Self {
        let steps = vec![Step::Send(b"<!doctype html><title>It works</title>".to_vec())];
        Self {
            status: 200,
            headers: vec![("content-type", "text/html; charset=utf-8".into())],
            steps,
            is_silent: false,
        }
    }

    /// Status 200, and an error in the stream after `text`.
    pub fn error_after(text: &str, error: &Value) -> Self {
        let error = format!("data: {}\n\n", json!({"error": error})).into_bytes();
        Self::stream(word_events(text).chain([error]).map(Step::Send).collect())
    }

    /// An error status with an OpenAI-like body.
    pub fn fails(status: u16) -> Self {
        Self::document(status, &json!({"error":{"message":"the provider's own words","type":"test_error"}}))
    }

    /// 429 with `Retry-After`.
    pub fn rate_limited(retry_after: &str) -> Self {
        Self::fails(429).header("retry-after", retry_after)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Waits before the first byte of the body.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.steps.insert(0, Step::Wait(wait));
        self
    }

    fn stream(steps: Vec<Step>) -> Self {
        Self { status: 200, headers: vec![("content-type", "text/event-stream".into())], steps, is_silent: false }
    }
}

fn word_events(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.split_inclusive(' ').map(|word| {
        format!("data: {}\n\n", json!({"choices":[{"delta":{"content":word},"finish_reason":null}]})).into_bytes()
    })
}

fn ending() -> Vec<u8> {
    format!("data: {}\n\n", json!({"choices":[{"delta":{},"finish_reason":"stop"}]})).into_bytes()
}

fn usage(text: &str) -> Vec<u8> {
    let words = text.split_whitespace().count();
    let usage = json!({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":words}});
    format!("data: {usage}\n\n").into_bytes()
}

/// A request as the server saw it; header names in lower case.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// A model server on a loopback port of its own, gone when dropped.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _serving: JoinSet<()>,
}

impl MockServer {
    /// Answers the first request by the first of `plan`, and so on; the last one answers all that follow.
    pub async fn start(plan: Vec<Behaviour>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, plan, seen.clone()));
        Ok(Self { address, seen, _serving: serving })
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A `[models.<id>]` table for this server.
    pub fn config(&self) -> ModelConfig {
        ModelConfig {
            base_url: Some(self.base_url()),
            model: Some("test-model".to_owned()),
            allow_http_hosts: vec!["127.0.0.1".to_owned()],
            ..ModelConfig::of(Provider::Openai)
        }
    }
}

/// A base URL where nobody listens.
pub async fn refusing_base_url() -> io::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    Ok(format!("http://{}/v1", listener.local_addr()?))
}

async fn accept(listener: TcpListener, plan: Vec<Behaviour>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (plan, seen) = (plan.clone(), seen.clone());
        connections.spawn(async move {
            // The other side going away is part of the game.
            let _ = serve(stream, &plan, &seen).await;
        });
    }
}

async fn serve(stream: TcpStream, plan: &[Behaviour], seen: &Mutex<Vec<Seen>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    let nth = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(request);
        seen.len() - 1
    };
    let Some(behaviour) = plan.get(nth).or(plan.last()) else { return Ok(()) };
    if behaviour.is_silent {
        std::future::pending::<()>().await;
    }
    let head = format!("HTTP/1.1 {} Planned\r\nconnection: close\r\ntransfer-encoding: chunked\r\n", behaviour.status);
    stream.write_all(head.as_bytes()).await?;
    for (name, value) in &behaviour.headers {
        stream.write_all(format!("{name}: {value}\r\n").as_bytes()).await?;
    }
    stream.write_all(b"\r\n").await?;
    for step in &behaviour.steps {
        match step {
            Step::Send(bytes) => send(&mut stream, bytes).await?,
            Step::Wait(wait) => sleep(*wait).await,
            Step::Repeat(bytes, every) => loop {
                send(&mut stream, bytes).await?;
                sleep(*every).await;
            },
            Step::Break => return Ok(()),
            Step::Hang => std::future::pending().await,
        }
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.flush().await
}

async fn send(stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Seen { path, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
