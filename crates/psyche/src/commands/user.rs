//! `psyche user`: accounts made on the machine itself.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::{Subcommand, ValueEnum};
use psyche_core::audit::{AuditDraft, AuditType, Personal, Severity};
use psyche_core::port::{Clock, NewUser, Role, User, UserStatus};
use psyche_core::{TenantId, UserId};
use psyche_server::passwords;
use psyche_store::Access;

use crate::backends::{self, Store};
use crate::clock::SystemClock;
use crate::config::{Config, ROLES};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a user; the password is read from standard input
    Create {
        username: String,
        #[arg(long)]
        email: Option<String>,
        #[arg(long, value_enum, default_value_t = RoleName::Observer)]
        role: RoleName,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleName {
    Observer,
    Researcher,
    Admin,
}

pub async fn run(config: &Config, command: Command) -> Result<ExitCode> {
    let Command::Create { username, email, role } = command;
    let role = match role {
        RoleName::Observer => Role::Observer,
        RoleName::Researcher => Role::Researcher,
        RoleName::Admin => Role::Admin,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = match Store::open(config, Access::ReadWrite, false, Arc::clone(&clock)).await {
        Err(error) if backends::is_in_use(&error) => {
            let advice = "users are made while the server is stopped, or by an admin through the API of the one that \
                          runs: POST /api/v1/users (its page /api/docs says how)";
            return Err(error.context(advice));
        }
        opened => opened?,
    };
    let email = email.unwrap_or_else(|| format!("{username}@localhost"));
    if std::io::stdin().is_terminal() {
        eprintln!("Password for {username} (12 to 128 characters; what you type is shown):");
    }
    let mut password = String::new();
    std::io::stdin().lock().read_line(&mut password).context("read the password")?;
    let password = password.trim_end_matches(['\n', '\r']);
    let user = account(config, clock.as_ref(), &username, &email, password, role)?;
    let id = user.user_id;
    let details = serde_json::json!({"message": "An account was made on the machine itself.", "role": role});
    let row = AuditDraft {
        user_id: Some(id),
        personal: Personal { username: Some(username.clone()), ip_address: None },
        ..super::row(clock.as_ref(), AuditType::PermissionChanged, Severity::High, details)
    };
    let directory = store.audit().directory_with(vec![row]);
    let outcome = directory.create_user(NewUser { user, only_first_admin: false }).await;
    store.close().await;
    outcome.with_context(|| format!("create {username}"))?;
    println!("{username} can sign in now ({id})");
    Ok(ExitCode::SUCCESS)
}

/// A new account with a hashed password. The password must pass the rules of sign-up.
pub fn account(
    config: &Config,
    clock: &dyn Clock,
    username: &str,
    email: &str,
    password: &str,
    role: Role,
) -> Result<User> {
    let named = |c: char| c.is_alphanumeric() || "._-@".contains(c);
    if !(2..=64).contains(&username.chars().count()) || !username.chars().all(named) {
        bail!("the name {username:?} must have 2 to 64 letters, digits or . - _ @");
    }
    passwords::check(password, username, email).map_err(anyhow::Error::msg)?;
    let password_hash =
        passwords::hash(password, password_kind(config), clock.entropy()).map_err(anyhow::Error::msg)?;
    Ok(User {
        user_id: UserId(clock.uuid()),
        tenant: TenantId::DEFAULT,
        username: username.to_owned(),
        display_name: username.to_owned(),
        email: email.to_owned(),
        role,
        status: UserStatus::Active,
        password_hash,
        preferences: serde_json::Value::Object(serde_json::Map::default()),
        last_login: None,
        created_at: clock.now(),
        second_factor: None,
        consents: Vec::new(),
    })
}

pub fn password_kind(config: &Config) -> passwords::Kind {
    match config.text("password_hash") {
        Some("bcrypt") => passwords::Kind::Bcrypt,
        _ => passwords::Kind::Argon2id,
    }
}

/// A role by its name.
pub fn role(name: &str) -> Option<Role> {
    [Role::Observer, Role::Researcher, Role::Admin]
        .into_iter()
        .zip(ROLES)
        .find(|(_, known)| *known == name)
        .map(|(r, _)| r)
}
