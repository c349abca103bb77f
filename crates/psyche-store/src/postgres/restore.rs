//! Restoring a backup: the present content goes and the backup's comes in one transaction.

use std::sync::{Arc, Mutex};

use psyche_core::audit::AuditDraft;

use super::fault::Fault;
use super::write::transact;
use super::{PostgresStore, acknowledged, rows};
use crate::high_water;
use crate::restored::{Present, asked};
use crate::rows::{TABLES, Told};
use crate::sqlite::backup::{Backup, BackupError, at};
use crate::sqlite::restore::Restored;

impl PostgresStore {
    /// Takes in a backup and verifies it, with a row of the audit trail that tells of it. Refused when there is content and
    /// `over` does not say that it goes, and when a log of the backup is not whole. Open the store again before anything is
    /// served: what was erased since the backup is erased again by that, and nobody may read it before.
    pub async fn restore(
        &self,
        backup: &Backup,
        over: bool,
        row: AuditDraft,
        told: Told,
    ) -> Result<Restored, BackupError> {
        let filled = async { rows::filled(&self.client().await?).await };
        let is_content = filled.await.map_err(BackupError::of)?.is_some();
        if is_content && !over {
            return Err(BackupError::NotEmpty);
        }
        let mut present =
            if is_content { Present::of(self.rows_of(asked().into_iter()).await?).await? } else { Present::default() };
        // What clients hold of a database that is no more.
        let path = self.inner.erasures.with_file_name(acknowledged::FILE);
        for (session, mark) in high_water::load(&path).map_err(at(&path))?.marks {
            present.seen(session, mark.generation);
        }
        let kept = backup.unpack(&self.beside(), self.inner.clock.now())?;
        let content = present.restored(backup.rows());
        let telling = Self { inner: Arc::clone(&self.inner), audit: Arc::new(Mutex::new(vec![row])) };
        let restore = async { Ok::<_, Fault>(transact!(telling, |write| replace(write, content, &told).await)) };
        let copied = restore.await.map_err(BackupError::of)?;
        Ok(Restored { copied, asked: is_content, kept: kept.into_iter().collect() })
    }
}

async fn replace(
    write: &mut super::write::Write<'_>,
    content: crate::rows::Rows,
    told: &Told,
) -> Result<crate::rows::Copied, Fault> {
    // That erasures were done is true of what goes, not of what comes.
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).chain(["erasure", "spent"]).collect();
    write.db.batch_execute(&format!("TRUNCATE {}", tables.join(", "))).await?;
    rows::fill(write, content, told).await
}
