//! A transaction: what belongs together is written together, with the rows of the audit trail that tell of it.

use deadpool_postgres::{Object, Transaction};
use psyche_core::audit::AuditDraft;

use super::fault::Fault;
use super::keys::Keys;
use super::{PostgresStore, audit};
use crate::checkpoints::Checkpoint;

/// What an operation works with.
pub struct Write<'a> {
    pub db: Transaction<'a>,
    pub keys: &'a Keys,
    pub audited: Vec<Checkpoint>,
    rights: bool,
    shredded: bool,
}

impl Write<'_> {
    /// Notes that somebody's rights are others from now on.
    pub fn rights_changed(&mut self) {
        self.rights = true;
    }

    /// Lets the statements of this transaction take their time: they go over a whole log or more.
    pub async fn without_haste(&self) -> Result<(), Fault> {
        Ok(self.db.batch_execute("SET LOCAL statement_timeout = 0").await?)
    }

    /// Notes that something was destroyed: what is remembered of it must go too.
    pub fn shredded(&mut self) {
        self.shredded = true;
    }
}

impl PostgresStore {
    pub(super) async fn begin<'a>(&'a self, client: &'a mut Object) -> Result<Write<'a>, Fault> {
        let db = client.transaction().await?;
        Ok(Write { db, keys: &self.inner.keys, audited: Vec::new(), rights: false, shredded: false })
    }

    /// Commits with the rows that wait for the next write.
    pub(super) async fn commit(&self, write: Write<'_>) -> Result<(), Fault> {
        self.commit_with(write, self.take_audit()).await
    }

    /// Commits with these rows. What is held for long, because all replicas want it, is taken last.
    pub(super) async fn commit_with(&self, mut write: Write<'_>, rows: Vec<AuditDraft>) -> Result<(), Fault> {
        if write.rights {
            let bump = write.db.prepare_cached("UPDATE rights SET version = version + 1").await?;
            write.db.execute(&bump, &[]).await?;
        }
        audit::insert(&mut write, rows).await?;
        let Write { db, audited, shredded, .. } = write;
        db.commit().await?;
        for checkpoint in audited {
            self.inner.checkpoint.note(checkpoint);
        }
        if shredded {
            self.inner.keys.forget();
        }
        Ok(())
    }
}

/// Runs an operation in a transaction of its own: `transact!(self, |write| work(write).await)`.
macro_rules! transact {
    ($store:expr, |$write:ident| $work:expr) => {{
        let mut client = $store.client().await?;
        let mut begun = $store.begin(&mut client).await?;
        let $write = &mut begun;
        let done = $work?;
        $store.commit(begun).await?;
        done
    }};
}
pub(super) use transact;
