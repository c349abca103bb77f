//! One program at a time: a lock in the database, held by a connection of its own for as long as the program lives.
//!
//! The log needs no such lock, its epochs decide. It is for whoever cannot share a database yet: without a bus between them,
//! readers at one program would wait for news from another one until they ask again.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::{Client, Connection, Socket};

use super::OpenError;
use super::connection::Target;
use super::tls::Encrypted;

/// Any number that no other program uses for its own lock; the second half tells schemas apart.
const LOCK: &str = "SELECT pg_try_advisory_lock(1886613871, hashtext(current_schema()))";

/// Pause before a lost lock is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

type Wire = Connection<Socket, Encrypted>;

/// Takes the lock, and takes it again whenever the connection was lost. Dropping the set gives it back.
pub async fn hold(target: Target) -> Result<JoinSet<()>, OpenError> {
    let mut task = JoinSet::new();
    let Some((client, wire)) = lock(&target).await? else { return Err(OpenError::InUse) };
    task.spawn(keep(target, client, wire));
    Ok(task)
}

async fn keep(target: Target, mut client: Client, mut wire: Wire) {
    loop {
        let end = wire.await;
        drop(client);
        tracing::warn!(?end, "the lock of the database was lost with its connection; it is asked for again");
        let mut told = false;
        (client, wire) = loop {
            tokio::time::sleep(AGAIN).await;
            match lock(&target).await {
                Ok(Some(held)) => break held,
                Ok(None) if !told => {
                    tracing::error!("another psyche uses the database too: stop one of them");
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
async fn lock(target: &Target) -> Result<Option<(Client, Wire)>, OpenError> {
    let (client, mut wire) = target.connect().await?;
    let asked = client.query_one(LOCK, &[]);
    let row = tokio::select! {
        row = asked => row?,
        end = &mut wire => {
            end?;
            return Err(OpenError::Unreachable("the connection was closed at once".to_owned()));
        }
    };
    Ok(row.get::<_, bool>(0).then_some((client, wire)))
}
