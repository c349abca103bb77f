//! psyche: minds that talk. This crate knows all the others: it reads the configuration, wires the parts, and is the
//! command line.

// First, so that its `println!` is the one the others use.
#[macro_use]
mod terminal;

mod backends;
mod clock;
mod commands;
mod config;
mod rotation;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use config::{Config, Sources};

/// Events, frames and summaries are many small pieces made on one thread and dropped on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs minds that talk: casts of language-model agents whose every word is an event in a log you can replay and prove.
#[derive(Parser, Debug)]
#[command(name = "psyche", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct Common {
    /// Configuration file (default: psyche.toml in the working directory, if there is one)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything lies that must survive
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Any key of the configuration, such as --set log=debug
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start the server and its dashboard
    Serve(commands::serve::Arguments),
    /// Run a conversation in the terminal
    Run(commands::run::Arguments),
    /// Show a stored conversation again, from its log alone
    Replay(commands::replay::Arguments),
    /// Go on with a conversation from any of its events, as another session
    Fork(commands::fork::Arguments),
    /// Ask an agent something; the conversation is not touched
    Interview(commands::interview::Arguments),
    /// Say something in a conversation; its agents hear it at their next turns
    Speak(commands::speak::Arguments),
    /// Prove logs whole: the hash chain, and the engine run again on the recorded replies
    Verify(commands::verify::Arguments),
    /// Measures, trends, turning points and what followed each intervention of a stored conversation
    Analyse(commands::analyse::Arguments),
    /// Write a session to a file
    Export(commands::export::Arguments),
    /// Make a session from a jsonl export
    Import(commands::import::Arguments),
    /// Write everything to one file, beside a running server; the master key is not in it
    Backup(commands::backup::Arguments),
    /// Put a backup in the place of what is stored; the server is stopped meanwhile
    Restore(commands::restore::Arguments),
    /// Copy everything from one store into an empty other one, and prove it whole there
    Migrate(commands::migrate::Arguments),
    /// Check every dependency: what is wrong and how to mend it
    Doctor(commands::doctor::Arguments),
    /// Ask a running server whether it lives
    Health(commands::health::Arguments),
    /// Print the effective configuration and where each value comes from
    Config(commands::config::Arguments),
    /// People with an account
    #[command(subcommand)]
    User(commands::user::Command),
    /// The audit trail
    #[command(subcommand)]
    Audit(commands::audit::Command),
    /// Keys of the installation
    #[command(subcommand)]
    Key(commands::key::Command),
    /// Language models
    #[command(subcommand)]
    Model(commands::model::Command),
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut flags = cli.common.set;
    flags.extend(cli.common.data_dir.map(|dir| ("data_dir".to_owned(), dir)));
    if let Command::Serve(arguments) = &cli.command {
        flags.extend(arguments.listen.clone().map(|listen| ("listen".to_owned(), listen)));
    }
    let outcome = Config::load(&Sources::of_process(cli.common.config, flags)).and_then(|config| {
        terminal::logging(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match cli.command {
                Command::Serve(arguments) => commands::serve::run(&config, arguments).await,
                Command::Run(arguments) => commands::run::run(&config, arguments).await,
                Command::Replay(arguments) => commands::replay::run(&config, arguments).await,
                Command::Fork(arguments) => commands::fork::run(&config, arguments).await,
                Command::Interview(arguments) => commands::interview::run(&config, arguments).await,
                Command::Speak(arguments) => commands::speak::run(&config, arguments).await,
                Command::Verify(arguments) => commands::verify::run(&config, arguments).await,
                Command::Analyse(arguments) => commands::analyse::run(&config, arguments).await,
                Command::Export(arguments) => commands::export::run(&config, arguments).await,
                Command::Import(arguments) => commands::import::run(&config, arguments).await,
                Command::Backup(arguments) => commands::backup::run(&config, arguments).await,
                Command::Restore(arguments) => commands::restore::run(&config, arguments).await,
                Command::Migrate(arguments) => commands::migrate::run(&config, arguments).await,
                Command::Doctor(arguments) => commands::doctor::run(&config, arguments).await,
                Command::Health(arguments) => commands::health::run(&config, arguments).await,
                Command::Config(arguments) => commands::config::run(&config, &arguments),
                Command::User(command) => commands::user::run(&config, command).await,
                Command::Audit(command) => commands::audit::run(&config, command).await,
                Command::Key(command) => commands::key::run(&config, command).await,
                Command::Model(command) => commands::model::run(&config, command).await,
            }
        })
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("psyche: {error:#}");
            ExitCode::from(2)
        }
    }
}
