//! Who has the database open to write: many who share it, or one alone. A lock in the database, held by a connection of
//! its own for as long as the program lives.
//!
//! The log needs no such lock, its epochs decide. It is for whoever cannot share a database: without a bus between them,
//! readers at one program would wait for news from another one until they ask again; and what moves or replaces everything
//! has to know that nobody writes meanwhile.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::{Client, Connection, Socket};

use super::OpenError;
use super::connection::Target;
use super::tls::Encrypted;

/// Any number that no other program uses for its own lock; the second half tells schemas apart.
const ALONE: &str = "SELECT pg_try_advisory_lock(1886613871, hashtext(current_schema()))";
const SHARED: &str = "SELECT pg_try_advisory_lock_shared(1886613871, hashtext(current_schema()))";

/// Pause before a lost lock is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

type Wire = Connection<Socket, Encrypted>;

/// Takes the lock, and takes it again whenever the connection was lost. Dropping the set gives it back.
pub async fn hold(target: Target, alone: bool) -> Result<JoinSet<()>, OpenError> {
    let mut task = JoinSet::new();
    let sql = if alone { ALONE } else { SHARED };
    let Some((client, wire)) = lock(&target, sql).await? else { return Err(OpenError::InUse) };
    task.spawn(keep(target, sql, client, wire));
    Ok(task)
}

async fn keep(target: Target, sql: &'static str, mut client: Client, mut wire: Wire) {
    loop {
        let end = wire.await;
        drop(client);
        tracing::warn!(?end, "the lock of the database was lost with its connection; it is asked for again");
        let mut told = false;
        (client, wire) = loop {
            tokio::time::sleep(AGAIN).await;
            match lock(&target, sql).await {
                Ok(Some(held)) => break held,
                Ok(None) if !told => {
                    tracing::error!(
                        "another psyche uses the database and does not share it, or cannot: stop one of them"
                    );
                    told = true;
                }
                // The store itself says that the database is away.
                Ok(None) | Err(_) => {}
            }
        };
        tracing::info!("the lock of the database is held again");
    }
}

/// The lock and the connection that holds it; nothing when somebody else has it.
async fn lock(target: &Target, sql: &str) -> Result<Option<(Client, Wire)>, OpenError> {
    let (client, mut wire) = target.connect().await?;
    let asked = client.query_one(sql, &[]);
    let row = tokio::select! {
        row = asked => row?,
        end = &mut wire => {
            end?;
            return Err(OpenError::Unreachable("the connection was closed at once".to_owned()));
        }
    };
    Ok(row.get::<_, bool>(0).then_some((client, wire)))
}
