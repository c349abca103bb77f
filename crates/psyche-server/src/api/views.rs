//! The shapes of answers that several rooms share.

use psyche_core::permission;
use psyche_core::port::{Relation, Role, SessionSummary, User, UserStatus};
use psyche_core::session::StateView;
use psyche_core::{Timestamp, UserId};
use serde::Serialize;

use crate::accounts::Caller;
use crate::app::App;
use crate::error::Answer;

/// A session as its caller sees it.
#[derive(Debug, Serialize)]
pub struct SessionView {
    #[serde(flatten)]
    pub summary: SessionSummary,
    pub relation: Relation,
}

impl SessionView {
    pub fn new(summary: SessionSummary, relation: Relation) -> Self {
        Self { summary, relation }
    }
}

#[derive(Debug, Serialize)]
pub struct State {
    #[serde(flatten)]
    pub state: StateView,
    /// Of a crowd, the first hundred.
    pub participants: Vec<Participant>,
    pub participant_count: usize,
}

/// People of a crowd who are named: it is told to each of them.
pub const NAMED: usize = 100;

impl State {
    pub async fn new(app: &App, session: &SessionSummary, state: StateView) -> Answer<Self> {
        let (participants, participant_count) = participants(app, session, NAMED).await?;
        Ok(Self { state, participants, participant_count })
    }
}

#[derive(Debug, Serialize)]
pub struct Participant {
    pub user_id: UserId,
    pub username: String,
    pub relation: Relation,
}

/// The owner first, then the others, at most so many; and how many there are.
pub async fn participants(app: &App, session: &SessionSummary, most: usize) -> Answer<(Vec<Participant>, usize)> {
    let directory = &app.ports.directory;
    let mut related = directory.members(session.session_id).await?;
    related.retain(|(user, _)| *user != session.owner);
    related.insert(0, (session.owner, Relation::Owner));
    let count = related.len();
    related.truncate(most);
    let mut people = Vec::with_capacity(related.len());
    for (user_id, relation) in related {
        let username = directory.user(user_id).await?.map_or_else(String::new, |u| u.username);
        people.push(Participant { user_id, username, relation });
    }
    Ok((people, count))
}

/// A person as sign-in and sockets tell them about themselves.
#[derive(Debug, Serialize)]
pub struct SignedInUser {
    pub user_id: UserId,
    pub username: String,
    pub display_name: String,
    pub role: Role,
    pub permissions: Vec<&'static str>,
}

impl SignedInUser {
    pub fn of(caller: &Caller) -> Self {
        Self {
            user_id: caller.user_id,
            username: caller.username.clone(),
            display_name: caller.display_name.clone(),
            role: caller.role,
            permissions: permission::names(caller.role),
        }
    }

    pub fn of_user(user: &User) -> Self {
        Self {
            user_id: user.user_id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            role: user.role,
            permissions: permission::names(user.role),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct UserView {
    pub user_id: UserId,
    pub username: String,
    pub display_name: String,
    pub email: String,
    pub role: Role,
    pub status: UserStatus,
    pub permissions: Vec<&'static str>,
    pub last_login: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            permissions: permission::names(user.role),
            user_id: user.user_id,
            username: user.username,
            display_name: user.display_name,
            email: user.email,
            role: user.role,
            status: user.status,
            last_login: user.last_login,
            created_at: user.created_at,
        }
    }
}
