//! The schema: plain SQL files, one for each version, applied in order. Replicas that start together take turns.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::GenericClient;

use super::fault::Fault;
use super::number;

/// Every version of the schema, oldest first; a file's number is its place in this list.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_log_and_directory.sql"),
    include_str!("../../migrations/postgres/0002_identity.sql"),
    include_str!("../../migrations/postgres/0003_budgets.sql"),
    include_str!("../../migrations/postgres/0004_spent.sql"),
    include_str!("../../migrations/postgres/0005_waiting.sql"),
];

/// The newest version this program knows.
pub const NEWEST: u32 = MIGRATIONS.len() as u32;

/// Pause before a change of the schema is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// Any number that no other program uses for its own lock.
const LOCK: i64 = 0x7073_7963_6865;

/// The version of a database: 0 when it is empty, `None` when it is somebody else's.
pub async fn version(db: &impl GenericClient) -> Result<Option<u32>, Fault> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE table_name = 'schema_version') FROM information_schema.tables
               WHERE table_schema = current_schema()";
    let row = db.query_one(sql, &[]).await?;
    let (tables, ours): (i64, i64) = (row.get(0), row.get(1));
    if ours == 0 {
        return Ok((tables == 0).then_some(0));
    }
    let row = db.query_one("SELECT coalesce(max(version), 0)::bigint FROM schema_version", &[]).await?;
    Ok(Some(number(row.get(0), "schema version")?))
}

/// Brings a database to [`NEWEST`]. Replicas that serve beside it wait for a table that it changes, and a backup has all of
/// them for as long as it takes: whoever does not get a table soon lets the replicas go on and tries again.
pub async fn migrate(client: &mut Object) -> Result<(), Fault> {
    loop {
        match try_migrate(client).await {
            Err(fault) if fault.is_locked() => {
                tracing::warn!("the schema cannot be changed while others have its tables; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

/// All of it, in one transaction.
async fn try_migrate(client: &mut Object) -> Result<(), Fault> {
    let step = client.transaction().await?;
    step.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '2s'").await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // Another replica may have done it meanwhile.
    let version = version(&*step).await?.unwrap_or(0);
    for (number, sql) in (1_i32..).zip(MIGRATIONS).skip(version as usize) {
        step.batch_execute(sql).await?;
        step.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&number]).await?;
    }
    Ok(step.commit().await?)
}
