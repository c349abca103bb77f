//! The audit trail, whatever keeps its rows: how a row is made and sealed, and the walk that proves the trail whole.

use std::iter::Peekable;
use std::vec::IntoIter;

use psyche_core::audit::{AuditDraft, AuditRow, Checker, Personal, Place, Problem, sign};
use psyche_core::ids::UserId;
use psyche_core::port::{AuditCheck, StoreError};
use psyche_core::words::{Hash, Salt, Subject};

use crate::accounts::account_scope;
use crate::checkpoints::Checkpoint;
use crate::keyring::Keyring;
use crate::seal::{Key, about_text};

/// The scope of the key of the chain.
pub const CHAIN: &str = "audit-chain";
/// The scope of the key of rows that are about nobody we know.
const NOBODY: &str = "audit";
/// The field a row's personal part is sealed as.
const FIELD: &str = "audit";

/// The scope of the key that a row's personal part is sealed under.
pub fn scope_of(user: Option<UserId>) -> String {
    user.map_or_else(|| NOBODY.to_owned(), account_scope)
}

fn about(user: Option<UserId>, commitment: &Hash) -> Vec<u8> {
    let subject = user.map_or_else(|| NOBODY.to_owned(), |user| Subject::User(user).to_string());
    about_text(&subject, FIELD, commitment)
}

/// A row that is ready to be stored.
pub struct Made {
    pub row: AuditRow,
    pub salt: Salt,
    pub sealed: Vec<u8>,
    pub checkpoint: Checkpoint,
}

/// Makes the row that follows `(seq, mac)`. `key` is that of [`scope_of`].
pub fn made(ring: &Keyring, chain: &Key, key: &Key, draft: AuditDraft, (seq, before): (u64, Hash)) -> Made {
    let mut salt = [0; 16];
    salt.copy_from_slice(&ring.entropy()[..16]);
    let place = Place { seq: seq + 1, event_id: ring.uuid(), before };
    let text = draft.personal.text();
    let row = AuditRow::new(draft, place, &salt, chain.bytes());
    let sealed = key.seal(ring.entropy(), &about(row.user_id, &row.commitment), text.as_bytes());
    let checkpoint = Checkpoint::sign(chain.bytes(), row.seq, row.mac, row.at);
    Made { row, salt, sealed, checkpoint }
}

/// The personal part of a row; nothing when it cannot be opened.
pub fn personal(key: &Key, user: Option<UserId>, commitment: &Hash, sealed: &[u8]) -> Option<Personal> {
    let plain = key.open(&about(user, commitment), sealed)?;
    serde_json::from_slice(&plain).ok()
}

/// Our signature under the row where a pruned trail begins.
pub fn base_signature(chain: &Key, seq: u64, mac: &Hash) -> Hash {
    sign(chain.bytes(), &[b"psyche.audit.base\0", &seq.to_be_bytes(), &mac.0])
}

/// The value whose name is stored.
pub fn known<T>(text: &str, what: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    of(text).ok_or_else(|| StoreError::Corrupt(format!("the stored {what} {text:?} is not known to this program")))
}

/// A walk over the whole trail.
pub struct Walk {
    key: [u8; 32],
    checker: Checker,
    checkpoints: Peekable<IntoIter<Checkpoint>>,
    newest: Option<Checkpoint>,
    check: AuditCheck,
}

impl Walk {
    /// `base`: where a pruned trail begins (row, mac, signature). `checkpoints`: by their rows.
    pub fn new(chain: &Key, base: Option<(u64, Hash, Hash)>, checkpoints: Vec<Checkpoint>) -> Self {
        let key = *chain.bytes();
        let (start, mac) = base.map_or((0, Hash::ZERO), |(seq, mac, _)| (seq, mac));
        let mut checker = Checker::new(key, start, mac);
        if let Some((seq, mac, signature)) = base
            && signature != base_signature(chain, seq, &mac)
        {
            let what = format!("the row where the pruned trail begins ({seq}) was not signed by this program");
            checker.problem(seq, what);
        }
        let newest = checkpoints.iter().filter(|c| c.is_signed(&key)).max_by_key(|c| c.seq).cloned();
        let check = AuditCheck { checkpoint: newest.as_ref().map(|c| (c.seq, c.at)), ..AuditCheck::default() };
        Self { key, checker, checkpoints: checkpoints.into_iter().peekable(), newest, check }
    }

    /// What a trail without the key of its chain comes to.
    pub fn without_key(rows: u64, checkpoints: &[Checkpoint]) -> AuditCheck {
        let mut check = AuditCheck::default();
        let last = checkpoints.last().map(|c| c.seq);
        if rows > 0 || last.is_some() {
            let what = "the key of the trail is gone: nothing of it can be proved".to_owned();
            check.problems.push(Problem { seq: last.unwrap_or(1), what });
        }
        check
    }

    /// The next stored row: its number and mac as they are stored, and the row if it can be read.
    pub fn next(&mut self, seq: u64, mac: &[u8], row: Option<&AuditRow>) {
        self.check.rows += 1;
        self.check.first_seq = if self.check.first_seq == 0 { seq } else { self.check.first_seq };
        match row {
            Some(row) => self.checker.next(row),
            None => self.checker.problem(seq, format!("row {seq} cannot be read")),
        }
        while let Some(checkpoint) = self.checkpoints.next_if(|c| c.seq <= seq) {
            if !checkpoint.is_signed(&self.key) {
                self.checker.problem(checkpoint.seq, format!("the checkpoint of row {} is not ours", checkpoint.seq));
            } else if checkpoint.seq == seq && checkpoint.mac.0 != mac {
                self.checker.problem(seq, format!("row {seq} is not the one its checkpoint was made of"));
            }
        }
    }

    pub fn end(mut self) -> AuditCheck {
        let last = self.checker.head().0;
        self.check.last_seq = last;
        if let Some(newest) = self.newest.filter(|c| c.seq > last) {
            let what = format!("rows {} to {} were cut off: a checkpoint proves they were there", last + 1, newest.seq);
            self.checker.problem(last + 1, what);
        }
        self.check.problems = self.checker.problems;
        self.check
    }
}
