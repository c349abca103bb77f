//! The schema: plain SQL files, one for each version, applied in order.

use rusqlite::{Connection, OptionalExtension as _};

/// Every version of the schema, oldest first; a file's number is its place in this list.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_log_and_directory.sql"),
    include_str!("../../migrations/sqlite/0002_identity.sql"),
    include_str!("../../migrations/sqlite/0003_budgets.sql"),
    include_str!("../../migrations/sqlite/0004_spent.sql"),
    include_str!("../../migrations/sqlite/0005_waiting.sql"),
];

/// The newest version this program knows.
pub const NEWEST: u32 = MIGRATIONS.len() as u32;
/// The oldest version whose tables and columns are the newest's.
const ALIKE: u32 = 4;

/// Whether all content of a database of this version can be read as it stands.
pub fn is_readable(version: u32) -> bool {
    (ALIKE..=NEWEST).contains(&version)
}

/// The version of a database: 0 when it is empty, `None` when it is somebody else's.
pub fn version(db: &Connection) -> rusqlite::Result<Option<u32>> {
    let table = |name: &str| {
        db.query_row("SELECT 1 FROM sqlite_master WHERE name = ?1", [name], |_| Ok(())).optional().map(|t| t.is_some())
    };
    if table("schema_version")? {
        return db.query_row("SELECT max(version) FROM schema_version", [], |row| row.get(0));
    }
    let objects: u32 = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok((objects == 0).then_some(0))
}

/// Brings a database from `version` to [`NEWEST`], each step in its own transaction.
pub fn migrate(db: &mut Connection, version: u32) -> rusqlite::Result<()> {
    for (number, sql) in (1..).zip(MIGRATIONS).skip(version as usize) {
        let step = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        step.execute_batch(sql)?;
        step.execute("INSERT INTO schema_version (version) VALUES (?1)", [number])?;
        step.commit()?;
    }
    Ok(())
}
