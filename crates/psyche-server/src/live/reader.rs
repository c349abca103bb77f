//! A reader: a position in a session's log, and what to write next. Catch-up, resume and live are this one path.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use psyche_core::port::StoreError;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::views;
use crate::app::Shared;
use crate::error::ApiError;

use super::feed::{Channel, OpenError, decode, last_in_view};
use super::hub::Membership;
use super::lane::{Class, LaneCursor, Slot};
use super::messages::{Cursor, Subscription};
use super::ring::{Frame, Pending, Ring};
use super::view::View;

const FRAMES_PER_WRITE: usize = 256;
const BYTES_PER_WRITE: usize = 64 * 1024;
const LOG_CHUNK: usize = 200;
const POSITION_EVERY: Duration = Duration::from_secs(1);

/// Why a reader cannot go on.
#[derive(Debug)]
pub enum Trouble {
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
            crate::error::ErrorKind::NotFound => Self::Missing,
            _ => Self::Unavailable,
        }
    }
}

/// The stored events of one session, as one reader goes through them.
struct Durable {
    member: Membership,
    view: View,
    ring: Arc<Ring>,
    generation: u32,
    position: u64,
    /// The last event of the view at or before `position`, once it is known.
    last: Option<u64>,
    told_position: u64,
    told_at: Option<Instant>,
}

pub struct Reader {
    app: Shared,
    channel: Arc<Channel>,
    changes: watch::Receiver<u64>,
    lane: LaneCursor,
    deltas: bool,
    durable: Option<Durable>,
}

impl Reader {
    /// A reader of `/ws/system`: nothing there is stored.
    pub fn of_system(app: &Shared) -> Self {
        let channel = Arc::clone(&app.hub.system);
        let changes = channel.watch();
        Self { app: Arc::clone(app), lane: channel.lane.join(), channel, changes, deltas: false, durable: None }
    }

    /// Joins a session and says how the stream begins.
    pub async fn of_session(
        app: &Shared,
        member: Membership,
        wish: Subscription,
    ) -> Result<(Self, Vec<Utf8Bytes>), Trouble> {
        let view = View::of(wish.events).map_err(Trouble::Invalid)?;
        let channel = Arc::clone(&member.feed.channel);
        let changes = channel.watch();
        let ring = member.feed.ring(&view).await?;
        let generation = ring.generation();
        let durable =
            Durable { member, view, ring, generation, position: 0, last: None, told_position: 0, told_at: None };
        let mut reader = Self {
            app: Arc::clone(app),
            lane: channel.lane.join(),
            channel,
            changes,
            deltas: wish.deltas.unwrap_or(true),
            durable: Some(durable),
        };
        let first = reader.begin(wish.cursor).await?;
        Ok((reader, vec![first]))
    }

    /// Replaces the subscription; without a cursor the stream goes on where it is.
    pub async fn subscribe(&mut self, wish: Subscription) -> Result<Vec<Utf8Bytes>, Trouble> {
        let Some(durable) = &mut self.durable else { return Ok(Vec::new()) };
        let view = View::of(wish.events).map_err(Trouble::Invalid)?;
        let here = Cursor { generation: durable.generation, seq: durable.position };
        durable.ring = durable.member.feed.ring(&view).await?;
        durable.view = view;
        durable.last = None;
        self.deltas = wish.deltas.unwrap_or(true);
        Ok(vec![self.begin(Some(wish.cursor.unwrap_or(here))).await?])
    }

    /// The cursor to come back with.
    pub fn cursor(&self) -> Option<(u32, u64)> {
        self.durable.as_ref().map(|d| (d.generation, d.position))
    }

    /// Position first; then the log from it, or a snapshot that names its own.
    async fn begin(&mut self, cursor: Option<Cursor>) -> Result<Utf8Bytes, Trouble> {
        let Some(durable) = &mut self.durable else { return Ok(Utf8Bytes::default()) };
        let session = durable.member.feed.session;
        let head = self.app.ports.log.head(session).await?.ok_or(Trouble::Missing)?;
        let reason = match cursor {
            None => "cold",
            Some(c) if c.generation != head.generation || c.seq > head.seq => "rewound",
            Some(c) if head.seq - c.seq > self.app.options.limits.replay_events => "too_old",
            Some(Cursor { generation, seq }) => {
                (durable.generation, durable.position, durable.last) = (generation, seq, None);
                durable.told_position = seq;
                return Ok(json!({"type": "resume", "session_id": session, "gen": generation, "seq": seq})
                    .to_string()
                    .into());
            }
        };
        self.snapshot(reason).await
    }

    async fn snapshot(&mut self, reason: &'static str) -> Result<Utf8Bytes, Trouble> {
        let Some(durable) = &mut self.durable else { return Ok(Utf8Bytes::default()) };
        let member = &durable.member;
        let (summary, state) = self
            .app
            .ports
            .engine
            .read(member.feed.session, |s| (s.summary(), s.view()))
            .await
            .map_err(ApiError::from)?;
        let (generation, seq) = (summary.generation, summary.seq);
        let relation = self.app.ports.directory.relation(member.feed.session, member.user()).await?;
        let participants = views::participants(&self.app, &summary).await?;
        let frame = json!({
            "type": "snapshot",
            "session_id": member.feed.session,
            "gen": generation,
            "seq": seq,
            "session": views::SessionView::new(summary, relation),
            "state": views::State { state, participants },
            "reason": reason,
        });
        (durable.generation, durable.position, durable.last) = (generation, seq, None);
        durable.told_position = seq;
        Ok(frame.to_string().into())
    }

    /// What to write now; empty when the reader is where the session is.
    pub async fn batch(&mut self, pressed: bool) -> Result<Vec<Utf8Bytes>, Trouble> {
        // Seen before anything is gathered: what comes meanwhile wakes us again.
        self.changes.borrow_and_update();
        let mut out = Vec::new();
        let Some(durable) = &mut self.durable else {
            let (items, lost) = self.channel.lane.items(&mut self.lane, 0, pressed);
            self.app.metrics.live_dropped.fetch_add(lost, std::sync::atomic::Ordering::Relaxed);
            out.extend(items.into_iter().map(|item| item.text));
            out.extend(self.channel.lane.slots(&mut self.lane).into_iter().map(|(_, text)| text));
            return Ok(out);
        };
        if durable.member.feed.gone.is_cancelled() {
            return Err(Trouble::Missing);
        }
        if durable.ring.generation() != durable.generation {
            out.push(self.snapshot("rewound").await?);
            return Ok(out);
        }
        let (frames, position, behind) = match durable.ring.after(durable.position, FRAMES_PER_WRITE, BYTES_PER_WRITE) {
            Pending::Frames { frames, position } => (frames, position, false),
            Pending::Older => {
                let (frames, position) = durable.read_log(&self.app).await?;
                (frames, position, true)
            }
        };
        durable.position = position;
        if let Some(frame) = frames.last() {
            durable.last = Some(frame.seq);
        }
        let (items, lost) = self.channel.lane.items(&mut self.lane, position, pressed || behind);
        self.app.metrics.live_dropped.fetch_add(lost, std::sync::atomic::Ordering::Relaxed);

        let mut frames = frames.into_iter().peekable();
        for item in items {
            while let Some(frame) = frames.next_if(|frame| frame.seq <= item.after) {
                out.push(frame.text);
            }
            let wanted = match item.class {
                Class::Delta => self.deltas,
                Class::Kind(kind) => durable.view.wants(kind),
            };
            if wanted {
                out.push(item.text);
            }
        }
        out.extend(frames.map(|frame| frame.text));
        for (slot, text) in self.channel.lane.slots(&mut self.lane) {
            if matches!(slot, Slot::Presence) || durable.view.wants("system_status") {
                out.push(text);
            }
        }
        out.extend(durable.tell_position());
        Ok(out)
    }

    /// Resolves when there may be something to write.
    pub async fn changed(&mut self) {
        let gone = async {
            match &self.durable {
                // `batch` reports it.
                Some(durable) if !durable.member.feed.gone.is_cancelled() => {
                    durable.member.feed.gone.cancelled().await;
                }
                _ => std::future::pending().await,
            }
        };
        let position = async {
            match self.durable.as_ref().and_then(Durable::position_due) {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.changes.changed() => {}
            () = gone => {}
            () = position => {}
        }
    }
}

impl Durable {
    /// Events older than the ring, encoded for this reader's view.
    async fn read_log(&mut self, app: &Shared) -> Result<(Vec<Frame>, u64), Trouble> {
        let session = self.member.feed.session;
        let log = app.ports.log.as_ref();
        let mut last = match self.last {
            Some(last) => last,
            None => last_in_view(log, session, &self.view, self.position).await?,
        };
        let records = log.read(session, self.position, LOG_CHUNK).await?;
        let Some(end) = records.last().map(|r| r.seq) else { return Err(Trouble::Unavailable) };
        let mut frames = Vec::new();
        for record in records.iter().filter(|r| self.view.wants(&r.kind)) {
            let text = decode(record)?.frame(session, last).into();
            last = record.seq;
            frames.push(Frame { seq: record.seq, text });
        }
        self.last = Some(last);
        Ok((frames, end))
    }

    /// When to say how far the log has gone, if events passed that this view leaves out.
    fn position_due(&self) -> Option<Instant> {
        let shown = self.last.unwrap_or(0).max(self.told_position);
        if self.view.is_everything() || self.position <= shown {
            return None;
        }
        Some(self.told_at.map_or_else(Instant::now, |at| at + POSITION_EVERY))
    }

    fn tell_position(&mut self) -> Option<Utf8Bytes> {
        let due = self.position_due()?;
        let now = Instant::now();
        if due > now {
            return None;
        }
        self.told_at = Some(now);
        self.told_position = self.position;
        let frame = json!({"type": "position", "gen": self.generation, "seq": self.position});
        Some(frame.to_string().into())
    }
}
