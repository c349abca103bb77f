//! Who is asking, and whether they may: the guard in front of every route, and the narrow values handlers receive.

use std::sync::Arc;
use std::time::Duration;

use axum::RequestExt;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::measure::judge::Ask;
use psyche_core::permission::{Permission, Verdict, verdict};
use psyche_core::port::{Relation, SessionRow, SessionSummary, User};
use psyche_core::session::{Action, InterviewArgs, Relate, SessionType, UserCommand};
use psyche_core::{CommandId, SessionId, TenantId};
use psyche_engine::{Answered, ForkDraft, Judged};
use serde_json::json;

use crate::accounts::{Caller, Standing};
use crate::alerts;
use crate::app::{App, Shared};
use crate::context::Context;
use crate::envelope::too_often;
use crate::error::{Answer, ApiError, ErrorKind};
use crate::idempotency;
use crate::limits::Allowance;
use crate::rates::Class;
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
    let Some(context) = request.extensions().get::<Context>().cloned() else {
        return ApiError::internal("the guard runs outside the envelope").into_response();
    };
    let (grant, allowance) = match admit(&app, &context, permission, &mut request).await {
        Ok(granted) => granted,
        Err(error) => return error.into_response(),
    };
    let caller = grant.caller.user_id;
    request.extensions_mut().insert(grant);
    // Answers about accounts hold secrets, which the key's store must not see.
    let secret = matches!(permission, Permission::OwnAccount | Permission::UserAdmin);
    let mut response = if request.method() == Method::POST && !secret {
        idempotency::once(&app, caller, request, next).await
    } else {
        next.run(request).await
    };
    response.extensions_mut().insert(allowance);
    response
}

async fn admit(
    app: &Shared,
    context: &Context,
    permission: Permission,
    request: &mut Request,
) -> Answer<(Grant, Allowance)> {
    let token = bearer(request.headers()).ok_or_else(ApiError::unauthenticated)?;
    let caller = match signed_in(app, token).await {
        Ok((_, caller)) => caller,
        Err(error) => return Err(not_signed_in(app, context, error).await),
    };
    let allowance = app.rates.user(caller.user_id, app.ports.clock.monotonic_ms()).await;
    if let Some(wait) = allowance.wait {
        return Err(too_often(app, context, Some(caller.user_id), wait).await);
    }
    if !permission.concerns_a_session() {
        enrolled(app, &caller, permission)?;
        if !verdict(Some(caller.role), permission, Relation::None, SessionType::default()).is_allowed() {
            return Err(denied(app, context, &caller, None, permission, ApiError::forbidden()).await);
        }
        return Ok((Grant { permission, caller, session: None }, allowance));
    }
    let params = request.extract_parts::<RawPathParams>().await.map_err(|_| ApiError::not_found())?;
    let id = params.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| id.parse().ok());
    let session = enter(app, context, &caller, id.ok_or_else(ApiError::not_found)?, permission).await?;
    Ok((Grant { permission, caller, session: Some(Arc::new(session)) }, allowance))
}

/// Where a role demands a second factor, only one's own account is open until there is one.
fn enrolled(app: &App, caller: &Caller, permission: Permission) -> Answer<()> {
    let missing = app.options.second_factor_roles.contains(&caller.role) && !caller.has_second_factor;
    if missing && permission != Permission::OwnAccount {
        let message = "Your role needs a second factor. Set it up in your account first.";
        return Err(ApiError::new(ErrorKind::Forbidden, message));
    }
    Ok(())
}

/// Whether somebody may follow the whole system.
pub fn may_monitor(app: &App, caller: &Caller) -> bool {
    let monitor = Permission::SystemMonitor;
    enrolled(app, caller, monitor).is_ok()
        && verdict(Some(caller.role), monitor, Relation::None, SessionType::default()).is_allowed()
}

/// A token that is not good counts as none: the client takes from the anonymous bucket.
async fn not_signed_in(app: &App, context: &Context, error: ApiError) -> ApiError {
    if error.kind != ErrorKind::Unauthenticated {
        return error;
    }
    let allowance = app.rates.arrives(Class::Anonymous, context.address, app.ports.clock.monotonic_ms()).await;
    if let Some(wait) = allowance.and_then(|allowance| allowance.wait) {
        return too_often(app, context, None, wait).await;
    }
    let row = context.row(app, AuditType::InvalidToken, Outcome::Denied);
    app.record_now_and_then("bad-token", context.address, row).await.err().unwrap_or(error)
}

/// Records a refusal; many of them alert.
async fn denied(
    app: &App,
    context: &Context,
    caller: &Caller,
    session: Option<SessionId>,
    permission: Permission,
    error: ApiError,
) -> ApiError {
    let recorded = async {
        let details = json!({"permission": permission});
        let row = AuditDraft {
            session_id: session,
            details,
            ..caller.row(app, context, AuditType::AccessDenied, Outcome::Denied)
        };
        let rule = ("denied_burst", "Somebody asked for many things that are not allowed.");
        let many =
            alerts::burst(app, context, (caller.user_id, &caller.username), rule, (20, Duration::from_mins(5))).await?;
        app.record([row].into_iter().chain(many).collect()).await
    };
    recorded.await.err().unwrap_or(error)
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

/// Lets somebody in to a session for one purpose. What an admin may do only as such is recorded, and so is a refusal.
pub async fn enter(
    app: &Shared,
    context: &Context,
    caller: &Caller,
    id: SessionId,
    permission: Permission,
) -> Answer<SessionAccess> {
    let directory = &app.ports.directory;
    let row = directory.session(id).await?.ok_or_else(ApiError::not_found)?;
    let relation = directory.relation(id, caller.user_id).await?;
    enter_with(app, context, caller, (Arc::new(row), relation), permission).await
}

/// The same for a socket that begins to read. Thousands may come at once, so what is remembered does.
pub async fn enter_to_follow(app: &Shared, context: &Context, caller: &Caller, id: SessionId) -> Answer<SessionAccess> {
    let standing = app.accounts.standing(app.ports.directory.as_ref(), id, caller.user_id).await?;
    let standing = standing.ok_or_else(ApiError::not_found)?;
    enter_with(app, context, caller, standing, Permission::SessionRead).await
}

async fn enter_with(
    app: &Shared,
    context: &Context,
    caller: &Caller,
    standing: Standing,
    permission: Permission,
) -> Answer<SessionAccess> {
    let id = standing.0.summary.session_id;
    let (access, verdict) = match admit_to(app, caller, standing, permission) {
        Ok(admitted) => admitted,
        Err(error) => return Err(denied(app, context, caller, Some(id), permission, error).await),
    };
    if verdict == Verdict::AllowedAudited {
        record_entry(app, context, caller, id, permission).await?;
    }
    Ok(access)
}

/// The same from memory, for sockets, which ask at every message. The row may be old in all but what never changes.
pub async fn enter_again(
    app: &Shared,
    context: &Context,
    caller: &Caller,
    id: SessionId,
    permission: Permission,
) -> Answer<SessionAccess> {
    let standing = app.accounts.standing(app.ports.directory.as_ref(), id, caller.user_id).await?;
    let standing = standing.ok_or_else(ApiError::not_found)?;
    let (access, verdict) = admit_to(app, caller, standing, permission)?;
    // That somebody reads was recorded when the socket was opened.
    if verdict == Verdict::AllowedAudited && permission != Permission::SessionRead {
        record_entry(app, context, caller, id, permission).await?;
    }
    Ok(access)
}

async fn record_entry(
    app: &App,
    context: &Context,
    caller: &Caller,
    id: SessionId,
    permission: Permission,
) -> Answer<()> {
    let details = json!({"permission": permission});
    let row = AuditDraft {
        session_id: Some(id),
        details,
        ..caller.row(app, context, AuditType::AccessGranted, Outcome::Success)
    };
    app.record(vec![row]).await
}

fn admit_to(
    app: &Shared,
    caller: &Caller,
    (row, relation): Standing,
    permission: Permission,
) -> Answer<(SessionAccess, Verdict)> {
    if row.tenant != TenantId::DEFAULT {
        return Err(ApiError::not_found());
    }
    enrolled(app, caller, permission)?;
    let verdict = verdict(Some(caller.role), permission, relation, row.summary.session_type);
    match verdict {
        Verdict::Allowed | Verdict::AllowedAudited => {}
        Verdict::Forbidden => return Err(ApiError::forbidden()),
        Verdict::Invisible => return Err(ApiError::not_found()),
    }
    Ok((SessionAccess { app: Arc::clone(app), row, relation, caller: caller.clone() }, verdict))
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
    /// May go on with a session's past as a session of their own.
    Forker for SessionFork
);
granted!(
    /// May take a session along as a file.
    Exporter for SessionExport
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

impl Forker {
    pub async fn fork(&self, context: &Context, draft: ForkDraft) -> Answer<SessionSummary> {
        let app = &self.0.app;
        let at_seq = draft.at_seq;
        let summary = app.ports.engine.fork(self.0.id(), draft).await?;
        let row = AuditDraft {
            session_id: Some(summary.session_id),
            details: json!({"forked_from": self.0.id(), "at_seq": at_seq}),
            ..self.0.caller.row(app, context, AuditType::SessionCreated, Outcome::Success)
        };
        app.record(vec![row]).await?;
        Ok(summary)
    }
}

impl Exporter {
    pub fn access(&self) -> &SessionAccess {
        &self.0
    }
}

impl Controller {
    pub fn id(&self) -> SessionId {
        self.0.id()
    }

    /// Asks a model about what was said, outside the conversation.
    pub async fn judge(&self, model: Option<&str>, asks: &[Ask]) -> Answer<Judged> {
        let app = &self.0.app;
        tokio::select! {
            judged = app.ports.engine.judge(self.0.id(), model, asks) => Ok(judged?),
            () = app.leaving.cancelled() => Err(ApiError::unavailable("the server is leaving")),
        }
    }

    /// Asks an agent outside the conversation.
    pub async fn interview(&self, args: &InterviewArgs) -> Answer<Answered> {
        let app = &self.0.app;
        tokio::select! {
            answered = app.ports.engine.interview(self.0.id(), &args.agent_id, &args.question) => Ok(answered?),
            () = app.leaving.cancelled() => Err(ApiError::unavailable("the server is leaving")),
        }
    }

    /// For sockets, which ask [`enter`] themselves.
    pub async fn enter(app: &Shared, context: &Context, caller: &Caller, id: SessionId) -> Answer<Self> {
        Ok(Self(Arc::new(enter_again(app, context, caller, id, Self::PERMISSION).await?)))
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
    pub async fn enter(app: &Shared, context: &Context, caller: &Caller, id: SessionId) -> Answer<Self> {
        Ok(Self(Arc::new(enter_again(app, context, caller, id, Self::PERMISSION).await?)))
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
    pub fn access(&self) -> &SessionAccess {
        &self.0
    }

    /// Changes how somebody relates to the session: in the directory, which decides, and then in the session's log. Asked
    /// again after a failure in between, the log catches up.
    pub async fn relate(&self, context: &Context, somebody: &User, relation: Relation) -> Answer<()> {
        let app = &self.0.app;
        let user = somebody.user_id;
        let row = AuditDraft {
            session_id: Some(self.0.id()),
            details: json!({"user_id": user, "relation": relation}),
            ..self.0.caller.row(app, context, AuditType::PermissionChanged, Outcome::Success)
        };
        app.directory_with(vec![row]).set_relation(self.0.id(), user, relation).await?;
        app.accounts.changed(user);
        let username = somebody.username.clone();
        let relate = Relate { user_id: user, username, relation, by: self.0.caller.user_id };
        Ok(app.ports.engine.relate(self.0.id(), relate).await?)
    }
}

impl Deleter {
    pub async fn delete(&self, context: &Context) -> Answer<()> {
        let app = &self.0.app;
        let row = AuditDraft {
            session_id: Some(self.0.id()),
            ..self.0.caller.row(app, context, AuditType::SessionTerminated, Outcome::Success)
        };
        // First: what cannot be recorded is not done.
        app.record(vec![row]).await?;
        let owner = self.0.row.summary.owner;
        if let Some(owner) = app.ports.directory.user(owner).await? {
            let (user_id, username) = (owner.user_id, owner.username);
            let relate = Relate { user_id, username, relation: Relation::None, by: self.0.caller.user_id };
            if let Err(error) = app.ports.engine.relate(self.0.id(), relate).await {
                // A session that cannot be run any more can be deleted all the same.
                tracing::warn!(session = %self.0.id(), %error, "its readers are not told who deletes it");
            }
        }
        app.ports.engine.delete(self.0.id()).await?;
        app.analyses.forget(self.0.id());
        app.histories.forget(self.0.id());
        Ok(())
    }
}
