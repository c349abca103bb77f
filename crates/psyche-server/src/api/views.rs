//! The shapes of answers that several rooms share.

use psyche_core::permission;
use psyche_core::port::{Relation, Role, SessionSummary, Spent, User, UserStatus};
use psyche_core::session::{Budget, StateView};
use psyche_core::{SessionId, Timestamp, UserId};
use serde::Serialize;

use crate::accounts::Caller;
use crate::app::App;
use crate::error::{Answer, ApiError};

/// A session as its caller sees it.
#[derive(Debug, Serialize)]
pub struct SessionView {
    #[serde(flatten)]
    pub summary: SessionSummary,
    pub relation: Relation,
    /// Its forks that the caller may see, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branches: Option<u64>,
}

impl SessionView {
    pub fn new(summary: SessionSummary, relation: Relation) -> Self {
        Self { summary, relation, branches: None }
    }

    /// The session with its forks counted.
    pub async fn with_branches(
        app: &App,
        caller: &Caller,
        summary: SessionSummary,
        relation: Relation,
    ) -> Answer<Self> {
        let branches = branches(app, caller, &[summary.session_id]).await?;
        Ok(Self { branches: branches.first().copied(), ..Self::new(summary, relation) })
    }
}

/// Whose sessions somebody sees; `None`: everybody's.
pub fn visible_to(caller: &Caller) -> Option<UserId> {
    (caller.role != Role::Admin).then_some(caller.user_id)
}

/// How many forks of each session the caller may see.
pub async fn branches(app: &App, caller: &Caller, sessions: &[SessionId]) -> Answer<Vec<u64>> {
    Ok(app.ports.directory.branches(sessions, visible_to(caller)).await?)
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
async fn participants(app: &App, session: &SessionSummary, most: usize) -> Answer<(Vec<Participant>, usize)> {
    let mut related = related(app, session).await?;
    let count = related.len();
    related.truncate(most);
    Ok((named(app, related).await?, count))
}

/// The same after somebody of them, and whether there are more.
pub async fn participants_after(
    app: &App,
    session: &SessionSummary,
    after: Option<UserId>,
    limit: usize,
) -> Answer<(Vec<Participant>, bool)> {
    let mut related = related(app, session).await?;
    if let Some(after) = after {
        // Somebody who left meanwhile had a place all the same: the others are in the order of their ids.
        related.retain(|(user, relation)| *relation != Relation::Owner && (after == session.owner || *user > after));
    }
    let more = related.len() > limit;
    related.truncate(limit);
    Ok((named(app, related).await?, more))
}

async fn related(app: &App, session: &SessionSummary) -> Answer<Vec<(UserId, Relation)>> {
    let mut related = app.ports.directory.members(session.session_id).await?;
    related.retain(|(user, _)| *user != session.owner);
    related.insert(0, (session.owner, Relation::Owner));
    Ok(related)
}

async fn named(app: &App, related: Vec<(UserId, Relation)>) -> Answer<Vec<Participant>> {
    let mut people = Vec::with_capacity(related.len());
    for (user_id, relation) in related {
        let username = app.ports.directory.user(user_id).await?.map_or_else(String::new, |u| u.username);
        people.push(Participant { user_id, username, relation });
    }
    Ok(people)
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
    /// Null: what the installation gives everybody.
    pub budget: Option<Budget>,
    /// On models, in all own sessions ever.
    pub spent: Spent,
}

impl UserView {
    pub async fn of(app: &App, user: User) -> Answer<Self> {
        let allowance = app.ports.directory.allowance(user.tenant, Some(user.user_id)).await?;
        Ok(Self {
            permissions: permission::names(user.role),
            user_id: user.user_id,
            username: user.username,
            display_name: user.display_name,
            email: user.email,
            role: user.role,
            status: user.status,
            last_login: user.last_login,
            created_at: user.created_at,
            budget: allowance.budget,
            spent: allowance.spent,
        })
    }
}

/// The limits of a session as they may be set.
pub fn check_limits(max_rounds: Option<u64>, budget: Option<Budget>) -> Answer<()> {
    // Where numbers end for most who read the log.
    if max_rounds.is_some_and(|rounds| i64::try_from(rounds).is_err()) {
        return Err(ApiError::invalid("max_rounds", "must be at most 9223372036854775807"));
    }
    budget.map(checked_budget).transpose().map(drop)
}

/// A budget as it may be set.
pub fn checked_budget(budget: Budget) -> Answer<Budget> {
    if budget.cost.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
        return Err(ApiError::invalid("budget.cost", "must be a number that is not negative"));
    }
    // What is spent is counted in the database, whose numbers end here.
    if budget.tokens.is_some_and(|tokens| i64::try_from(tokens).is_err()) {
        return Err(ApiError::invalid("budget.tokens", "must be at most 9223372036854775807"));
    }
    Ok(budget)
}
