//! Who may do what: one table, read by REST, WebSocket and the command line.
//!
//! Effective right = what the role allows ∩ what the relation to the session allows. Deny by default.

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
    UserAdmin,
}

impl Permission {
    pub const ALL: [Self; 17] = [
        Self::Public,
        Self::OwnAccount,
        Self::SessionCreate,
        Self::SessionList,
        Self::SessionRead,
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
        Self::UserAdmin,
    ];

    /// Whether the answer depends on the relation to a session.
    pub fn concerns_a_session(self) -> bool {
        matches!(
            self,
            Self::SessionRead
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

/// May this role do this? For [`Permission::concerns_a_session`], `relation` and `session_type` decide too.
/// `role` is `None` for somebody who has not signed in.
pub fn verdict(role: Option<Role>, permission: Permission, relation: Relation, session_type: SessionType) -> Verdict {
    use Permission as P;
    use Relation as Rel;
    if permission == P::Public {
        return Verdict::Allowed;
    }
    let Some(role) = role else { return Verdict::Forbidden };
    let allowed = |yes: bool| if yes { Verdict::Allowed } else { Verdict::Forbidden };
    match permission {
        P::Public | P::OwnAccount | P::SessionList | P::CastView | P::ModelView => Verdict::Allowed,
        P::SessionCreate | P::CastEdit | P::ModelTest => allowed(role >= Role::Researcher),
        P::SystemMonitor | P::UserAdmin => allowed(role == Role::Admin),
        _ if relation == Rel::None => {
            if role == Role::Admin {
                Verdict::AllowedAudited
            } else {
                Verdict::Invisible
            }
        }
        P::SessionRead => Verdict::Allowed,
        P::SessionExport => allowed(role >= Role::Researcher && relation >= Rel::Participant),
        P::SessionAnnotate => allowed(relation >= Rel::Participant),
        P::SessionControl => {
            let least = if session_type == SessionType::ObserverOnly { Rel::Owner } else { Rel::Participant };
            allowed(role >= Role::Researcher && relation >= least)
        }
        P::SessionConfigure | P::SessionShare | P::SessionDelete => {
            allowed(role >= Role::Researcher && relation == Rel::Owner)
        }
    }
}

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
    }

    #[test]
    fn nobody_gets_nothing_but_the_public_part() {
        for permission in Permission::ALL {
            let answer = verdict(None, permission, Relation::Owner, SessionType::Shared);
            assert_eq!(answer.is_allowed(), permission == Permission::Public, "{permission:?}");
        }
    }
}
