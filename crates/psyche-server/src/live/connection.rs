//! One socket from its first message to its goodbye. Generic over the socket, so that tests need none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes};
use psyche_core::permission::{Permission, Verdict, verdict};
use psyche_core::port::Relation;
use psyche_core::session::{Action, AnnotateArgs, SessionType};
use psyche_core::{SessionId, Timestamp};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::access::{Annotator, Controller, enter, signed_in};
use crate::accounts::{Caller, Changed};
use crate::api::views;
use crate::app::Shared;
use crate::error::{ApiError, ErrorKind};

use super::budget::Budget;
use super::hub::{Hub, Seat};
use super::messages::{ClientMessage, Interaction, Subscription, Unreadable};
use super::reader::{Reader, Trouble};
use super::wire::{Leave, Socket, Wire, code};

/// What the socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Session(SessionId),
    System,
}

/// What came with the request, before any message.
#[derive(Debug, Default)]
pub struct Entry {
    pub token: Option<String>,
    pub ticket: Option<String>,
    pub subscription: Subscription,
}

/// A flush slower than this means pressure: live frames are left out.
const PRESSED: Duration = Duration::from_millis(250);
const WARN_BEFORE: Duration = Duration::from_mins(1);

struct Conversation<S> {
    app: Shared,
    target: Target,
    wire: Wire<S>,
    budget: Budget,
    caller: Caller,
    expires_at: Timestamp,
    _seat: Seat,
}

pub async fn serve<S: Socket>(app: Shared, socket: S, target: Target, entry: Entry) {
    let limits = &app.options.limits;
    let wire = Wire::new(socket, limits.stall, app.leaving.clone());
    let (wire, leave, cursor) = converse(&app, wire, target, entry).await;
    if let Leave::Bye { code: close, retry_after_ms } = leave {
        if close == code::TOO_SLOW {
            app.metrics.slow_readers_cut.fetch_add(1, Ordering::Relaxed);
        }
        let retry_after_ms = if close == code::RESTARTING { spread(&app) } else { retry_after_ms };
        wire.leave(close, retry_after_ms, cursor).await;
    }
}

/// When to come back after a restart: the server spreads its clients over a window.
fn spread(app: &Shared) -> u64 {
    let window = u64::try_from(app.options.limits.reconnect_window.as_millis()).unwrap_or(u64::MAX).max(1);
    let [a, b, c, d, ..] = app.ports.clock.entropy();
    u64::from(u32::from_be_bytes([a, b, c, d])) % window
}

async fn converse<S: Socket>(
    app: &Shared,
    mut wire: Wire<S>,
    target: Target,
    entry: Entry,
) -> (Wire<S>, Leave, Option<(u32, u64)>) {
    let mut budget = Budget::new(app.options.limits.inbound_per_minute, app.options.limits.inbound_burst);
    let admitted = match authenticate(app, &mut wire, &mut budget, entry).await {
        Ok(admitted) => admitted,
        Err(leave) => return (wire, leave, None),
    };
    let Admitted { caller, expires_at, id, subscription } = admitted;
    let Some(seat) = Hub::seat(app, caller.user_id) else {
        return (wire, Leave::Bye { code: code::OVERLOADED, retry_after_ms: 10_000 }, None);
    };
    let mut talk = Conversation { app: Arc::clone(app), target, wire, budget, caller, expires_at, _seat: seat };
    let mut cursor = None;
    let leave = match talk.run(id, subscription, &mut cursor).await {
        Ok(never) => match never {},
        Err(leave) => leave,
    };
    (talk.wire, leave, cursor)
}

struct Admitted {
    caller: Caller,
    expires_at: Timestamp,
    id: Option<String>,
    subscription: Subscription,
}

/// Nothing of the session is sent before this has succeeded.
async fn authenticate<S: Socket>(
    app: &Shared,
    wire: &mut Wire<S>,
    budget: &mut Budget,
    entry: Entry,
) -> Result<Admitted, Leave> {
    let subscription = entry.subscription;
    if let Some(ticket) = entry.ticket {
        let redeemed = crate::api::tickets::redeem(app, &ticket).await;
        let (caller, expires_at) = redeemed.map_err(|e| refused(&e))?;
        return Ok(Admitted { caller, expires_at, id: None, subscription });
    }
    if let Some(token) = entry.token {
        let (claims, caller) = signed_in(app, &token).await.map_err(|e| refused(&e))?;
        return Ok(Admitted { caller, expires_at: claims.expires_at(), id: None, subscription });
    }
    let first = async {
        loop {
            match wire.next().await? {
                Message::Text(text) => return Ok(text),
                Message::Binary(_) => return Err(Leave::bye(code::POLICY)),
                _ if budget.take() => {}
                _ => return Err(Leave::bye(code::TOO_MANY_MESSAGES)),
            }
        }
    };
    let text = tokio::select! {
        first = tokio::time::timeout(app.options.limits.auth_timeout, first) => {
            first.map_err(|_| Leave::bye(code::AUTH_TIMEOUT))??
        }
        () = app.leaving.cancelled() => return Err(Leave::bye(code::RESTARTING)),
    };
    if text.len() > app.options.limits.inbound_bytes {
        return Err(Leave::bye(code::TOO_BIG));
    }
    let Ok(ClientMessage::Auth { id, token, subscribe }) = ClientMessage::parse(&text) else {
        return Err(Leave::bye(code::UNAUTHENTICATED));
    };
    let (claims, caller) = signed_in(app, &token).await.map_err(|e| refused(&e))?;
    Ok(Admitted { caller, expires_at: claims.expires_at(), id, subscription: subscribe.unwrap_or(subscription) })
}

/// The close that says what an answer would have said.
fn refused(error: &ApiError) -> Leave {
    match error.kind {
        ErrorKind::NotFound => Leave::bye(code::NO_SUCH_SESSION),
        ErrorKind::Forbidden => Leave::bye(code::FORBIDDEN),
        ErrorKind::Unauthenticated => Leave::bye(code::UNAUTHENTICATED),
        _ => Leave::Bye { code: code::OVERLOADED, retry_after_ms: 1_000 },
    }
}

fn troubled(trouble: &Trouble) -> Leave {
    match trouble {
        Trouble::Missing => Leave::bye(code::NO_SUCH_SESSION),
        Trouble::Invalid(_) => Leave::bye(code::POLICY),
        Trouble::Unavailable => Leave::Bye { code: code::OVERLOADED, retry_after_ms: 1_000 },
    }
}

/// The moments at which a conversation does something of its own accord.
struct Timers {
    ping: Instant,
    recheck: Instant,
    warn: Option<Instant>,
    expire: Instant,
}

impl Timers {
    fn next(&self) -> Instant {
        self.ping.min(self.recheck).min(self.expire).min(self.warn.unwrap_or(self.expire))
    }
}

enum Never {}

impl<S: Socket> Conversation<S> {
    async fn run(
        &mut self,
        id: Option<String>,
        wish: Subscription,
        cursor: &mut Option<(u32, u64)>,
    ) -> Result<Never, Leave> {
        // Listening before the rights are looked at: a change in between is not missed.
        let mut changes = self.app.accounts.changes();
        let relation = self.check_rights().await?;
        let user = views::SignedInUser::of(&self.caller);
        let mut hello = json!({"type": "auth_ok", "user": user, "expires_at": self.expires_at});
        echo(&mut hello, id.as_deref());
        self.wire.send_json(&hello).await?;

        let mut reader = match self.target {
            Target::System => Reader::of_system(&self.app),
            Target::Session(session) => {
                let member = Hub::join(&self.app, session, &self.caller, relation);
                match Reader::of_session(&self.app, member, wish).await {
                    Ok((reader, first)) => {
                        self.write(first).await?;
                        reader
                    }
                    Err(trouble) => return Err(self.tell_trouble(trouble, None).await),
                }
            }
        };
        let outcome = self.follow(&mut reader, &mut changes).await;
        *cursor = reader.cursor();
        outcome
    }

    async fn follow(
        &mut self,
        reader: &mut Reader,
        changes: &mut broadcast::Receiver<Changed>,
    ) -> Result<Never, Leave> {
        let limits = self.app.options.limits.clone();
        let mut timers = self.timers();
        let mut pressed = false;
        loop {
            let batch = reader.batch(pressed).await.map_err(|t| troubled(&t))?;
            let more = !batch.is_empty();
            if more {
                let began = Instant::now();
                self.write(batch).await?;
                pressed = began.elapsed() > PRESSED;
            }
            tokio::select! {
                biased;
                () = self.app.leaving.cancelled() => return Err(Leave::bye(code::RESTARTING)),
                change = changes.recv() => {
                    let ours = match change {
                        Ok(change) => change.user_id == self.caller.user_id,
                        Err(_) => true,
                    };
                    if ours {
                        self.recheck().await?;
                    }
                }
                () = tokio::time::sleep_until(timers.next()) => {
                    let now = Instant::now();
                    if now >= timers.expire {
                        return Err(Leave::bye(code::UNAUTHENTICATED));
                    }
                    if timers.warn.is_some_and(|at| now >= at) {
                        timers.warn = None;
                        self.wire.send_json(&json!({"type": "auth_required", "expires_at": self.expires_at})).await?;
                    }
                    if now >= timers.recheck {
                        timers.recheck = now + limits.recheck_every;
                        self.recheck().await?;
                    }
                    if now >= timers.ping {
                        timers.ping = now + limits.ping_every;
                        self.wire.send(vec![Message::Ping(bytes::Bytes::new())]).await?;
                    }
                }
                message = self.wire.next() => {
                    if self.heard(message?, reader).await? {
                        timers = self.timers();
                    }
                }
                () = std::future::ready(()), if more => {}
                () = reader.changed() => {}
            }
        }
    }

    fn timers(&self) -> Timers {
        let now = Instant::now();
        let left = (self.expires_at.micros() - self.app.ports.clock.now().micros()).max(0);
        let expire = now + Duration::from_micros(left as u64);
        let limits = &self.app.options.limits;
        Timers {
            ping: now + limits.ping_every,
            recheck: now + limits.recheck_every,
            warn: Some(expire.checked_sub(WARN_BEFORE).unwrap_or(now)),
            expire,
        }
    }

    async fn write(&mut self, batch: Vec<Utf8Bytes>) -> Result<(), Leave> {
        self.app.metrics.frames_sent.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.wire.send(batch.into_iter().map(Message::Text).collect()).await
    }

    /// Takes one message. True when the token was renewed.
    async fn heard(&mut self, message: Message, reader: &mut Reader) -> Result<bool, Leave> {
        let text = match message {
            Message::Pong(_) => return Ok(false),
            _ if !self.budget.take() => return Err(Leave::bye(code::TOO_MANY_MESSAGES)),
            Message::Text(text) => text,
            // The library answers pings.
            Message::Ping(_) => return Ok(false),
            Message::Binary(_) | Message::Close(_) => return Err(Leave::bye(code::POLICY)),
        };
        if text.len() > self.app.options.limits.inbound_bytes {
            return Err(Leave::bye(code::TOO_BIG));
        }
        let message = match ClientMessage::parse(&text) {
            Ok(message) => message,
            Err((id, why)) => {
                let (kind, words) = match why {
                    Unreadable::NotJson => (ErrorKind::BadRequest, "The message is not JSON."),
                    Unreadable::NotAMessage => (ErrorKind::Invalid, "This is not a message of psyche.v1."),
                };
                self.tell_error(id.as_deref(), &ApiError::new(kind, words)).await?;
                return Ok(false);
            }
        };
        if let ClientMessage::Auth { id, token, .. } = &message {
            self.renew(id.as_deref(), token).await?;
            return Ok(true);
        }
        let id = message.id().map(str::to_owned);
        match self.obey(message, reader).await {
            Ok(Some(mut reply)) => {
                echo(&mut reply, id.as_deref());
                self.wire.send_json(&reply).await?;
            }
            Ok(None) => {}
            Err(Obstacle::Leave(leave)) => return Err(leave),
            Err(Obstacle::Error(error)) => self.tell_error(id.as_deref(), &error).await?,
        }
        Ok(false)
    }

    async fn obey(&mut self, message: ClientMessage, reader: &mut Reader) -> Result<Option<Value>, Obstacle> {
        let permission = message.permission();
        let target = self.target;
        let session = || match target {
            Target::Session(session) => Ok(session),
            Target::System => Err(ApiError::new(ErrorKind::Invalid, "This socket belongs to no session.")),
        };
        match message {
            ClientMessage::Ping { .. } => Ok(Some(json!({"type": "pong"}))),
            // Handled by the caller, who also keeps the timers.
            ClientMessage::Auth { .. } => Ok(None),
            ClientMessage::Subscribe { events, cursor, deltas, .. } => {
                enter(&self.app, &self.caller, session()?, permission).await?;
                match reader.subscribe(Subscription { events, cursor, deltas }).await {
                    Ok(first) => self.write(first).await?,
                    Err(Trouble::Invalid(why)) => return Err(ApiError::new(ErrorKind::Invalid, why).into()),
                    Err(trouble) => return Err(Obstacle::Leave(troubled(&trouble))),
                }
                Ok(None)
            }
            ClientMessage::AgentCommand { id, command, args } => {
                let controller = Controller::enter(&self.app, &self.caller, session()?).await?;
                let action =
                    Action::parse(&command, args).map_err(|_| ApiError::new(ErrorKind::Invalid, UNKNOWN_COMMAND))?;
                let seq = controller.control(id, action).await?;
                Ok(Some(json!({"type": "ack", "seq": seq})))
            }
            ClientMessage::UiInteraction { id, action: Interaction::Annotate, data } => {
                let annotator = Annotator::enter(&self.app, &self.caller, session()?).await?;
                let args: AnnotateArgs = serde_json::from_value(data)
                    .map_err(|_| ApiError::new(ErrorKind::Invalid, "data must be {seq, text, tags?}."))?;
                let seq = annotator.annotate(id, args).await?;
                Ok(Some(json!({"type": "ack", "seq": seq})))
            }
            ClientMessage::UiInteraction { .. } => {
                enter(&self.app, &self.caller, session()?, permission).await?;
                Ok(None)
            }
        }
    }

    /// A fresh token of the same person on the same socket.
    async fn renew(&mut self, id: Option<&str>, token: &str) -> Result<(), Leave> {
        let (claims, caller) = signed_in(&self.app, token).await.map_err(|e| refused(&e))?;
        if caller.user_id != self.caller.user_id {
            return Err(Leave::bye(code::UNAUTHENTICATED));
        }
        self.caller = caller;
        self.expires_at = claims.expires_at();
        let user = views::SignedInUser::of(&self.caller);
        let mut hello = json!({"type": "auth_ok", "user": user, "expires_at": self.expires_at});
        echo(&mut hello, id);
        self.wire.send_json(&hello).await
    }

    /// The sign-in is live, and the target may still be read.
    async fn recheck(&mut self) -> Result<(), Leave> {
        let ports = &self.app.ports;
        let (sign_in, user) = (self.caller.sign_in, self.caller.user_id);
        let caller = self.app.accounts.caller(ports.directory.as_ref(), ports.clock.as_ref(), sign_in, user).await;
        match caller {
            Ok(caller) => self.caller = caller,
            // The directory is away: the sign-in was good a moment ago, and the next look is soon.
            Err(error) if error.kind == ErrorKind::Unavailable => return Ok(()),
            Err(error) => return Err(refused(&error)),
        }
        match self.check_rights().await {
            Err(Leave::Bye { code: code::OVERLOADED, .. }) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn check_rights(&mut self) -> Result<Relation, Leave> {
        match self.target {
            Target::Session(session) => {
                let access = enter(&self.app, &self.caller, session, Permission::SessionRead).await;
                Ok(access.map_err(|e| refused(&e))?.relation)
            }
            Target::System => {
                let role = Some(self.caller.role);
                match verdict(role, Permission::SystemMonitor, Relation::None, SessionType::default()) {
                    Verdict::Allowed | Verdict::AllowedAudited => Ok(Relation::None),
                    Verdict::Forbidden | Verdict::Invisible => Err(Leave::bye(code::FORBIDDEN)),
                }
            }
        }
    }

    async fn tell_error(&mut self, id: Option<&str>, error: &ApiError) -> Result<(), Leave> {
        let message = match error.details.first() {
            Some(detail) => format!("{}: {}", detail.field, detail.message),
            None => error.message.to_string(),
        };
        let mut frame = json!({"type": "error", "code": error.kind, "message": message});
        echo(&mut frame, id);
        self.wire.send_json(&frame).await
    }

    /// Says why a subscription cannot be, before the close that follows.
    async fn tell_trouble(&mut self, trouble: Trouble, id: Option<&str>) -> Leave {
        if let Trouble::Invalid(why) = &trouble {
            let error = ApiError::new(ErrorKind::Invalid, why.clone());
            if let Err(leave) = self.tell_error(id, &error).await {
                return leave;
            }
        }
        troubled(&trouble)
    }
}

const UNKNOWN_COMMAND: &str = "There is no such command, or its args are not what it takes.";

enum Obstacle {
    Error(ApiError),
    Leave(Leave),
}

impl From<ApiError> for Obstacle {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl From<Leave> for Obstacle {
    fn from(leave: Leave) -> Self {
        Self::Leave(leave)
    }
}

fn echo(frame: &mut Value, id: Option<&str>) {
    if let Some(id) = id {
        frame["id"] = json!(id);
    }
}
