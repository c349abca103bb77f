//! Casts: the definitions of psyches, as JSON or TOML. The built-in one is read-only.

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use psyche_core::TenantId;
use psyche_core::cast::{Cast, CastError};
use psyche_core::port::{Role, StoreError, StoredCast};

use crate::accounts::Caller;
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError, Detail, ErrorKind};
use crate::json::{API_BODY, Json, media_type, read_body};
use crate::list::List;
use crate::schema;

const TOML: &str = "application/toml";
/// The id of the cast that is part of the program.
pub const BUILT_IN: &str = "jungian";

/// A cast in a body, in either language, not yet checked.
pub struct CastText {
    text: String,
    is_toml: bool,
}

impl FromRequest<Shared> for CastText {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Answer<Self> {
        let is_toml = match media_type(request.headers()) {
            Some("application/json") => false,
            Some(TOML | "text/toml" | "text/x-toml") => true,
            _ => {
                let message = "Send `Content-Type: application/json` or `application/toml`.";
                return Err(ApiError::new(ErrorKind::UnsupportedMediaType, message));
            }
        };
        let bytes: Bytes = read_body(request.into_body(), API_BODY, app.options.limits.body_timeout).await?;
        let text = String::from_utf8(bytes.into());
        let text = text.map_err(|_| ApiError::new(ErrorKind::BadRequest, "The body is not UTF-8."))?;
        if !is_toml {
            // Malformed JSON is 400; what is wrong inside is named by the cast's own checks.
            crate::json::parse::<serde::de::IgnoredAny>(text.as_bytes())?;
        }
        Ok(Self { text, is_toml })
    }
}

impl CastText {
    fn read(&self, app: &App) -> Answer<Cast> {
        let cast = if self.is_toml { Cast::from_toml(&self.text) } else { Cast::from_json(&self.text) };
        let cast = cast.map_err(|errors| faults(errors, ""))?;
        check_size(app, &cast, "agents")?;
        Ok(cast)
    }
}

/// Whether the installation allows a cast of so many agents.
pub fn check_size(app: &App, cast: &Cast, field: &str) -> Answer<()> {
    let (agents, most) = (cast.agents.len(), app.options.limits.agents_per_cast);
    if agents > most {
        return Err(ApiError::invalid(field, format!("has {agents} agents, {most} are allowed here")));
    }
    Ok(())
}

/// A cast's faults as details. `within` is the field that holds the cast, with its dot.
pub fn faults(errors: Vec<CastError>, within: &str) -> ApiError {
    let details = errors.into_iter().map(|error| Detail {
        field: format!("{within}{}", error.field),
        message: error.message,
        line: error.line,
    });
    ApiError::invalid_fields(details.collect())
}

/// All casts: the built-in one first.
#[utoipa::path(get, path = "/api/v1/casts", tag = "casts", responses((status = 200, body = List<schema::Cast>)))]
pub async fn list(State(app): State<Shared>) -> Answer<Json<List<Cast>>> {
    let mut items = vec![Cast::jungian()];
    items.extend(app.ports.directory.casts(TenantId::DEFAULT).await?.into_iter().filter(|c| c.id != BUILT_IN));
    Ok(Json(List::whole(items)))
}

/// One cast; as TOML for `Accept: application/toml`.
#[utoipa::path(
    get, path = "/api/v1/casts/{cast_id}", tag = "casts", params(("cast_id" = String, Path)),
    responses((status = 200, body = schema::Cast))
)]
pub async fn get(State(app): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Answer<Response> {
    let cast = find(&app, &id).await?;
    let wants_toml = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(TOML));
    if wants_toml {
        let text = if id == BUILT_IN {
            psyche_core::cast::JUNGIAN.to_owned()
        } else {
            cast.to_toml().map_err(ApiError::internal)?
        };
        return Ok(([(header::CONTENT_TYPE, TOML)], text).into_response());
    }
    Ok(axum::Json(cast).into_response())
}

/// A built-in or stored cast.
pub async fn find(app: &App, id: &str) -> Answer<Cast> {
    if id == BUILT_IN {
        return Ok(Cast::jungian());
    }
    app.ports.directory.cast(TenantId::DEFAULT, id).await?.ok_or_else(ApiError::not_found)
}

/// Stores a new cast. Owner, version and date are the server's.
#[utoipa::path(
    post, path = "/api/v1/casts", tag = "casts", request_body = schema::CastDraft,
    responses((status = 201, body = schema::Cast), (status = 409, description = "There is a cast with this id already."))
)]
pub async fn create(State(app): State<Shared>, caller: Caller, text: CastText) -> Answer<(StatusCode, Json<Cast>)> {
    let cast = text.read(&app)?;
    if cast.id == BUILT_IN || app.ports.directory.cast(TenantId::DEFAULT, &cast.id).await?.is_some() {
        return Err(ApiError::conflict("There is a cast with this id already."));
    }
    let cast =
        Cast { version: 1, owner: Some(caller.user_id.to_string()), created_at: Some(app.ports.clock.now()), ..cast };
    store(&app, &cast).await?;
    Ok((StatusCode::CREATED, Json(cast)))
}

/// Replaces a cast; its version rises by one.
#[utoipa::path(
    put, path = "/api/v1/casts/{cast_id}", tag = "casts", params(("cast_id" = String, Path)),
    request_body = schema::CastDraft, responses((status = 200, body = schema::Cast))
)]
pub async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    text: CastText,
) -> Answer<Json<Cast>> {
    let before = own(&app, &caller, &id).await?;
    let cast = text.read(&app)?;
    if cast.id != id {
        return Err(ApiError::invalid("id", "must be the id in the path"));
    }
    let cast = Cast { version: before.version + 1, owner: before.owner, created_at: before.created_at, ..cast };
    store(&app, &cast).await?;
    Ok(Json(cast))
}

async fn store(app: &App, cast: &Cast) -> Answer<()> {
    let stored = StoredCast { tenant: TenantId::DEFAULT, cast: cast.clone() };
    match app.ports.directory.put_cast(stored).await {
        Err(StoreError::Conflict(_)) => {
            Err(ApiError::conflict("Somebody else stored this cast meanwhile. Read it again."))
        }
        other => Ok(other?),
    }
}

/// Removes a cast. Sessions keep the one they were created with.
#[utoipa::path(
    delete, path = "/api/v1/casts/{cast_id}", tag = "casts", params(("cast_id" = String, Path)),
    responses((status = 204, description = "Gone."))
)]
pub async fn delete(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Answer<StatusCode> {
    own(&app, &caller, &id).await?;
    app.ports.directory.delete_cast(TenantId::DEFAULT, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A cast that this person may change: their own, or any for an admin, never the built-in one.
async fn own(app: &App, caller: &Caller, id: &str) -> Answer<Cast> {
    let cast = find(app, id).await?;
    let mine = cast.owner.as_deref() == Some(caller.user_id.to_string().as_str());
    if id == BUILT_IN {
        return Err(ApiError::new(
            ErrorKind::Forbidden,
            "The built-in cast is read-only; store a copy under another id.",
        ));
    }
    if mine || caller.role == Role::Admin { Ok(cast) } else { Err(ApiError::forbidden()) }
}
