//! Who belongs to a session, as its log tells it.
//!
//! The log says who was let in, how, by whom, and until when: that belongs to what happened. Who has the page open is
//! presence: it changes with every lost connection, would make logs grow by the weather of networks, and tells more of
//! people's days than a record of a conversation should keep.

use crate::event::{Belonging, Payload, RelationMetadata, UserSession};
use crate::ids::UserId;
use crate::port::Relation;
use crate::words::{Subject, Words};

use super::{Inputs, Session};

/// Somebody's relation to a session as it is from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relate {
    pub user_id: UserId,
    pub username: String,
    pub relation: Relation,
    /// Who did it.
    pub by: UserId,
}

impl Session {
    /// The event, where the log does not say it already: asked twice, a change is told once.
    pub(super) fn relate(&self, relate: &Relate, inputs: &mut Inputs<'_>) -> Option<Payload> {
        let before = self.people.get(&relate.user_id).copied();
        let action = match (before, relate.relation) {
            (None, Relation::None) => return None,
            (None, Relation::Owner) => Belonging::Created,
            (None, _) => Belonging::Joined,
            (Some(Relation::Owner), Relation::None) => Belonging::Terminated,
            (Some(_), Relation::None) => Belonging::Left,
            (Some(before), now) if before == now => return None,
            (Some(_), _) => Belonging::Updated,
        };
        // The owner of a session for one is not among its people until others are.
        let owner = usize::from(!self.people.contains_key(&self.initial.owner) && relate.user_id != self.initial.owner);
        let others = self.people.len() - usize::from(before.is_some());
        let count = owner + others + usize::from(relate.relation != Relation::None);
        let event = UserSession {
            user_id: relate.user_id,
            username: Words::new(&relate.username, Subject::User(relate.user_id), &mut inputs.salts),
            action,
            session_type: self.initial.session_type,
            participant_count: count as u64,
            metadata: RelationMetadata { relation: relate.relation, by: relate.by },
        };
        Some(event.into())
    }

    pub(super) fn belonging_changed(&mut self, change: &UserSession) {
        match change.metadata.relation {
            Relation::None => self.people.remove(&change.user_id),
            relation => self.people.insert(change.user_id, relation),
        };
    }
}

impl Relate {
    /// The command that an event records.
    pub fn recorded(event: &UserSession) -> Self {
        Self {
            user_id: event.user_id,
            username: event.username.as_str().to_owned(),
            relation: event.metadata.relation,
            by: event.metadata.by,
        }
    }
}
