//! The audit trail: what is recorded of security, and the chain that shows whether a row was changed.
//!
//! Row n carries `mac(n) = HMAC-SHA256(key, mac(n-1) ‖ canonical form of row n)`; the first follows 32 zero bytes. What
//! names a person ([`Personal`]) is in the canonical form by its salted commitment only, so erasing it leaves the chain
//! true.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

use crate::words::{Hash, Salt, commitment};
use crate::{SessionId, TenantId, Timestamp, UserId};

/// Defines an enum with the names it has on the wire and in the store.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(#[serde(rename = $text)] $variant),*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }

            pub fn of(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

named!(
    /// What happened.
    AuditType {
        LoginSuccess = "auth.login.success",
        LoginFailure = "auth.login.failure",
        Logout = "auth.logout",
        TokenRefresh = "auth.token.refresh",
        TokenRevoked = "auth.token.revoked",
        TokenReuse = "auth.token.reuse",
        AccessGranted = "authz.access.granted",
        AccessDenied = "authz.access.denied",
        PermissionChanged = "authz.permission.changed",
        SessionCreated = "session.created",
        SessionExpired = "session.expired",
        SessionTerminated = "session.terminated",
        Suspicious = "security.suspicious",
        RateLimit = "security.rate_limit",
        InvalidToken = "security.invalid_token",
        IpBlocked = "security.ip_blocked",
        DataExported = "data.exported",
        DataErased = "data.erased",
        ConfigChanged = "system.config.changed",
    }
);

named!(
    /// How much it matters.
    Severity {
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
);

named!(
    /// How it ended.
    Outcome {
        Success = "success",
        Failure = "failure",
        Denied = "denied",
    }
);

/// What names a person. Sealed under the person's key, and gone when the person is erased.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

impl Personal {
    /// The text that is committed to.
    pub fn text(&self) -> String {
        // A struct of strings has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A row before it has its place.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditDraft {
    pub tenant: TenantId,
    pub event_type: AuditType,
    pub severity: Severity,
    pub at: Timestamp,
    /// Whom it is about; the row's personal part is erased with them.
    pub user_id: Option<UserId>,
    pub session_id: Option<SessionId>,
    pub request_id: String,
    pub outcome: Outcome,
    pub personal: Personal,
    /// An object that names nobody but by id, and holds no words of anybody.
    pub details: Value,
}

/// A stored row.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRow {
    pub seq: u64,
    pub event_id: Uuid,
    pub tenant: TenantId,
    pub event_type: AuditType,
    pub severity: Severity,
    pub at: Timestamp,
    pub user_id: Option<UserId>,
    pub session_id: Option<SessionId>,
    pub request_id: String,
    pub outcome: Outcome,
    /// `None` once erased.
    pub personal: Option<Personal>,
    pub details: Value,
    pub commitment: Hash,
    pub mac: Hash,
}

impl AuditRow {
    /// Gives a draft its place after the row whose mac is `before`.
    pub fn new(draft: AuditDraft, place: Place, salt: &Salt, key: &[u8; 32]) -> Self {
        let AuditDraft {
            tenant,
            event_type,
            severity,
            at,
            user_id,
            session_id,
            request_id,
            outcome,
            personal,
            details,
        } = draft;
        let commitment = commitment(salt, &personal.text());
        let mut row = Self {
            seq: place.seq,
            event_id: place.event_id,
            tenant,
            event_type,
            severity,
            at,
            user_id,
            session_id,
            request_id,
            outcome,
            personal: Some(personal),
            details,
            commitment,
            mac: Hash::ZERO,
        };
        row.mac = row.link(place.before, key);
        row
    }

    /// The mac this row must have after a row with the mac `before`.
    pub fn link(&self, before: Hash, key: &[u8; 32]) -> Hash {
        let canonical = serde_json::json!([
            self.seq,
            self.event_id,
            self.tenant,
            self.event_type,
            self.severity,
            self.at.micros(),
            self.user_id,
            self.session_id,
            self.request_id,
            self.outcome,
            self.details,
            self.commitment,
        ]);
        sign(key, &[&before.0, canonical.to_string().as_bytes()])
    }
}

/// Where a row goes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub seq: u64,
    pub event_id: Uuid,
    /// The mac of the row before.
    pub before: Hash,
}

/// HMAC-SHA256 over the parts, one after the other (RFC 2104).
pub fn sign(key: &[u8; 32], parts: &[&[u8]]) -> Hash {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length");
    };
    for part in parts {
        mac.update(part);
    }
    Hash(mac.finalize().into_bytes().into())
}

/// What is wrong with a trail at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub seq: u64,
    pub what: String,
}

/// Walks a trail from its first row and names what does not fit. It goes on after a problem, so that each is named.
#[derive(Debug)]
pub struct Checker {
    key: [u8; 32],
    last: u64,
    mac: Hash,
    pub problems: Vec<Problem>,
}

/// Problems beyond this many are not listed one by one.
const LISTED: usize = 100;

impl Checker {
    /// Rows up to `seq` were pruned; the last of them had this mac. `(0, Hash::ZERO)`: nothing was.
    pub fn new(key: [u8; 32], seq: u64, mac: Hash) -> Self {
        Self { key, last: seq, mac, problems: Vec::new() }
    }

    pub fn next(&mut self, row: &AuditRow) {
        if row.seq > self.last + 1 {
            let what = match row.seq - self.last - 1 {
                1 => format!("row {} is missing", self.last + 1),
                _ => format!("rows {} to {} are missing", self.last + 1, row.seq - 1),
            };
            self.problem(self.last + 1, what);
        } else if row.link(self.mac, &self.key) != row.mac {
            self.problem(row.seq, format!("row {} is not as it was written, or not in its place", row.seq));
        }
        (self.last, self.mac) = (row.seq, row.mac);
    }

    pub fn problem(&mut self, seq: u64, what: String) {
        if self.problems.len() < LISTED {
            self.problems.push(Problem { seq, what });
        }
    }

    /// The last row seen, and its mac.
    pub fn head(&self) -> (u64, Hash) {
        (self.last, self.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn trail(rows: u64) -> Vec<AuditRow> {
        let mut before = Hash::ZERO;
        let mut made = Vec::new();
        for seq in 1..=rows {
            let draft = AuditDraft {
                tenant: TenantId::DEFAULT,
                event_type: AuditType::LoginSuccess,
                severity: Severity::Low,
                at: Timestamp(seq as i64),
                user_id: Some(UserId(Uuid::from_u128(3))),
                session_id: None,
                request_id: format!("request-{seq}"),
                outcome: Outcome::Success,
                personal: Personal { username: Some("ada".into()), ip_address: None },
                details: serde_json::json!({"n": seq}),
            };
            let place = Place { seq, event_id: Uuid::from_u128(u128::from(seq)), before };
            let row = AuditRow::new(draft, place, &[1; 16], &KEY);
            before = row.mac;
            made.push(row);
        }
        made
    }

    fn problems(rows: &[AuditRow]) -> Vec<u64> {
        let mut checker = Checker::new(KEY, 0, Hash::ZERO);
        for row in rows {
            checker.next(row);
        }
        checker.problems.into_iter().map(|p| p.seq).collect()
    }

    #[test]
    fn a_whole_trail_has_no_problem_and_every_change_is_named() {
        let rows = trail(6);
        assert!(problems(&rows).is_empty());
        let edits: [fn(&mut AuditRow); 9] = [
            |row| row.event_type = AuditType::LoginFailure,
            |row| row.severity = Severity::High,
            |row| row.at = Timestamp(0),
            |row| row.user_id = None,
            |row| row.session_id = Some(SessionId(Uuid::from_u128(1))),
            |row| row.outcome = Outcome::Denied,
            |row| row.details = Value::Null,
            |row| row.commitment = Hash::ZERO,
            |row| row.request_id.push('x'),
        ];
        for edit in edits {
            let mut changed = rows.clone();
            edit(&mut changed[2]);
            assert_eq!(problems(&changed), [3]);
        }
        let mut mac = rows.clone();
        mac[2].mac = Hash::ZERO;
        assert_eq!(problems(&mac), [3, 4], "the row, and the one that follows it");
    }

    #[test]
    fn missing_and_swapped_rows_are_named() {
        let rows = trail(6);
        let mut missing = rows.clone();
        missing.drain(1..3);
        assert_eq!(problems(&missing), [2]);
        let mut swapped = rows.clone();
        swapped.swap(1, 2);
        (swapped[1].seq, swapped[2].seq) = (2, 3);
        assert_eq!(problems(&swapped), [2, 3, 4]);
        assert!(problems(&rows[..4]).is_empty(), "a cut end is for the checkpoints to find");
    }

    #[test]
    fn an_erased_person_leaves_the_chain_true() {
        let mut rows = trail(3);
        for row in &mut rows {
            row.personal = None;
        }
        assert!(problems(&rows).is_empty());
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for event_type in AuditType::ALL {
            assert_eq!(serde_json::to_value(event_type).unwrap(), event_type.name());
            assert_eq!(AuditType::of(event_type.name()), Some(*event_type));
        }
    }
}
