//! How the command line looks: colours where they are welcome, logging to standard error, and a quiet end where nobody
//! reads any more.

use std::fmt::Arguments;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use psyche_core::cast::Agent;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// What a shell shows for a program that a closed pipe has ended: 128 and the number of SIGPIPE.
const NOBODY_READS: u8 = 141;

// The standard macros panic when their reader is gone. These take their place in the whole program.
macro_rules! println {
    ($($text:tt)*) => { $crate::terminal::print(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::terminal::complain(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output. Ends the program without a word when nobody reads it any more (`psyche replay | head`).
///
/// The signal that does this to other programs stays ignored: it would end the server at any client's broken connection.
pub fn print(text: Arguments<'_>) {
    if let Err(error) = io::stdout().write_fmt(text) {
        std::process::exit(i32::from(unwritten(&error)));
    }
}

/// Writes to standard error; where that cannot be done there is nobody to tell.
pub fn complain(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// The exit code after standard output failed. Any failure but a closed pipe is told.
fn unwritten(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return NOBODY_READS;
    }
    eprintln!("psyche: standard output cannot be written to: {error}");
    2
}

/// Standard output for those who have something to put in order before the program ends.
#[derive(Debug, Default)]
pub struct Output {
    failed: Option<io::Error>,
}

impl Output {
    /// Writes at once; after a failure nothing more.
    pub fn put(&mut self, text: Arguments<'_>) {
        if self.failed.is_none() {
            let mut stdout = io::stdout().lock();
            self.failed = stdout.write_fmt(text).and_then(|()| stdout.flush()).err();
        }
    }

    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The exit code once writing has failed.
    pub fn failure(&self) -> Option<ExitCode> {
        self.failed.as_ref().map(|error| unwritten(error).into())
    }
}

/// Sends the program's own log to standard error.
pub fn logging(config: &Config) -> Result<()> {
    let filter = config.text("log").unwrap_or("info");
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("`log` is {filter:?}, which is not a filter such as info"))?;
    // A line that cannot be written is not told: that would be a line more.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    if config.text("log_format") == Some("json") {
        builder.json().init();
    } else {
        builder.with_target(false).with_ansi(io::stderr().is_terminal()).init();
    }
    Ok(())
}

/// Whether standard output wants colours.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is not psyche's configuration but the terminal's convention")]
pub fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
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
