//! How the command line looks: colours where they are welcome, logging to standard error.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use psyche_core::cast::Agent;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Sends the program's own log to standard error.
pub fn logging(config: &Config) -> Result<()> {
    let filter = config.text("log").unwrap_or("info");
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("`log` is {filter:?}, which is not a filter such as info"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.text("log_format") == Some("json") {
        builder.json().init();
    } else {
        builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init();
    }
    Ok(())
}

/// Whether standard output wants colours.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is not psyche's configuration but the terminal's convention")]
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A name in its agent's colour.
pub fn name(agent: Option<&Agent>, id: &str, colours: bool) -> String {
    let Some(agent) = agent else { return id.to_owned() };
    let channel = |i: usize| u8::from_str_radix(agent.colour.dark.get(i..i + 2).unwrap_or("80"), 16).unwrap_or(128);
    if colours {
        format!("\x1b[1;38;2;{};{};{}m{}\x1b[0m", channel(1), channel(3), channel(5), agent.name)
    } else {
        agent.name.clone()
    }
}

/// Quiet text.
pub fn dim(text: &str, colours: bool) -> String {
    if colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}
