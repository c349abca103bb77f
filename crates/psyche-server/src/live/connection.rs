//! One socket from its first message to its goodbye.
//!
//! Its task listens to the client and does what takes time: rights, commands, reading on where the ring ends. What is new
//! for everybody is written by the pump (`link.rs`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use psyche_core::permission::Permission;
use psyche_core::port::{Relation, StoreError};
use psyche_core::session::{Action, AnnotateArgs, INTERVIEW, InterviewArgs};
use psyche_core::{SessionId, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::access::{Annotator, Controller, enter_again, enter_to_follow, may_monitor, signed_in};
use crate::accounts::Caller;
use crate::api::views;
use crate::app::Shared;
use crate::context::Context;
use crate::error::{Answer, ApiError, ErrorKind};

use super::budget::Budget;
use super::feed::{OpenError, decode, last_in_view, read};
use super::frame::{self, Said, code};
use super::handshake::Taken;
use super::hub::{Hub, Membership, Seat};
use super::link::{BYTES_PER_WRITE, Flow, Link, Pass, Place, Source, errand};
use super::messages::{ClientMessage, Cursor, Interaction, Subscription, Unreadable};
use super::pump::Channel;
use super::view::View;

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

/// Why a conversation ends.
#[derive(Debug, PartialEq)]
enum Leave {
    /// The client went.
    Gone,
    /// The server decides on a close.
    Bye { code: u16, retry_after_ms: u64 },
}

impl Leave {
    fn bye(code: u16) -> Self {
        Self::Bye { code, retry_after_ms: 0 }
    }
}

/// A client that reads again gets this long to take its goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// Bytes a client may still send before its close.
const LAST_BYTES: usize = 256 * 1024;
/// Bytes read from a socket at once.
const READ: usize = 4096;
/// Records read from the log at once.
const LOG_CHUNK: usize = 200;
/// At a restart, closes are spread over this part of the window in which clients come back.
const CLOSES: u32 = 10;

struct Conversation {
    app: Shared,
    context: Context,
    link: Arc<Link>,
    frames: frame::Reader,
    /// What the client said and nobody has looked at yet.
    said: VecDeque<Said>,
    budget: Budget,
    person: Option<Person>,
}

/// What is known once the client has said who it is.
struct Person {
    target: Target,
    caller: Caller,
    expires_at: Timestamp,
    channel: Arc<Channel>,
    member: Option<Membership>,
    _seat: Seat,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.link.over();
    }
}

pub async fn serve(app: Shared, context: Context, taken: Taken, target: Target, entry: Entry) {
    let limits = &app.options.limits;
    let Taken { stream, read } = taken;
    let mut talk = Conversation {
        link: Arc::new(Link::new(stream)),
        frames: frame::Reader::new(limits.inbound_bytes),
        said: VecDeque::new(),
        budget: Budget::new(limits.inbound_per_minute, limits.inbound_burst),
        person: None,
        context,
        app: Arc::clone(&app),
    };
    // What is needed for a moment only is boxed: an idle reader is to be small.
    let leave = match Box::pin(talk.open(read, target, entry)).await {
        Ok(()) => match talk.follow().await {
            Ok(never) => match never {},
            Err(leave) => leave,
        },
        Err(leave) => leave,
    };
    if let Leave::Bye { code, retry_after_ms } = leave {
        Box::pin(talk.goodbye(code, retry_after_ms)).await;
    }
}

enum Never {}

impl Conversation {
    /// From the first byte to the first frame of the stream. Nothing of the session is sent before the rights are known.
    async fn open(&mut self, read: Bytes, target: Target, entry: Entry) -> Result<(), Leave> {
        self.take(&read)?;
        // It is a piece of the HTTP library's buffer, all of which it keeps.
        drop(read);
        let Admitted { caller, expires_at, id, subscription } = self.authenticate(entry).await?;
        let Some(seat) = Hub::seat(&self.app, caller.user_id, &self.link) else {
            return Err(Leave::Bye { code: code::OVERLOADED, retry_after_ms: 10_000 });
        };
        // With the seat changes of rights are heard of; looked at before, one in between could be missed.
        let relation = check_rights(&self.app, &self.context, target, &caller, true).await?;
        let user = views::SignedInUser::of(&caller);
        let mut hello = json!({"type": "auth_ok", "user": user, "expires_at": expires_at});
        echo(&mut hello, id.as_deref());
        self.set_expiry(expires_at);
        let (channel, member) = match target {
            Target::System => (Arc::clone(&self.app.hub.system), None),
            Target::Session(session) => {
                let member = Hub::join(&self.app, session, &caller, relation);
                (Arc::clone(&member.feed.channel), Some(member))
            }
        };
        self.person = Some(Person { target, caller, expires_at, channel, member, _seat: seat });
        self.say_json(&hello)?;
        match self.begin(subscription, relation).await {
            Ok(()) => {}
            Err(Trouble::Invalid(why)) => {
                self.tell_error(None, &ApiError::new(ErrorKind::Invalid, why))?;
                return Err(Leave::bye(code::POLICY));
            }
            Err(trouble) => return Err(troubled(&trouble)),
        }
        if let Some(person) = &self.person {
            person.channel.join(Arc::clone(&self.link));
        }
        self.catch_up().await
    }

    async fn authenticate(&mut self, entry: Entry) -> Result<Admitted, Leave> {
        let app = Arc::clone(&self.app);
        let subscription = entry.subscription;
        if let Some(ticket) = entry.ticket {
            let redeemed = crate::api::tickets::redeem(&app, &ticket).await;
            let (caller, expires_at) = redeemed.map_err(|e| refused(&e))?;
            return Ok(Admitted { caller, expires_at, id: None, subscription });
        }
        if let Some(token) = entry.token {
            let (claims, caller) = signed_in(&app, &token).await.map_err(|e| refused(&e))?;
            return Ok(Admitted { caller, expires_at: claims.expires_at(), id: None, subscription });
        }
        let text = tokio::select! {
            first = tokio::time::timeout(app.options.limits.auth_timeout, self.first_message()) => {
                first.map_err(|_| Leave::bye(code::AUTH_TIMEOUT))??
            }
            () = app.leaving.cancelled() => return Err(Leave::bye(code::RESTARTING)),
        };
        let Ok(ClientMessage::Auth { id, token, subscribe }) = ClientMessage::parse(&text) else {
            return Err(Leave::bye(code::UNAUTHENTICATED));
        };
        let (claims, caller) = signed_in(&app, &token).await.map_err(|e| refused(&e))?;
        Ok(Admitted { caller, expires_at: claims.expires_at(), id, subscription: subscribe.unwrap_or(subscription) })
    }

    async fn first_message(&mut self) -> Result<String, Leave> {
        loop {
            while let Some(said) = self.said.pop_front() {
                if let Some(text) = self.hear(said)? {
                    return Ok(text);
                }
            }
            let Ok(()) = self.link.stream.readable().await else { return Err(Leave::Gone) };
            self.receive()?;
            // A client that never pauses keeps its own socket busy, and nobody else's.
            tokio::task::yield_now().await;
        }
    }

    /// Listens and reads on until there is a reason to leave.
    async fn follow(&mut self) -> Result<Never, Leave> {
        let app = Arc::clone(&self.app);
        let link = Arc::clone(&self.link);
        loop {
            while let Some(said) = self.said.pop_front() {
                if let Some(text) = self.hear(said)? {
                    Box::pin(self.heard(text)).await?;
                }
            }
            let blocked = link.is_blocked();
            let errands = tokio::select! {
                biased;
                () = app.leaving.cancelled() => return Err(Leave::bye(code::RESTARTING)),
                errands = link.errands() => errands,
                readable = link.stream.readable() => {
                    readable.map_err(|_| Leave::Gone)?;
                    self.receive()?;
                    tokio::task::yield_now().await;
                    0
                }
                writable = link.stream.writable(), if blocked => {
                    writable.map_err(|_| Leave::Gone)?;
                    errand::CATCH_UP
                }
            };
            if errands != 0 {
                Box::pin(self.run(errands)).await?;
            }
        }
    }

    async fn run(&mut self, errands: u8) -> Result<(), Leave> {
        let has = |errand| errands & errand != 0;
        if has(errand::DEAD) {
            return Err(Leave::Gone);
        }
        if has(errand::TOO_SLOW) {
            self.app.metrics.slow_readers_cut.fetch_add(1, Ordering::Relaxed);
            return Err(Leave::bye(code::TOO_SLOW));
        }
        if has(errand::EXPIRED) {
            return Err(Leave::bye(code::UNAUTHENTICATED));
        }
        if has(errand::RECHECK) {
            self.recheck().await?;
        }
        if has(errand::WARN)
            && let Some(person) = &self.person
        {
            self.say_json(&json!({"type": "auth_required", "expires_at": person.expires_at}))?;
        }
        self.catch_up().await
    }

    /// Reads what the socket has, at most one buffer of it: others wait too.
    fn receive(&mut self) -> Result<(), Leave> {
        let mut buffer = [0; READ];
        match self.link.stream.try_read(&mut buffer) {
            Ok(0) => Err(Leave::Gone),
            Ok(n) => {
                self.link.heard();
                self.take(&buffer[..n])
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Leave::Gone),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Leave> {
        let mut said = Vec::new();
        let outcome = self.frames.read(bytes, &mut said);
        self.said.extend(said);
        outcome.map_err(|violation| Leave::bye(violation.0))
    }

    /// Answers what concerns the socket alone; gives back what is a message.
    fn hear(&mut self, said: Said) -> Result<Option<String>, Leave> {
        match said {
            Said::Close(code) => {
                // The answer ends the connection; whether it still arrives is the client's affair.
                let _ = self.link.say(frame::close(code), &self.app.metrics);
                Err(Leave::Gone)
            }
            _ if !self.budget.take() => Err(Leave::bye(code::TOO_MANY_MESSAGES)),
            Said::Pong => Ok(None),
            Said::Ping(payload) => self.say(frame::pong(&payload)).map(|()| None),
            Said::Text(text) => Ok(Some(text)),
        }
    }

    fn say(&self, frame: Bytes) -> Result<(), Leave> {
        match self.link.say(frame, &self.app.metrics) {
            Flow::Gone => Err(Leave::Gone),
            _ => Ok(()),
        }
    }

    fn say_json(&self, message: &Value) -> Result<(), Leave> {
        self.say(frame::text(&message.to_string()))
    }

    fn set_expiry(&self, at: Timestamp) {
        let left = (at.micros() - self.app.ports.clock.now().micros()).max(0);
        self.link.expires(Instant::now() + Duration::from_micros(left as u64));
    }

    /// Begins the stream, or begins it anew: position first, then the log from it, or a snapshot that names its own.
    async fn begin(&mut self, wish: Subscription, relation: Relation) -> Result<(), Trouble> {
        let Some(Person { channel, member, .. }) = &self.person else { return Ok(()) };
        let before = self.link.hold();
        let mut place = Place { lane: before.lane, ..Place::default() };
        let deltas = wish.deltas.unwrap_or(true);
        let Some(member) = member else {
            place.lane = channel.lane.join();
            self.link.read_from(Source::default(), place);
            return Ok(());
        };
        let feed = &member.feed;
        let view = View::of(wish.events).map_err(Trouble::Invalid)?;
        let ring = feed.ring(&self.app, &view).await?;
        // Without a cursor a new subscription goes on where the old one was.
        let again = self.link.source().stored.is_some();
        let here = again.then_some(Cursor { generation: before.generation, seq: before.position });
        if !again {
            place.lane = channel.lane.join();
        }
        let cursor = wish.cursor.or(here);
        let reason = match cursor {
            None => Some("cold"),
            Some(cursor) => {
                let (generation, head) = self.head(feed.session, cursor).await?;
                if cursor.generation != generation || cursor.seq > head {
                    Some("rewound")
                } else if head - cursor.seq > self.app.options.limits.replay_events {
                    Some("too_old")
                } else {
                    (place.generation, place.position) = (generation, cursor.seq);
                    None
                }
            }
        };
        let first = if let Some(reason) = reason {
            let snapshot = feed.snapshot(&self.app, relation, reason).await?;
            (place.generation, place.position) = (snapshot.generation, snapshot.seq);
            snapshot.frame
        } else {
            let resume =
                json!({"type": "resume", "session_id": feed.session, "gen": place.generation, "seq": place.position});
            frame::text(&resume.to_string())
        };
        self.link.read_from(Source { stored: Some((view, ring)), deltas }, place);
        let _ = self.link.say(first, &self.app.metrics);
        Ok(())
    }

    /// How far the log goes. The feed knows, unless the cursor is ahead of it.
    async fn head(&self, session: SessionId, cursor: Cursor) -> Result<(u32, u64), Trouble> {
        let feed = self.person.as_ref().and_then(|p| p.member.as_ref()).and_then(|m| m.feed.head());
        match feed {
            Some((generation, head)) if generation == cursor.generation && head >= cursor.seq => Ok((generation, head)),
            _ => {
                let head = self.app.ports.log.head(session).await?.ok_or(Trouble::Missing)?;
                Ok((head.generation, head.seq))
            }
        }
    }

    /// Writes until everything is written or the socket is full. Where the ring ends, the log goes on.
    async fn catch_up(&mut self) -> Result<(), Leave> {
        let Some(person) = &self.person else { return Ok(()) };
        let channel = Arc::clone(&person.channel);
        loop {
            if channel.gone.is_cancelled() {
                return Err(Leave::bye(code::NO_SUCH_SESSION));
            }
            let mut pass = Pass::new(&channel.lane, &self.app.metrics);
            match self.link.advance(&mut pass) {
                Flow::UpToDate | Flow::Blocked => return Ok(()),
                Flow::Gone => return Err(Leave::Gone),
                Flow::Older => self.read_log().await.map_err(|t| troubled(&t))?,
                Flow::Rewound => self.rewind().await.map_err(|t| troubled(&t))?,
            }
        }
    }

    /// Events older than the ring, encoded for this reader's view.
    async fn read_log(&self) -> Result<(), Trouble> {
        let Some(member) = self.person.as_ref().and_then(|p| p.member.as_ref()) else { return Ok(()) };
        let session = member.feed.session;
        let mut place = self.link.hold();
        let Some((view, _)) = self.link.source().stored else { return Ok(()) };
        let mut last = match place.last {
            Some(last) => last,
            None => last_in_view(&self.app, session, &view, place.position).await?,
        };
        let records = read(&self.app, session, place.position, LOG_CHUNK).await?;
        if records.is_empty() {
            return Err(Trouble::Unavailable);
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        for record in &records {
            place.position = record.seq;
            if view.wants(&record.kind) {
                let frame = frame::text(&decode(record)?.frame(session, last));
                last = record.seq;
                bytes += frame.len();
                frames.push(frame);
            }
            if bytes >= BYTES_PER_WRITE {
                break;
            }
        }
        place.last = Some(last);
        self.link.catch_up_with(&frames, place, &self.app.metrics);
        Ok(())
    }

    /// The past itself changed: the stream begins again from a snapshot.
    async fn rewind(&self) -> Result<(), Trouble> {
        let Some(Person { caller, member: Some(member), .. }) = &self.person else { return Ok(()) };
        let relation = self.app.ports.directory.relation(member.feed.session, caller.user_id).await?;
        let snapshot = member.feed.snapshot(&self.app, relation, "rewound").await?;
        let place =
            Place { generation: snapshot.generation, position: snapshot.seq, last: None, lane: self.link.hold().lane };
        self.link.catch_up_with(&[snapshot.frame], place, &self.app.metrics);
        Ok(())
    }

    /// Says `bye` with the cursor to come back with, closes, and waits for the client's close.
    async fn goodbye(&mut self, close: u16, mut retry_after_ms: u64) {
        if close == code::RESTARTING {
            retry_after_ms = self.spread();
        }
        let stored = self.link.source().stored.is_some();
        let Place { generation, position, .. } = self.link.hold();
        let cursor = stored.then(|| json!({"gen": generation, "seq": position}));
        let bye = json!({"type": "bye", "code": close, "retry_after_ms": retry_after_ms, "cursor": cursor});
        self.link.last_words(frame::text(&bye.to_string()));
        if close == code::RESTARTING {
            tokio::time::sleep(Duration::from_millis(retry_after_ms) / CLOSES).await;
        }
        self.link.last_words(frame::close(Some(close)));
        // After bytes that are no frames nothing is read as frames any more.
        let mut broken = matches!(close, code::PROTOCOL | code::NOT_TEXT | code::BAD_UTF8 | code::TOO_BIG);
        let link = Arc::clone(&self.link);
        let closing = async {
            while link.flush_queue() == Flow::Blocked {
                link.stream.writable().await?;
            }
            let mut buffer = [0; READ];
            let (mut said, mut left) = (Vec::new(), LAST_BYTES);
            // The client's close, or its end. What it says besides does not matter any more, and is not listened to for ever.
            while left > 0 {
                link.stream.readable().await?;
                match link.stream.try_read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        left = left.saturating_sub(n);
                        broken = broken || self.frames.read(&buffer[..n], &mut said).is_err();
                        if said.drain(..).any(|s| matches!(s, Said::Close(_))) {
                            break;
                        }
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
                tokio::task::yield_now().await;
            }
            Ok::<(), std::io::Error>(())
        };
        let _ = tokio::time::timeout(GOODBYE, closing).await;
    }

    /// When to come back after a restart: the server spreads its clients over a window.
    fn spread(&self) -> u64 {
        let window = u64::try_from(self.app.options.limits.reconnect_window.as_millis()).unwrap_or(u64::MAX).max(1);
        let [a, b, c, d, ..] = self.app.ports.clock.entropy();
        u64::from(u32::from_be_bytes([a, b, c, d])) % window
    }

    /// Takes one message.
    async fn heard(&mut self, text: String) -> Result<(), Leave> {
        let message = match ClientMessage::parse(&text) {
            Ok(message) => message,
            Err((id, why)) => {
                let (kind, words) = match why {
                    Unreadable::NotJson => (ErrorKind::BadRequest, "The message is not JSON."),
                    Unreadable::NotAMessage => (ErrorKind::Invalid, "This is not a message of psyche.v1."),
                };
                return self.tell_error(id.as_deref(), &ApiError::new(kind, words));
            }
        };
        if let ClientMessage::Auth { id, token, .. } = &message {
            return self.renew(id.as_deref(), token).await;
        }
        let id = message.id().map(str::to_owned);
        if let Err(error) = self.look_again().await {
            return match error.kind {
                ErrorKind::Unavailable => self.tell_error(id.as_deref(), &error),
                _ => Err(refused(&error)),
            };
        }
        match self.obey(message).await {
            Ok(Some(mut reply)) => {
                echo(&mut reply, id.as_deref());
                self.say_json(&reply)
            }
            Ok(None) => Ok(()),
            Err(Obstacle::Leave(leave)) => Err(leave),
            Err(Obstacle::Error(error)) => self.tell_error(id.as_deref(), &error),
        }
    }

    async fn obey(&mut self, message: ClientMessage) -> Result<Option<Value>, Obstacle> {
        let permission = message.permission();
        let Some(Person { target, caller, .. }) = &self.person else { return Ok(None) };
        let target = *target;
        let session = || match target {
            Target::Session(session) => Ok(session),
            Target::System => Err(ApiError::new(ErrorKind::Invalid, "This socket belongs to no session.")),
        };
        match message {
            ClientMessage::Ping { .. } => Ok(Some(json!({"type": "pong"}))),
            // Handled by the caller, who also keeps the timers.
            ClientMessage::Auth { .. } => Ok(None),
            ClientMessage::Subscribe { events, cursor, deltas, .. } => {
                let relation = enter_again(&self.app, &self.context, caller, session()?, permission).await?.relation;
                let begun = self.begin(Subscription { events, cursor, deltas }, relation).await;
                // With the old subscription, when the new one cannot be.
                self.catch_up().await?;
                match begun {
                    Ok(()) => Ok(None),
                    Err(Trouble::Invalid(why)) => Err(ApiError::new(ErrorKind::Invalid, why).into()),
                    Err(trouble) => Err(Obstacle::Leave(troubled(&trouble))),
                }
            }
            ClientMessage::AgentCommand { id, command, args } if command == INTERVIEW => {
                let controller = Controller::enter(&self.app, &self.context, caller, session()?).await?;
                let args: InterviewArgs = serde_json::from_value(args.unwrap_or_default())
                    .map_err(|_| ApiError::new(ErrorKind::Invalid, "args must be {agent_id, question}."))?;
                // An agent may think for long: the socket goes on, and is answered when it is done.
                let (app, link) = (Arc::clone(&self.app), Arc::clone(&self.link));
                self.app.tracker.spawn(async move {
                    let mut reply = match controller.interview(&args).await {
                        Ok(answered) => json!({"type": "ack", "seq": answered.seq, "interview": answered}),
                        Err(error) => error_frame(&error),
                    };
                    echo(&mut reply, id.as_deref());
                    link.say_late(frame::text(&reply.to_string()), &app.metrics);
                });
                Ok(None)
            }
            ClientMessage::AgentCommand { id, command, args } => {
                let controller = Controller::enter(&self.app, &self.context, caller, session()?).await?;
                let action =
                    Action::parse(&command, args).map_err(|_| ApiError::new(ErrorKind::Invalid, UNKNOWN_COMMAND))?;
                let seq = controller.control(id, action).await?;
                Ok(Some(json!({"type": "ack", "seq": seq})))
            }
            ClientMessage::UiInteraction { id, action: Interaction::Annotate, data } => {
                let annotator = Annotator::enter(&self.app, &self.context, caller, session()?).await?;
                let args: AnnotateArgs = serde_json::from_value(data)
                    .map_err(|_| ApiError::new(ErrorKind::Invalid, "data must be {seq, text, tags?}."))?;
                let seq = annotator.annotate(id, args).await?;
                Ok(Some(json!({"type": "ack", "seq": seq})))
            }
            ClientMessage::UiInteraction { .. } => {
                enter_again(&self.app, &self.context, caller, session()?, permission).await?;
                Ok(None)
            }
        }
    }

    /// A fresh token of the same person on the same socket.
    async fn renew(&mut self, id: Option<&str>, token: &str) -> Result<(), Leave> {
        let (claims, caller) = signed_in(&self.app, token).await.map_err(|e| refused(&e))?;
        let Some(person) = self.person.as_mut().filter(|p| p.caller.user_id == caller.user_id) else {
            return Err(Leave::bye(code::UNAUTHENTICATED));
        };
        let expires_at = claims.expires_at();
        let user = views::SignedInUser::of(&caller);
        (person.caller, person.expires_at) = (caller, expires_at);
        self.set_expiry(expires_at);
        let mut hello = json!({"type": "auth_ok", "user": user, "expires_at": expires_at});
        echo(&mut hello, id);
        self.say_json(&hello)
    }

    /// Whether the sign-in is live still, and what its person may do now. From memory, most often.
    async fn look_again(&mut self) -> Answer<()> {
        let Some(person) = &mut self.person else { return Ok(()) };
        let ports = &self.app.ports;
        let (sign_in, user) = (person.caller.sign_in, person.caller.user_id);
        let caller = self.app.accounts.caller(ports.directory.as_ref(), ports.clock.as_ref(), sign_in, user).await?;
        person.caller = caller;
        Ok(())
    }

    /// The sign-in is live, and the target may still be read.
    async fn recheck(&mut self) -> Result<(), Leave> {
        match self.look_again().await {
            Ok(()) => {}
            // The directory is away: the sign-in was good a moment ago. It is asked again with the next tick.
            Err(error) if error.kind == ErrorKind::Unavailable => {
                self.link.recheck_later();
                return Ok(());
            }
            Err(error) => return Err(refused(&error)),
        }
        let Some(person) = &self.person else { return Ok(()) };
        match check_rights(&self.app, &self.context, person.target, &person.caller, false).await {
            Err(Leave::Bye { code: code::OVERLOADED, .. }) => {
                self.link.recheck_later();
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    fn tell_error(&self, id: Option<&str>, error: &ApiError) -> Result<(), Leave> {
        let mut frame = error_frame(error);
        echo(&mut frame, id);
        self.say_json(&frame)
    }
}

struct Admitted {
    caller: Caller,
    expires_at: Timestamp,
    id: Option<String>,
    subscription: Subscription,
}

/// `first`: who comes in is recorded where that has to be; who stays is not.
async fn check_rights(
    app: &Shared,
    context: &Context,
    target: Target,
    caller: &Caller,
    first: bool,
) -> Result<Relation, Leave> {
    match target {
        Target::Session(session) => {
            let access = if first {
                enter_to_follow(app, context, caller, session).await
            } else {
                enter_again(app, context, caller, session, Permission::SessionRead).await
            };
            Ok(access.map_err(|e| refused(&e))?.relation)
        }
        Target::System if may_monitor(app, caller) => Ok(Relation::None),
        Target::System => Err(Leave::bye(code::FORBIDDEN)),
    }
}

/// Why a reader cannot go on.
#[derive(Debug)]
enum Trouble {
    /// The session is gone.
    Missing,
    /// The subscription cannot be; the words are for the client.
    Invalid(String),
    /// Try again later.
    Unavailable,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a reader cannot read the log");
        Self::Unavailable
    }
}

impl From<OpenError> for Trouble {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Missing => Self::Missing,
            OpenError::TooManyViews => Self::Invalid(error.to_string()),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::Missing,
            _ => Self::Unavailable,
        }
    }
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

fn error_frame(error: &ApiError) -> Value {
    let message = match error.details.first() {
        Some(detail) => format!("{}: {}", detail.field, detail.message),
        None => error.message.to_string(),
    };
    json!({"type": "error", "code": error.kind, "message": message})
}

fn echo(frame: &mut Value, id: Option<&str>) {
    if let Some(id) = id {
        frame["id"] = json!(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A class is many readers: what each keeps while nothing happens is counted here, so that it is noticed when it grows.
    #[test]
    fn an_idle_reader_is_small() {
        let size = size_of::<Link>() + size_of::<Conversation>();
        assert!(size <= 1_200, "{size} bytes");
    }
}
