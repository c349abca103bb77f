//! Who may do what: one table (`permissions.txt`), read by REST and WebSocket. Deny by default.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::port::{Relation, Role};
use crate::session::SessionType;

/// Everything that can be asked for. Each route and each message names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Health, documents, set-up, sign-in.
    Public,
    /// One's own profile, devices, tickets.
    OwnAccount,
    SessionCreate,
    /// List sessions; each is shown to those who may read it.
    SessionList,
    SessionRead,
    /// Go on with what one may read as a session of one's own.
    SessionFork,
    SessionExport,
    SessionControl,
    SessionAnnotate,
    SessionConfigure,
    SessionShare,
    SessionDelete,
    CastView,
    CastEdit,
    ModelView,
    ModelTest,
    SystemMonitor,
    SystemConfig,
    UserAdmin,
    /// Blocked addresses and alerts.
    SecurityAdmin,
    AuditRead,
}

impl Permission {
    pub const ALL: [Self; 21] = [
        Self::Public,
        Self::OwnAccount,
        Self::SessionCreate,
        Self::SessionList,
        Self::SessionRead,
        Self::SessionFork,
        Self::SessionExport,
        Self::SessionControl,
        Self::SessionAnnotate,
        Self::SessionConfigure,
        Self::SessionShare,
        Self::SessionDelete,
        Self::CastView,
        Self::CastEdit,
        Self::ModelView,
        Self::ModelTest,
        Self::SystemMonitor,
        Self::SystemConfig,
        Self::UserAdmin,
        Self::SecurityAdmin,
        Self::AuditRead,
    ];

    /// Its row in the table.
    fn row(self, session_type: SessionType) -> &'static str {
        match self {
            Self::Public => "public",
            Self::OwnAccount => "own_account",
            Self::SessionCreate => "session_create",
            Self::SessionList => "session_list",
            Self::SessionRead => "session_read",
            Self::SessionFork => "session_fork",
            Self::SessionExport => "session_export",
            Self::SessionControl if session_type == SessionType::ObserverOnly => "session_control_observed",
            Self::SessionControl => "session_control",
            Self::SessionAnnotate => "session_annotate",
            Self::SessionConfigure => "session_configure",
            Self::SessionShare => "session_share",
            Self::SessionDelete => "session_delete",
            Self::CastView => "cast_view",
            Self::CastEdit => "cast_edit",
            Self::ModelView => "model_view",
            Self::ModelTest => "model_test",
            Self::SystemMonitor => "system_monitor",
            Self::SystemConfig => "system_config",
            Self::UserAdmin => "user_admin",
            Self::SecurityAdmin => "security_admin",
            Self::AuditRead => "audit_read",
        }
    }

    /// Whether the answer depends on the relation to a session.
    pub fn concerns_a_session(self) -> bool {
        matches!(
            self,
            Self::SessionRead
                | Self::SessionFork
                | Self::SessionExport
                | Self::SessionControl
                | Self::SessionAnnotate
                | Self::SessionConfigure
                | Self::SessionShare
                | Self::SessionDelete
        )
    }
}

/// The answer to a question of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// Allowed to an admin without a relation: to be audited and visible to the owner.
    AllowedAudited,
    /// The object is visible, the action is not allowed: 403.
    Forbidden,
    /// The object is not to be known of: 404.
    Invisible,
}

impl Verdict {
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed | Self::AllowedAudited)
    }
}

/// The table, as it is written.
const TABLE: &str = include_str!("permissions.txt");

/// May this role do this? For [`Permission::concerns_a_session`], `relation` and `session_type` decide too.
/// `role` is `None` for somebody who has not signed in.
pub fn verdict(role: Option<Role>, permission: Permission, relation: Relation, session_type: SessionType) -> Verdict {
    let answer = ask(role, permission, relation, session_type);
    let hidden = permission.concerns_a_session()
        && role.is_some()
        && !answer.is_allowed()
        && !ask(role, Permission::SessionRead, relation, session_type).is_allowed();
    if hidden { Verdict::Invisible } else { answer }
}

fn ask(role: Option<Role>, permission: Permission, relation: Relation, session_type: SessionType) -> Verdict {
    let column = match role {
        None => 1,
        Some(Role::Observer) => 2,
        Some(Role::Researcher) => 3,
        Some(Role::Admin) => 4,
    };
    // No row or no cell: denied.
    let cells = CELLS.get(permission.row(session_type));
    let Some(cell) = cells.and_then(|cells| cells.get(column).copied()) else { return Verdict::Forbidden };
    if !permission.concerns_a_session() {
        return if cell == "yes" { Verdict::Allowed } else { Verdict::Forbidden };
    }
    let letter = match relation {
        Relation::Owner => 'O',
        Relation::Participant => 'P',
        Relation::Viewer => 'V',
        Relation::None => 'N',
    };
    let (plain, audited) = cell.split_once('!').unwrap_or((cell, ""));
    match (plain.contains(letter), audited.contains(letter)) {
        (true, _) => Verdict::Allowed,
        (_, true) => Verdict::AllowedAudited,
        _ => Verdict::Forbidden,
    }
}

/// The cells by their rows: sockets ask at every message.
static CELLS: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    let cells = |line: &'static str| line.split_whitespace().collect::<Vec<_>>();
    rows.map(cells).filter_map(|cells| Some((*cells.first()?, cells))).collect()
});

/// The named permissions of a role, as `permissions` lists them.
pub fn names(role: Role) -> Vec<&'static str> {
    let observer = ["agent:view", "session:view"];
    let researcher = [
        "agent:create",
        "agent:modify",
        "agent:delete",
        "session:create",
        "session:manage",
        "data:export",
        "data:import",
        "data:delete",
    ];
    let admin = ["system:admin", "system:config", "system:monitor"];
    let mut names = observer.to_vec();
    if role >= Role::Researcher {
        names.extend(researcher);
    }
    if role == Role::Admin {
        names.extend(admin);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the security page, row by row: role, relation, permission, answer.
    #[test]
    fn the_table() {
        use Permission as P;
        use Relation::{None, Owner, Participant, Viewer};
        use Role::{Admin, Observer, Researcher};
        use Verdict::{Allowed, AllowedAudited, Forbidden, Invisible};
        let cases = [
            (Observer, Owner, P::SessionRead, Allowed),
            (Observer, Viewer, P::SessionExport, Forbidden),
            (Observer, Owner, P::SessionFork, Forbidden),
            (Researcher, Viewer, P::SessionFork, Allowed),
            (Researcher, None, P::SessionFork, Invisible),
            (Admin, None, P::SessionFork, AllowedAudited),
            (Observer, Viewer, P::SessionAnnotate, Forbidden),
            (Observer, Participant, P::SessionAnnotate, Allowed),
            (Observer, Participant, P::SessionControl, Forbidden),
            (Observer, None, P::SessionRead, Invisible),
            (Observer, None, P::SessionCreate, Forbidden),
            (Observer, None, P::CastView, Allowed),
            (Observer, None, P::CastEdit, Forbidden),
            (Researcher, Owner, P::SessionDelete, Allowed),
            (Researcher, Participant, P::SessionDelete, Forbidden),
            (Researcher, Participant, P::SessionControl, Allowed),
            (Researcher, Viewer, P::SessionControl, Forbidden),
            (Researcher, Viewer, P::SessionRead, Allowed),
            (Researcher, Viewer, P::SessionExport, Forbidden),
            (Researcher, None, P::SessionControl, Invisible),
            (Researcher, None, P::UserAdmin, Forbidden),
            (Researcher, None, P::SystemMonitor, Forbidden),
            (Admin, Viewer, P::SessionControl, AllowedAudited),
            (Admin, Participant, P::SessionDelete, AllowedAudited),
            (Admin, Viewer, P::SessionExport, Allowed),
            (Researcher, Owner, P::AuditRead, Forbidden),
            (Researcher, Owner, P::SystemConfig, Forbidden),
            (Admin, None, P::AuditRead, Allowed),
            (Admin, None, P::SessionControl, AllowedAudited),
            (Admin, None, P::SessionDelete, AllowedAudited),
            (Admin, None, P::UserAdmin, Allowed),
        ];
        for (role, relation, permission, expected) in cases {
            let answer = verdict(Some(role), permission, relation, SessionType::Shared);
            assert_eq!(answer, expected, "{role:?} {relation:?} {permission:?}");
        }
        let observer_only =
            |relation| verdict(Some(Researcher), P::SessionControl, relation, SessionType::ObserverOnly);
        assert_eq!(observer_only(Participant), Forbidden);
        assert_eq!(observer_only(Owner), Allowed);
        let admin = verdict(Some(Admin), P::SessionControl, Owner, SessionType::ObserverOnly);
        assert_eq!(admin, AllowedAudited);
    }

    #[test]
    fn the_table_is_whole_and_says_nothing_unread() {
        let mut rows: Vec<_> = Permission::ALL.iter().map(|p| p.row(SessionType::Shared)).collect();
        rows.push(Permission::SessionControl.row(SessionType::ObserverOnly));
        let written: Vec<_> = TABLE.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
        assert_eq!(written.len(), rows.len());
        for line in written {
            let cells: Vec<_> = line.split_whitespace().collect();
            assert!(cells.len() == 5 && rows.contains(&cells[0]), "{line}");
            let session = cells[0].starts_with("session_") && !["session_create", "session_list"].contains(&cells[0]);
            for cell in &cells[1..] {
                let known =
                    if session { cell.chars().all(|c| "OPVN!-".contains(c)) } else { ["yes", "-"].contains(cell) };
                assert!(known, "{line}: {cell}");
            }
        }
    }

    #[test]
    fn nobody_gets_nothing_but_the_public_part() {
        for permission in Permission::ALL {
            let answer = verdict(None, permission, Relation::Owner, SessionType::Shared);
            assert_eq!(answer.is_allowed(), permission == Permission::Public, "{permission:?}");
        }
    }
}
