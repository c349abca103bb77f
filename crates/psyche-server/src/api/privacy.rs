//! What belongs to a person: to take along, and to have erased.

use std::io::{Cursor, Write as _};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use psyche_core::audit::{AuditDraft, AuditType, Outcome, Personal};
use psyche_core::event::{Event, Payload};
use psyche_core::port::{
    AuditFilter, Relation, SessionFilter, SessionSummary, StoreError, User, UserPatch, UserStatus, for_each_session,
};
use psyche_core::record::Record;
use psyche_core::session::Relate;
use psyche_core::words::Subject;
use psyche_core::{TenantId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use zip::write::SimpleFileOptions;

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, SmallJson};
use crate::schema;

use super::account::{Profile, device_views, proved};
use super::audit::AuditView;
use super::exports;

/// Records read at once.
const CHUNK: usize = 500;
/// Rows of the audit trail at most.
const ROWS: usize = 100_000;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    password: String,
    /// Where a second factor is set up.
    #[serde(default)]
    otp: Option<String>,
}

/// One's own data: profile, sign-ins, sessions, words and commands, and what the audit trail says of oneself. What
/// others said is left out.
#[utoipa::path(
    post, path = "/api/v1/auth/export", tag = "identity", request_body = Proof,
    responses((status = 200, description = "A zip archive of JSON files.", content_type = "application/zip", body = Vec<u8>))
)]
pub async fn export(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<Proof>,
) -> Answer<Response> {
    let user = proved(&app, &context, &caller, body.0.password, body.0.otp, "password").await?;
    let row = caller.row(&app, &context, AuditType::DataExported, Outcome::Success);
    exports::counted(&app, &context, &caller, row).await?;
    let archive = archive(&app, user).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"psyche-my-data.zip\"")),
    ];
    Ok((headers, archive).into_response())
}

async fn archive(app: &App, user: User) -> Answer<Vec<u8>> {
    let id = user.user_id;
    let filter = AuditFilter { user_id: Some(id), ..AuditFilter::default() };
    let audit = app.ports.audit.rows(TenantId::DEFAULT, filter, ROWS).await?;
    let audit: Vec<_> = audit.into_iter().map(AuditView::from).collect();
    let devices = device_views(app, id, None).await?;
    let sessions = sessions(app, SessionFilter { visible_to: Some(id), ..SessionFilter::default() }).await?;
    let mut words = Vec::new();
    for session in &sessions {
        own_events(app, session, id, &mut words).await?;
    }
    let owned: Vec<_> = sessions.into_iter().filter(|session| session.owner == id).collect();
    let files = [
        ("profile.json", serde_json::to_value(Profile::of(app, user).await?)),
        ("sign-ins.json", serde_json::to_value(devices)),
        ("sessions.json", serde_json::to_value(owned)),
        ("words-and-commands.json", serde_json::to_value(words)),
        ("audit.json", serde_json::to_value(audit)),
    ];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, value) in files {
        let text = serde_json::to_vec_pretty(&value.map_err(ApiError::internal)?).map_err(ApiError::internal)?;
        zip.start_file(name, SimpleFileOptions::default()).map_err(ApiError::internal)?;
        zip.write_all(&text).map_err(ApiError::internal)?;
    }
    Ok(zip.finish().map_err(ApiError::internal)?.into_inner())
}

async fn sessions(app: &App, filter: SessionFilter) -> Answer<Vec<SessionSummary>> {
    let mut all = Vec::new();
    for_each_session(app.ports.directory.as_ref(), TenantId::DEFAULT, filter, |session| all.push(session)).await?;
    Ok(all)
}

/// What a person did and said in a session.
async fn own_events(app: &App, session: &SessionSummary, user: UserId, found: &mut Vec<Value>) -> Answer<()> {
    let mut after = 0;
    loop {
        let records = app.ports.log.read(session.session_id, after, CHUNK).await?;
        let Some(last) = records.last().map(|record| record.seq) else { return Ok(()) };
        after = last;
        found.extend(records.into_iter().filter_map(|record| own_event(session, user, &record)));
    }
}

fn own_event(session: &SessionSummary, user: UserId, record: &Record) -> Option<Value> {
    let texts: serde_json::Map<String, Value> = record
        .texts
        .iter()
        .filter(|text| text.subject == Subject::User(user))
        .map(|text| (text.field.clone(), json!(text.text.as_deref().unwrap_or(psyche_core::words::ERASED))))
        .collect();
    let event = Event::decode(record).ok()?;
    let command = match &event.payload {
        Payload::CommandReceived(command) if command.actor == user.to_string() => Some(json!(command.command)),
        _ => None,
    };
    (command.is_some() || !texts.is_empty()).then(|| {
        json!({
            "session_id": session.session_id, "seq": record.seq, "timestamp": record.at, "type": record.kind,
            "command": command, "words": texts,
        })
    })
}

/// Erases one's account: profile, sign-ins, sessions nobody shares, and one's words everywhere. What agents said stays.
#[utoipa::path(
    post, path = "/api/v1/auth/erase", tag = "identity", request_body = Proof,
    responses((status = 200, body = schema::Done), (status = 409, description = "The last active admin stays."))
)]
pub async fn erase(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    body: SmallJson<Proof>,
) -> Answer<SmallJson<Value>> {
    let user = proved(&app, &context, &caller, body.0.password, body.0.otp, "password").await?;
    erase_user(&app, &context, caller.user_id, user.user_id).await?;
    Ok(Json(json!({"status": "success", "message": "Your account and your words are erased"})))
}

/// Erases somebody. First nobody can sign in as them any more, then their words go, then the account: after a crash in
/// between an admin can erase what is left.
pub async fn erase_user(app: &App, context: &Context, by: UserId, id: UserId) -> Answer<()> {
    let owned = sessions(app, SessionFilter { owner: Some(id), ..SessionFilter::default() }).await?;
    let row = AuditDraft {
        user_id: Some(id),
        personal: Personal::default(),
        details: json!({"by": by}),
        ..context.row(app, AuditType::DataErased, Outcome::Success)
    };
    let disabled = UserPatch { status: Some(UserStatus::Disabled), ..UserPatch::default() };
    match app.directory_with(vec![row]).update_user(id, disabled).await {
        Err(StoreError::Conflict("last admin")) => {
            return Err(ApiError::conflict(
                "The last active admin cannot be erased; make somebody else an admin first.",
            ));
        }
        other => drop(other?),
    }
    app.accounts.changed(id);
    leave_all(app, by, id).await?;
    for session in owned {
        let shared = app.ports.directory.members(session.session_id).await?.iter().any(|(member, _)| *member != id);
        if !shared {
            app.ports.engine.delete(session.session_id).await?;
        }
    }
    app.ports.engine.erase(None, Subject::User(id)).await?;
    Ok(app.ports.directory.delete_user(id).await?)
}

/// The logs of others' sessions say that somebody belongs to them no more. The name goes with the person's other words.
async fn leave_all(app: &App, by: UserId, id: UserId) -> Answer<()> {
    let Some(user) = app.ports.directory.user(id).await? else { return Ok(()) };
    for session in sessions(app, SessionFilter { visible_to: Some(id), ..SessionFilter::default() }).await? {
        if session.owner != id {
            let username = user.username.clone();
            let relate = Relate { user_id: id, username, relation: Relation::None, by };
            if let Err(error) = app.ports.engine.relate(session.session_id, relate).await {
                // A log that cannot be written must not keep anybody's words from being erased.
                tracing::warn!(session = %session.session_id, %error, "the log does not say that somebody left");
            }
        }
    }
    Ok(())
}
