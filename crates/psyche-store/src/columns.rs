//! The columns of a session's row: its summary, and what of it is searched by.

use psyche_core::ids::{SessionId, UserId};
use psyche_core::port::SessionSummary;

#[derive(Debug)]
pub struct Columns {
    pub session: SessionId,
    pub owner: UserId,
    pub status: &'static str,
    pub name_folded: String,
    pub created_at: i64,
    pub last_activity: i64,
    pub summary: String,
    pub tags: Vec<String>,
    pub parent: Option<SessionId>,
    pub waiting: bool,
}

impl Columns {
    pub fn of(summary: &SessionSummary) -> Result<Self, serde_json::Error> {
        Ok(Self {
            session: summary.session_id,
            owner: summary.owner,
            status: summary.status.name(),
            name_folded: summary.name.to_lowercase(),
            created_at: summary.created_at.micros(),
            last_activity: summary.last_activity.micros(),
            summary: serde_json::to_string(summary)?,
            tags: summary.tags.clone(),
            parent: summary.parent.as_ref().map(|parent| parent.session_id),
            waiting: summary.waiting > 0,
        })
    }
}
