//! Any server of the chat-completions wire format: OpenAI, DeepSeek, Ollama, vLLM, llama.cpp, LiteLLM and their kin.

mod address;
mod chunk;
mod dial;
mod exchange;
mod probe;
mod reply;
mod request;
mod speech;
mod sse;
mod status;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use psyche_core::port::{Clock, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelStream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use tokio::time::{Instant, timeout_at};

pub use self::address::Resolver;
pub use self::exchange::Timeouts;
pub use self::reply::TEXT_CAP;
pub use self::sse::LINE_CAP;

use self::chunk::Payload;
use self::reply::ReplyReader;
use self::request::Declined;
use crate::config::Secret;
use crate::failure::{Explain, bad_answer, refused, server_error};

/// As much of an error's body is read.
const ERROR_CAP: usize = 16 * 1024;

/// What an adapter needs to know of its server.
#[derive(Debug)]
pub struct Options {
    pub card: ModelCard,
    pub base_url: String,
    pub api_key: Option<Secret>,
    /// Hosts that may be spoken to without encryption, and whose addresses may be private or of this machine.
    pub allow_http_hosts: Vec<String>,
    pub timeouts: Timeouts,
}

/// A model behind a chat-completions server.
pub struct OpenAi {
    card: ModelCard,
    url: Url,
    client: Client,
    key: Key,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    /// Locked for a moment only, never across an await.
    declined: Mutex<Declined>,
}

/// The key as it is sent, and as it must not be told.
#[derive(Clone, Default)]
struct Key(Option<Arc<Secret>>);

impl Key {
    /// A server may repeat the key in its errors; the log must not.
    fn hide(&self, mut error: ModelError) -> ModelError {
        if let (Some(key), Some(detail)) = (&self.0, &mut error.detail) {
            *detail = detail.replace(key.expose(), "[key]");
        }
        error
    }
}

impl OpenAi {
    /// Checks the address and prepares the client; nothing is dialled. The error is a sentence for the operator.
    pub fn new(options: Options, clock: Arc<dyn Clock>, resolver: Option<Resolver>) -> Result<Self, String> {
        let url = address::endpoint(&options.base_url, &options.allow_http_hosts)?;
        let key = options.api_key.filter(|key| !key.expose().is_empty());
        if let Some(key) = &key {
            HeaderValue::from_str(key.expose())
                .map_err(|_| "`api_key` holds characters that cannot be sent: is it the key alone?".to_owned())?;
        }
        Ok(Self {
            card: options.card,
            client: address::client(&url, &options.allow_http_hosts, resolver)?,
            url,
            key: Key(key.map(Arc::new)),
            timeouts: options.timeouts,
            clock,
            declined: Mutex::default(),
        })
    }

    /// Where requests go.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Sends the request, and sends it again without a parameter that the server declines by name.
    async fn ask(&self, request: &GenerateRequest) -> Result<Response, ModelError> {
        loop {
            let declined = self.declined.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let body = request::body(&self.card.name, request, &declined);
            let mut asking = self.client.post(self.url.clone()).json(&body);
            if let Some(key) = &self.key.0 {
                asking = asking.bearer_auth(key.expose());
            }
            let response = asking.send().await.map_err(|e| no_answer(e, &self.url))?;
            let status = response.status();
            if status.is_success() {
                return not_a_page(response);
            }
            let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = wait.and_then(|value| status::retry_after_ms(value, self.clock.now()));
            let text = start_of_body(response).await;
            let named = matches!(status.as_u16(), 400 | 403 | 422).then(|| request::declined_in(&text, &declined));
            if let Some(name) = named.flatten() {
                tracing::info!(model = %self.card.id, parameter = name, "the model server declines a parameter; left out from now on");
                self.declined.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
                continue;
            }
            let code = match serde_json::from_str(&text).map(|value| chunk::read(&value, true)) {
                Ok(Payload::Error(upstream)) => upstream.code,
                _ => String::new(),
            };
            return Err(status::status_error(status.as_u16(), &code).detail(text).after_ms(wait));
        }
    }
}

#[async_trait]
impl LanguageModel for OpenAi {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    async fn probe(&self) -> Result<(), String> {
        probe::probe(self, probe::PATIENCE).await
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, ModelError> {
        let asked = Instant::now();
        let first_byte = asked + self.timeouts.first_byte.min(self.timeouts.total);
        let answer = timeout_at(first_byte, self.ask(&request)).await;
        let response = answer.unwrap_or_else(|_| Err(self.timeouts.no_first_byte())).map_err(|e| self.key.hide(e))?;
        let body = response.bytes_stream().map(|piece| piece.map_err(|e| causes(&e.without_url()))).boxed();
        let reader = ReplyReader::new(request.opener.as_deref());
        let key = self.key.clone();
        let events = exchange::events(body, reader, self.timeouts, asked);
        Ok(events.map(move |event| event.map_err(|e| key.hide(e))).boxed())
    }
}

impl fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAi").field("card", &self.card).field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

fn no_answer(error: reqwest::Error, url: &Url) -> ModelError {
    let host = url.host_str().unwrap_or_default();
    let failure = if let Some(why) = refused_address(&error) {
        let message = "the model server is on an address that may not be dialled; whoever runs this installation can trust it in `allow_http_hosts`";
        return refused(message).not_sent().detail(why.to_string());
    } else if error.is_connect() {
        server_error("the model server cannot be reached: is it running, and is `base_url` right?").not_sent()
    } else {
        server_error("the model server broke off before it answered")
    };
    failure.detail(format!("{host}: {}", causes(&error.without_url())))
}

/// The address that kept a request from being sent.
fn refused_address<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a dial::Refused> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref() {
            return Some(refused);
        }
        cause = inner.source();
    }
    None
}

/// An error with its causes, since the outermost one alone says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn not_a_page(response: Response) -> Result<Response, ModelError> {
    let kind = content_type(response.headers());
    if kind.contains("html") {
        return Err(bad_answer(format!("the model server answered with a page ({kind}): check `base_url`")));
    }
    Ok(response)
}

/// The media type alone: its parameters say nothing of use.
fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().chars().take(60).collect()
}

/// The beginning of an error's body; what cannot be read is left out, since the status alone decides.
async fn start_of_body(response: Response) -> String {
    let mut body = response.bytes_stream();
    let mut start = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        start.extend_from_slice(&piece);
        if start.len() >= ERROR_CAP {
            break;
        }
    }
    start.truncate(ERROR_CAP);
    String::from_utf8_lossy(&start).into_owned()
}
