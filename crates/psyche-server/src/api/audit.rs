//! The audit trail and what it says of addresses, for admins.

use axum::extract::{Path, State};
use psyche_core::audit::{AuditRow, AuditType, Outcome, Problem, Severity};
use psyche_core::port::AuditFilter;
use psyche_core::{SessionId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::alerts::{self, Alert};
use crate::app::{App, Shared};
use crate::blocks;
use crate::context::Context;
use crate::error::{Answer, ApiError};
use crate::json::{Json, Query, SmallJson};
use crate::list::{self, List};
use crate::schema;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Rows after this one, or before it when the newest come first; `cursor` means the same.
    after: Option<u64>,
    cursor: Option<u64>,
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
    #[param(value_type = Option<schema::AuditOrder>)]
    order: Option<Order>,
    /// Types, comma-separated.
    event_type: Option<String>,
    user_id: Option<String>,
    #[param(value_type = Option<schema::Severity>)]
    severity: Option<Severity>,
    /// RFC 3339; from this moment on.
    #[param(value_type = Option<String>)]
    start_time: Option<Timestamp>,
    /// RFC 3339; up to this moment.
    #[param(value_type = Option<String>)]
    end_time: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Oldest,
    Newest,
}

/// A row as admins see it.
#[derive(Serialize)]
pub struct AuditView {
    pub seq: u64,
    event_id: String,
    event_type: AuditType,
    severity: Severity,
    timestamp: Timestamp,
    user_id: Option<UserId>,
    /// `[erased]` once the person is.
    username: Option<String>,
    session_id: Option<SessionId>,
    ip_address: Option<String>,
    request_id: String,
    outcome: Outcome,
    details: Value,
}

impl AuditView {
    pub fn without_address(mut self) -> Self {
        self.ip_address = None;
        self
    }
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        let erased = row.personal.is_none();
        let personal = row.personal.unwrap_or_default();
        Self {
            seq: row.seq,
            event_id: row.event_id.to_string(),
            event_type: row.event_type,
            severity: row.severity,
            timestamp: row.at,
            user_id: row.user_id,
            username: if erased { Some(psyche_core::words::ERASED.to_owned()) } else { personal.username },
            session_id: row.session_id,
            ip_address: personal.ip_address,
            request_id: row.request_id,
            outcome: row.outcome,
            details: row.details,
        }
    }
}

/// The audit trail, oldest first unless asked otherwise.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "security", params(AuditQuery),
    responses((status = 200, body = List<schema::Audit>))
)]
pub async fn rows(State(app): State<Shared>, query: Query<AuditQuery>) -> Answer<Json<List<AuditView>>> {
    let AuditQuery { after, cursor, limit, order, event_type, user_id, severity, start_time, end_time } = query.0;
    let limit = list::limit(limit)?;
    let types = event_type.iter().flat_map(|names| names.split(','));
    let known =
        |name: &str| AuditType::of(name).ok_or_else(|| ApiError::invalid("event_type", "is not a type of event"));
    let user_id = user_id.map(|id| id.parse().map_err(|_| ApiError::invalid("user_id", "is not an id"))).transpose()?;
    let filter = AuditFilter {
        from: cursor.or(after),
        newest_first: order == Some(Order::Newest),
        event_types: types.map(known).collect::<Answer<_>>()?,
        severity,
        user_id,
        session_id: None,
        start: start_time,
        end: end_time,
    };
    Ok(Json(page(&app, filter, limit).await?))
}

/// A page of rows as something shows them. One more than it may hold tells that there is a next one.
async fn page<T: From<AuditRow>>(app: &App, filter: AuditFilter, limit: usize) -> Answer<List<T>> {
    let mut found = app.ports.audit.rows(TenantId::DEFAULT, filter, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|row| row.seq.to_string());
    Ok(List { items: found.into_iter().map(T::from).collect(), next_cursor })
}

#[derive(Serialize)]
pub struct Check {
    whole: bool,
    rows: u64,
    first_seq: u64,
    last_seq: u64,
    checkpoint: Option<CheckpointView>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct CheckpointView {
    seq: u64,
    timestamp: Timestamp,
}

/// Walks the whole trail: was a row changed, removed, moved, or the end cut off?
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "security", responses((status = 200, body = schema::AuditCheck)))]
pub async fn verify(State(app): State<Shared>) -> Answer<SmallJson<Check>> {
    let check = app.ports.audit.verify().await?;
    Ok(Json(Check {
        whole: check.problems.is_empty(),
        rows: check.rows,
        first_seq: check.first_seq,
        last_seq: check.last_seq,
        checkpoint: check.checkpoint.map(|(seq, timestamp)| CheckpointView { seq, timestamp }),
        problems: check.problems,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// 1 to 200, 50 when absent.
    limit: Option<i64>,
    cursor: Option<u64>,
}

/// What somebody should look at, newest first.
#[utoipa::path(
    get, path = "/api/v1/security/alerts", tag = "security", params(AlertQuery),
    responses((status = 200, body = List<schema::Alert>))
)]
pub async fn alerts(State(app): State<Shared>, query: Query<AlertQuery>) -> Answer<Json<List<Alert>>> {
    let limit = list::limit(query.0.limit)?;
    let filter = AuditFilter {
        from: query.0.cursor,
        newest_first: true,
        event_types: alerts::TYPES.to_vec(),
        ..AuditFilter::default()
    };
    Ok(Json(page(&app, filter, limit).await?))
}

#[derive(Serialize, ToSchema)]
pub struct BlockedAddress {
    /// An IPv4 address, or the first one of an IPv6 /64.
    ip: String,
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    blocked_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// How often it has been blocked.
    times: u32,
}

/// Addresses that are blocked now.
#[utoipa::path(
    get, path = "/api/v1/security/blocked-ips", tag = "security", responses((status = 200, body = List<BlockedAddress>))
)]
pub async fn blocked(State(app): State<Shared>) -> Answer<SmallJson<List<BlockedAddress>>> {
    let now = app.ports.clock.now();
    let stored = app.ports.directory.blocks(TenantId::DEFAULT).await?;
    let items = stored.into_iter().filter(|block| block.until > now).map(|block| BlockedAddress {
        ip: block.address,
        reason: block.reason,
        blocked_at: block.blocked_at,
        until: block.until,
        times: block.times,
    });
    Ok(Json(List::whole(items.collect())))
}

/// Lets an address in again.
#[utoipa::path(
    delete, path = "/api/v1/security/blocked-ips/{ip}", tag = "security", params(("ip" = String, Path)),
    responses((status = 200, body = schema::Done))
)]
pub async fn unblock(
    State(app): State<Shared>,
    context: Context,
    caller: crate::accounts::Caller,
    Path(ip): Path<String>,
) -> Answer<SmallJson<Value>> {
    let address: std::net::IpAddr = ip.parse().map_err(|_| ApiError::not_found())?;
    let details = json!({"message": "An address was let in again."});
    let row = psyche_core::audit::AuditDraft {
        details,
        ..caller.row(&app, &context, AuditType::ConfigChanged, Outcome::Success)
    };
    let address = crate::client::bucket(address).to_string();
    app.directory_with(vec![row]).lift_block(TenantId::DEFAULT, &address).await?;
    blocks::reload(&app).await?;
    Ok(Json(json!({"status": "success", "message": "The address is let in again"})))
}
