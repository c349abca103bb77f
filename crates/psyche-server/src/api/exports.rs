//! A session as a file, and back from one.

use std::io::{Error as IoError, ErrorKind as IoKind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream;
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{NewSession, Relation, SessionRow};
use psyche_core::words::Salts;
use psyche_core::{SessionId, TenantId};
use psyche_lab::export::{Export, ExportError, Fault, Import, Importer, Lines, Options};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use utoipa::IntoParams;

use crate::access::Exporter;
use crate::accounts::Caller;
use crate::alerts;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::envelope::too_often;
use crate::error::{Answer, ApiError, Detail, ErrorKind};
use crate::json::{Json, Query, media_type};
use crate::schema;

use super::views::SessionView;

/// Events of the answer.
const EVENTS: HeaderName = HeaderName::from_static("x-export-events");
/// Utterances of a preview at most: no more than a page of the conversation.
const PREVIEW: u64 = 50;
/// Pieces that wait for a slow client.
const PIECES: usize = 4;
/// The whole of an import must arrive within this.
pub const ARRIVAL: Duration = Duration::from_mins(5);
pub const IMPORT: &str = "/api/v1/sessions/import";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    #[param(value_type = schema::ExportFormat)]
    format: String,
    /// First event; 1 when absent.
    from: Option<u64>,
    /// Last event; the newest when absent.
    to: Option<u64>,
    /// What to leave out, comma-separated: `words` (what people wrote, and quotations of it), `names` (who they are; not
    /// of jsonl).
    redact: Option<String>,
    /// A look at the first utterances, 1 to 50: shown, not downloaded, and not counted as an export.
    limit: Option<u64>,
}

impl ExportQuery {
    fn options(&self, version: &str) -> Answer<Options> {
        if self.limit.is_some_and(|limit| !(1..=PREVIEW).contains(&limit)) {
            return Err(ApiError::invalid("limit", format!("must be 1 to {PREVIEW}")));
        }
        let redact = self.redact.as_deref().unwrap_or_default();
        Ok(Options {
            format: self.format.parse().map_err(|message: String| ApiError::invalid("format", message))?,
            from: self.from,
            to: self.to,
            redact: redact.parse().map_err(|message: String| ApiError::invalid("redact", message))?,
            limit: self.limit,
            version: version.to_owned(),
        })
    }
}

/// What stands in the headers of an export.
struct Begun {
    file_name: String,
    events: u64,
}

/// A session in one of the formats, as it is now. Its chain is proved first; then it is streamed.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/export", tag = "sessions", params(("id" = String, Path), ExportQuery),
    responses((status = 200, description = "The file. `X-Export-Events` says how many events it tells of.", content(
        (schema::ExportDocument = "application/json"),
        (String = "application/jsonl"),
        (String = "text/csv"),
        (String = "text/markdown"),
        (String = "text/html"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/pdf"),
    )))
)]
pub async fn export(
    State(app): State<Shared>,
    context: Context,
    exporter: Exporter,
    query: Query<ExportQuery>,
) -> Answer<Response> {
    let options = query.0.options(&app.options.version)?;
    let (format, preview) = (options.format, options.limit.is_some());
    let access = exporter.access();
    let details = json!({"format": format.name(), "redacted": options.redact.names_of()});
    let row = AuditDraft {
        session_id: Some(access.id()),
        details,
        ..access.caller.row(&app, &context, AuditType::DataExported, Outcome::Success)
    };
    let place = place(&app)?;
    let (begun, pieces) = begin(&app, access.id(), options, place).await?;
    if !preview {
        counted(&app, &context, &access.caller, row).await?;
    }
    let pieces = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(EVENTS, HeaderValue::from(begun.events));
    if !preview {
        let disposition = format!("attachment; filename=\"{}\"", begun.file_name);
        headers.insert(header::CONTENT_DISPOSITION, disposition.parse().map_err(ApiError::internal)?);
    }
    Ok(response)
}

/// Takes from the exports a person has in an hour, and records this one; nothing is given out without.
pub async fn counted(app: &App, context: &Context, caller: &Caller, row: AuditDraft) -> Answer<()> {
    let allowance = app.rates.export(caller.user_id, app.ports.clock.monotonic_ms()).await;
    if let Some(wait) = allowance.wait {
        return Err(too_often(app, context, Some(caller.user_id), wait).await);
    }
    let mut rows = vec![row];
    let rule = ("export_volume", "Somebody exported data several times within an hour.");
    let within = (3, Duration::from_hours(1));
    rows.extend(alerts::burst(app, context, (caller.user_id, &caller.username), rule, within).await?);
    app.record(rows).await
}

/// One of the places for exports and imports; free again when the last copy is dropped.
pub type Place = Arc<OwnedSemaphorePermit>;

pub fn place(app: &App) -> Answer<Place> {
    Arc::clone(&app.exports).try_acquire_owned().map(Arc::new).map_err(|_| {
        let message = "Others export or import at this moment; try again in a while.";
        ApiError { retry_after_s: Some(5), ..ApiError::new(ErrorKind::Unavailable, message) }
    })
}

type Pieces = mpsc::Receiver<Result<Bytes, IoError>>;

/// Starts an export on a thread of its own: hashing and encoding a long log is no work for the threads of requests.
async fn begin(app: &Shared, id: SessionId, options: Options, place: Place) -> Answer<(Begun, Pieces)> {
    let (begun, begins) = oneshot::channel();
    let (piece, pieces) = mpsc::channel(PIECES);
    let (log, stall, leaving) = (Arc::clone(&app.ports.log), app.options.limits.stall, app.leaving.clone());
    let runtime = tokio::runtime::Handle::current();
    app.tracker.spawn_blocking(move || {
        let _place = place;
        runtime.block_on(async {
            let export = match Export::prepare(log.as_ref(), id, options, |_| ()).await {
                Ok(export) => export,
                Err(error) => return drop(begun.send(Err(ApiError::from(error)))),
            };
            let head = Begun { file_name: export.file_name(), events: export.events() };
            if begun.send(Ok(head)).is_err() {
                return;
            }
            let give = async |bytes: Vec<u8>| {
                let given = tokio::select! {
                    given = tokio::time::timeout(stall, piece.send(Ok(bytes.into()))) => given,
                    () = leaving.cancelled() => return Err(IoError::from(IoKind::Interrupted)),
                };
                given.map_err(|_| IoError::from(IoKind::TimedOut))?.map_err(|_| IoError::from(IoKind::BrokenPipe))
            };
            if let Err(error) = export.write(give, |_| ()).await {
                tracing::warn!(session = %id, %error, "an export ended early");
                // The client must not take what it has for the whole.
                let _ = piece.try_send(Err(IoError::other("the export ended early")));
            }
        });
    });
    let begun = begins.await.map_err(|_| ApiError::internal("an export ended before it began"))??;
    Ok((begun, pieces))
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::NotFound => Self::not_found(),
            ExportError::Invalid { field, message } => Self::invalid(field, message),
            ExportError::Store(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

/// Makes a session from a jsonl export: a new id, owned by whoever imports it, the same log. Nothing is kept of a file
/// with a fault.
#[utoipa::path(
    post, path = "/api/v1/sessions/import", tag = "sessions",
    request_body(content = String, content_type = "application/jsonl"),
    responses((status = 201, body = schema::Session))
)]
pub async fn import(
    State(app): State<Shared>,
    context: Context,
    caller: Caller,
    request: Request,
) -> Answer<(StatusCode, Json<SessionView>)> {
    if !matches!(media_type(request.headers()), Some("application/jsonl" | "application/x-ndjson")) {
        let message = "Send `Content-Type: application/jsonl`: a session exported in that format.";
        return Err(ApiError::new(ErrorKind::UnsupportedMediaType, message));
    }
    // Whoever read it for its Idempotency-Key has taken the place already.
    let _place = request.extensions().get::<Place>().cloned().map_or_else(|| place(&app), Ok)?;
    let id = SessionId(app.ports.clock.uuid());
    let read = read(&app, Importer::new(id, caller.user_id), request.into_body());
    let late = |_| ApiError::new(ErrorKind::BadRequest, "The body did not arrive in time.");
    let import = tokio::time::timeout(ARRIVAL, read).await.map_err(late)??;
    let Import { records, summary, added, origin } = import;
    let details = json!({
        "imported": origin, "events": summary.seq, "added": added, "log_hash": records.last().map(|r| r.hash),
    });
    let row = AuditDraft {
        session_id: Some(id),
        details,
        ..caller.row(&app, &context, AuditType::SessionCreated, Outcome::Success)
    };
    app.record(vec![row]).await?;
    app.ports.engine.take_in(NewSession { row: SessionRow { tenant: TenantId::DEFAULT, summary }, records }).await?;
    // Words of people who were erased here are gone again.
    let row = app.ports.directory.session(id).await?.ok_or_else(ApiError::not_found)?;
    Ok((StatusCode::CREATED, Json(SessionView::new(row.summary, Relation::Owner))))
}

/// Takes the body line by line as it comes. Checking is no work for the threads of requests.
async fn read(app: &App, mut importer: Importer, body: Body) -> Answer<Import> {
    let (chunk, mut arrived) = mpsc::channel::<Bytes>(PIECES);
    let (now, salts) = (app.ports.clock.now(), Salts::fresh(app.ports.clock.entropy()));
    let checked = app.tracker.spawn_blocking(move || {
        let mut lines = Lines::default();
        while let Some(bytes) = arrived.blocking_recv() {
            lines.feed(&bytes, &mut |line| importer.line(line))?;
        }
        lines.end(&mut |line| importer.line(line))?;
        importer.finish(now, salts)
    });
    let most = app.options.limits.import_bytes;
    let (mut chunks, mut taken) = (body.into_data_stream(), 0_usize);
    while let Some(bytes) = chunks.next().await {
        let bytes =
            bytes.map_err(|_| ApiError::new(ErrorKind::BadRequest, "The body could not be read to its end."))?;
        taken += bytes.len();
        if taken > most {
            let message = format!("The body has more than {most} bytes; larger ones take `psyche import`.");
            return Err(ApiError::new(ErrorKind::PayloadTooLarge, message));
        }
        // Nobody takes more once there is a fault.
        if chunk.send(bytes).await.is_err() {
            break;
        }
    }
    drop(chunk);
    checked.await.map_err(ApiError::internal)?.map_err(refused)
}

fn refused(fault: Fault) -> ApiError {
    let line = usize::try_from(fault.line).ok();
    ApiError::invalid_fields(vec![Detail { field: "file".to_owned(), message: fault.message, line }])
}

#[cfg(test)]
mod tests {
    use psyche_lab::export::Format;

    use super::*;

    #[test]
    fn the_document_names_every_format() {
        let written = serde_json::to_value(schema::ExportFormat::ALL).unwrap();
        assert_eq!(written, json!(Format::ALL.map(Format::name)));
    }
}
