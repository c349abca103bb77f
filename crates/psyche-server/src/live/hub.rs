//! All live sessions, and who reads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use psyche_core::port::Relation;
use psyche_core::{SessionId, UserId};
use serde_json::json;

use crate::accounts::Caller;
use crate::app::Shared;

use super::feed::{Channel, Feed};
use super::lane::{Class, Slot};
use super::messages::UserAuth;

#[derive(Default)]
pub struct Hub {
    feeds: Mutex<HashMap<SessionId, (Arc<Feed>, usize)>>,
    per_user: Mutex<HashMap<UserId, usize>>,
    /// What `/ws/system` carries.
    pub system: Arc<Channel>,
}

/// One reader of a feed; leaves when dropped.
pub struct Membership {
    app: Shared,
    pub feed: Arc<Feed>,
    user: UserId,
}

/// One socket of a user; counted while it lives.
pub struct Seat {
    app: Shared,
    user: UserId,
}

impl Hub {
    pub fn join(app: &Shared, session: SessionId, caller: &Caller, relation: Relation) -> Membership {
        let feed = {
            let mut feeds = app.hub.feeds.lock().unwrap_or_else(PoisonError::into_inner);
            let (feed, readers) = feeds.entry(session).or_insert_with(|| (Feed::start(app, session), 0));
            *readers += 1;
            Arc::clone(feed)
        };
        feed.enter(caller, relation);
        Membership { app: Arc::clone(app), feed, user: caller.user_id }
    }

    /// `None` when the user has as many sockets as are possible.
    pub fn seat(app: &Shared, user: UserId) -> Option<Seat> {
        let mut seats = app.hub.per_user.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seats.entry(user).or_insert(0);
        if *count >= app.options.limits.sockets_per_user {
            return None;
        }
        *count += 1;
        Some(Seat { app: Arc::clone(app), user })
    }

    pub fn feeds(&self) -> usize {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tells administrators about a sign-in event.
    pub fn user_auth(&self, news: &UserAuth) {
        let Ok(mut frame) = serde_json::to_value(news) else { return };
        frame["type"] = json!("user_auth");
        self.system.lane.push(0, Class::Kind("user_auth"), frame.to_string());
        self.system.wake();
    }
}

impl Membership {
    pub fn user(&self) -> UserId {
        self.user
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.feed.leave(self.user);
        let mut feeds = self.app.hub.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((feed, readers)) = feeds.get_mut(&self.feed.session)
            && Arc::ptr_eq(feed, &self.feed)
        {
            *readers -= 1;
            // A deleted session's feed must not be joined again.
            if *readers == 0 || feed.gone.is_cancelled() {
                feed.token.cancel();
                feeds.remove(&self.feed.session);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.app.hub.per_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seats.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                seats.remove(&self.user);
            }
        }
    }
}

/// Keeps the status on `/ws/system` fresh until the server leaves.
pub async fn watch_system(app: Shared) {
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let ports = &app.ports;
        let health = crate::api::health::components(&app).await;
        let frame = json!({
            "type": "system_status",
            "timestamp": ports.clock.now(),
            "status": if health.is_healthy() { "healthy" } else { "degraded" },
            "active_agents": [],
            "resource_usage": app.monitor.usage(ports.clock.monotonic_ms()),
            "sessions_running": ports.engine.running(),
            "websocket_connections": app.socket_count(),
        });
        app.hub.system.lane.set(Slot::Status, frame.to_string());
        app.hub.system.wake();
    }
}
