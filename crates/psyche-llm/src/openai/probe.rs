//! Whether a server is there and has the model, learnt from the list of its models: a question that costs nothing.

use std::time::Duration;

use reqwest::{Response, Url};
use serde::Deserialize;
use tokio::time::timeout;

use super::{OpenAi, causes, no_answer, not_a_page, status};

/// The list is waited for this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A longer list is not read.
const LIST_CAP: usize = 8 * 1024 * 1024;
/// As many models are named where the right one is not among them.
const NAMED: usize = 6;

#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
}

pub(super) async fn probe(model: &OpenAi, patience: Duration) -> Result<(), String> {
    let url = beside(&model.url);
    let mut asking = model.client.get(url.clone());
    if let Some(key) = &model.key.0 {
        asking = asking.bearer_auth(key.expose());
    }
    let answer = timeout(patience, async {
        let response = asking.send().await.map_err(|e| {
            let error = no_answer(e, &url);
            format!("{} ({})", error.message, error.detail.unwrap_or_default())
        })?;
        list(response).await
    });
    let late = || format!("the model server at {} does not answer within {} s", host(&url), patience.as_secs_f64());
    let list = answer.await.map_err(|_| late())??;
    has(&list, &model.card.name)
}

/// `…/models` beside `…/chat/completions`.
fn beside(url: &Url) -> Url {
    let mut url = url.clone();
    let path = url.path().trim_end_matches("/chat/completions");
    url.set_path(&format!("{path}/models"));
    url
}

fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}"));
    format!("{}{}", url.host_str().unwrap_or_default(), port.unwrap_or_default())
}

async fn list(mut response: Response) -> Result<List, String> {
    let found = response.status();
    if found.as_u16() == 404 {
        let advice = "check `base_url` (most end in /v1), and let `psyche model test` try it";
        return Err(format!("a server answers, but has no list of models at {} (404): {advice}", response.url()));
    }
    if !found.is_success() {
        return Err(status::status_error(found.as_u16(), "").message);
    }
    response = not_a_page(response).map_err(|e| e.message)?;
    let mut body = Vec::new();
    let broken = |e: reqwest::Error| format!("the model server broke off its list: {}", causes(&e.without_url()));
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        body.extend_from_slice(&piece);
        if body.len() > LIST_CAP {
            break;
        }
    }
    serde_json::from_slice(&body).map_err(|_| {
        "a server answers, but not with a list of models: check `base_url`, and let `psyche model test` try it"
            .to_owned()
    })
}

/// Some servers add a tag to the name, as in `llama3.1:latest`.
fn has(list: &List, name: &str) -> Result<(), String> {
    let is_it = |id: &str| id == name || id.strip_prefix(name).is_some_and(|tag| tag.starts_with(':'));
    if list.data.iter().any(|entry| is_it(&entry.id)) {
        return Ok(());
    }
    let mut there: Vec<&str> = list.data.iter().map(|entry| entry.id.as_str()).take(NAMED).collect();
    if list.data.len() > NAMED {
        there.push("…");
    }
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    Err(format!("the server answers, but `{name}` is not in its list of models ({there}): check `model`"))
}
