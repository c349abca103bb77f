//! Who is asking, and whether they may: the guard in front of every route, and the narrow values handlers receive.

use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use psyche_core::permission::{Permission, Verdict, verdict};
use psyche_core::port::{Relation, SessionRow};
use psyche_core::session::{Action, SessionType, UserCommand};
use psyche_core::{CommandId, SessionId, TenantId};

use crate::accounts::{Caller, Standing};
use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};
use crate::idempotency;
use crate::tokens::Claims;

/// What the guard found, for the handler's extractors.
#[derive(Clone)]
struct Grant {
    permission: Permission,
    caller: Caller,
    session: Option<Arc<SessionAccess>>,
}

/// A session somebody was let in to.
pub struct SessionAccess {
    app: Shared,
    pub row: Arc<SessionRow>,
    pub relation: Relation,
    pub caller: Caller,
}

/// Runs in front of every route that is not public.
pub async fn guard(permission: Permission, mut request: Request, next: Next) -> Response {
    if permission == Permission::Public {
        return next.run(request).await;
    }
    let Some(app) = request.extensions().get::<Shared>().cloned() else {
        return ApiError::internal("the guard runs outside the envelope").into_response();
    };
    let grant = match admit(&app, permission, &mut request).await {
        Ok(grant) => grant,
        Err(error) => return error.into_response(),
    };
    let caller = grant.caller.user_id;
    request.extensions_mut().insert(grant);
    // Answers about accounts hold secrets, which the key's store must not see.
    let secret = matches!(permission, Permission::OwnAccount | Permission::UserAdmin);
    if request.method() == Method::POST && !secret {
        idempotency::once(&app, caller, request, next).await
    } else {
        next.run(request).await
    }
}

async fn admit(app: &Shared, permission: Permission, request: &mut Request) -> Answer<Grant> {
    let (_, caller) = signed_in(app, bearer(request.headers()).ok_or_else(ApiError::unauthenticated)?).await?;
    if !permission.concerns_a_session() {
        let answer = verdict(Some(caller.role), permission, Relation::None, SessionType::default());
        return match answer {
            Verdict::Allowed | Verdict::AllowedAudited => Ok(Grant { permission, caller, session: None }),
            Verdict::Forbidden | Verdict::Invisible => Err(ApiError::forbidden()),
        };
    }
    let params = request.extract_parts::<RawPathParams>().await.map_err(|_| ApiError::not_found())?;
    let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| id.parse().ok());
    let session = enter(app, &caller, id.ok_or_else(ApiError::not_found)?, permission).await?;
    Ok(Grant { permission, caller, session: Some(Arc::new(session)) })
}

/// The token of an `Authorization: Bearer` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The person behind an access token, with what they may do now.
pub async fn signed_in(app: &App, token: &str) -> Answer<(Claims, Caller)> {
    let ports = &app.ports;
    let claims = app.keys.verify(token, ports.clock.now()).ok_or_else(ApiError::unauthenticated)?;
    let caller = app.accounts.caller(ports.directory.as_ref(), ports.clock.as_ref(), claims.sid, claims.sub).await?;
    Ok((claims, caller))
}

/// Lets somebody in to a session for one purpose.
pub async fn enter(app: &Shared, caller: &Caller, id: SessionId, permission: Permission) -> Answer<SessionAccess> {
    let directory = &app.ports.directory;
    let row = directory.session(id).await?.ok_or_else(ApiError::not_found)?;
    let relation = directory.relation(id, caller.user_id).await?;
    admit_to(app, caller, (Arc::new(row), relation), permission)
}

/// The same from memory, for sockets, which ask at every message. The row may be old in all but what never changes.
pub async fn enter_again(
    app: &Shared,
    caller: &Caller,
    id: SessionId,
    permission: Permission,
) -> Answer<SessionAccess> {
    let standing = app.accounts.standing(app.ports.directory.as_ref(), id, caller.user_id).await?;
    admit_to(app, caller, standing.ok_or_else(ApiError::not_found)?, permission)
}

fn admit_to(app: &Shared, caller: &Caller, (row, relation): Standing, permission: Permission) -> Answer<SessionAccess> {
    let id = row.summary.session_id;
    if row.tenant != TenantId::DEFAULT {
        return Err(ApiError::not_found());
    }
    match verdict(Some(caller.role), permission, relation, row.summary.session_type) {
        Verdict::Allowed => {}
        Verdict::AllowedAudited => {
            tracing::info!(target: "audit", user_id = %caller.user_id, session_id = %id, ?permission, "an admin without a relation was let in");
        }
        Verdict::Forbidden => return Err(ApiError::forbidden()),
        Verdict::Invisible => return Err(ApiError::not_found()),
    }
    Ok(SessionAccess { app: Arc::clone(app), row, relation, caller: caller.clone() })
}

impl SessionAccess {
    pub fn id(&self) -> SessionId {
        self.row.summary.session_id
    }

    /// Stores a command and has it decided. Private to the values below.
    async fn submit(&self, command_id: Option<String>, action: Action) -> Answer<u64> {
        let id = command_id.unwrap_or_else(|| self.app.ports.clock.uuid().to_string());
        let command = UserCommand { id: CommandId::new(&id), actor: self.caller.user_id, action };
        Ok(self.app.ports.engine.submit(self.id(), command).await?)
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Answer<Self> {
        let grant = parts.extensions.get::<Grant>();
        grant.map(|g| g.caller.clone()).ok_or_else(|| ApiError::internal("a public route asks who is calling"))
    }
}

/// Defines the value a handler receives for one permission. It holds the session, and offers only what was granted.
macro_rules! granted {
    ($(#[$doc:meta])* $name:ident for $permission:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Arc<SessionAccess>);

        impl $name {
            pub const PERMISSION: Permission = Permission::$permission;
        }

        impl FromRequestParts<Shared> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Answer<Self> {
                let grant = parts.extensions.get::<Grant>().filter(|g| g.permission == Self::PERMISSION);
                let session = grant.and_then(|g| g.session.clone());
                session.map(Self).ok_or_else(|| ApiError::internal(concat!(stringify!($name), " on a route of another permission")))
            }
        }
    };
}

granted!(
    /// May read a session.
    Reader for SessionRead
);
granted!(
    /// May command a session.
    Controller for SessionControl
);
granted!(
    /// May annotate a session.
    Annotator for SessionAnnotate
);
granted!(
    /// May change a session's settings, agents and paths.
    Configurer for SessionConfigure
);
granted!(
    /// May change who belongs to a session.
    Sharer for SessionShare
);
granted!(
    /// May delete a session.
    Deleter for SessionDelete
);

impl Reader {
    pub fn access(&self) -> &SessionAccess {
        &self.0
    }
}

impl Controller {
    /// For sockets, which ask [`enter`] themselves.
    pub async fn enter(app: &Shared, caller: &Caller, id: SessionId) -> Answer<Self> {
        Ok(Self(Arc::new(enter_again(app, caller, id, Self::PERMISSION).await?)))
    }

    pub async fn control(&self, command_id: Option<String>, action: Action) -> Answer<u64> {
        match action {
            Action::ChangeSettings(_) | Action::ChangeAgent(_) | Action::ChangePaths(_) | Action::Annotate(_) => {
                Err(ApiError::internal("a controller was asked to configure"))
            }
            action => self.0.submit(command_id, action).await,
        }
    }
}

impl Annotator {
    /// For sockets, which ask [`enter`] themselves.
    pub async fn enter(app: &Shared, caller: &Caller, id: SessionId) -> Answer<Self> {
        Ok(Self(Arc::new(enter_again(app, caller, id, Self::PERMISSION).await?)))
    }

    pub async fn annotate(&self, command_id: Option<String>, args: psyche_core::session::AnnotateArgs) -> Answer<u64> {
        self.0.submit(command_id, Action::Annotate(args)).await
    }
}

impl Configurer {
    pub async fn settings(&self, settings: psyche_core::session::Settings) -> Answer<u64> {
        self.0.submit(None, Action::ChangeSettings(settings)).await
    }

    pub async fn agent(&self, change: psyche_core::session::AgentChange) -> Answer<u64> {
        self.0.submit(None, Action::ChangeAgent(change)).await
    }

    pub async fn paths(&self, paths: psyche_core::session::PathsArgs) -> Answer<u64> {
        self.0.submit(None, Action::ChangePaths(paths)).await
    }

    pub fn access(&self) -> &SessionAccess {
        &self.0
    }
}

impl Sharer {
    pub fn owner(&self) -> psyche_core::UserId {
        self.0.row.summary.owner
    }

    pub async fn relate(&self, user: psyche_core::UserId, relation: Relation) -> Answer<()> {
        self.0.app.ports.directory.set_relation(self.0.id(), user, relation).await?;
        self.0.app.accounts.changed(user);
        Ok(())
    }
}

impl Deleter {
    pub async fn delete(&self) -> Answer<()> {
        Ok(self.0.app.ports.engine.delete(self.0.id()).await?)
    }
}
