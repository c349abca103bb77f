//! The schema: plain SQL files, one for each version, applied in order. Replicas that start together take turns.

use deadpool_postgres::Object;

use super::OpenError;

/// Every version of the schema, oldest first; a file's number is its place in this list.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_log_and_directory.sql"),
    include_str!("../../migrations/postgres/0002_identity.sql"),
];

/// Any number that no other program uses for its own lock.
const LOCK: i64 = 0x7073_7963_6865;

pub async fn migrate(client: &mut Object) -> Result<(), OpenError> {
    let step = client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let table = |name: &'static str| {
        let step = &step;
        async move {
            let sql = "SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema()
                                      AND ($1 = '' OR table_name = $1))";
            step.query_one(sql, &[&name]).await.map(|row| row.get::<_, bool>(0))
        }
    };
    let version = if table("schema_version").await? {
        step.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[]).await?.get::<_, i32>(0)
    } else if table("").await? {
        return Err(OpenError::Foreign);
    } else {
        0
    };
    let known = MIGRATIONS.len() as i32;
    if version > known {
        return Err(OpenError::Newer { found: version, known });
    }
    for (number, sql) in (1_i32..).zip(MIGRATIONS).skip(version as usize) {
        step.batch_execute(sql).await?;
        step.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&number]).await?;
    }
    Ok(step.commit().await?)
}
