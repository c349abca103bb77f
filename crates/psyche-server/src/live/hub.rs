//! All live sessions, and who reads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use psyche_core::port::Relation;
use psyche_core::{SessionId, UserId};
use serde_json::json;
use tokio::sync::broadcast;

use crate::accounts::{Caller, Changed};
use crate::app::Shared;

use super::feed::Feed;
use super::lane::{Class, Slot};
use super::link::{Link, errand};
use super::pump::{Channel, Pump};

#[derive(Default)]
pub struct Hub {
    feeds: Mutex<HashMap<SessionId, (Arc<Feed>, usize)>>,
    per_user: Mutex<HashMap<UserId, Vec<Arc<Link>>>>,
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
    link: Arc<Link>,
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
    pub fn seat(app: &Shared, user: UserId, link: &Arc<Link>) -> Option<Seat> {
        let mut seats = app.hub.seats();
        let links = seats.entry(user).or_default();
        if links.len() >= app.options.limits.sockets_per_user {
            return None;
        }
        links.push(Arc::clone(link));
        Some(Seat { app: Arc::clone(app), user, link: Arc::clone(link) })
    }

    fn recheck(&self, changed: Changed) {
        let seats = self.seats();
        let links = |user| seats.get(&user).into_iter().flatten();
        match changed.0 {
            Some(user) => links(user).for_each(|link| link.ring(errand::RECHECK)),
            None => seats.values().flatten().for_each(|link| link.ring(errand::RECHECK)),
        }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<UserId, Vec<Arc<Link>>>> {
        self.per_user.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn feeds(&self) -> usize {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tells administrators something: a frame of this type.
    pub fn tell_admins(&self, kind: &'static str, news: &impl serde::Serialize) {
        let Ok(mut frame) = serde_json::to_value(news) else { return };
        frame["type"] = json!(kind);
        self.system.lane.push(0, Class::Kind(kind), &frame.to_string());
        self.system.wake();
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
            if *readers == 0 || feed.channel.gone.is_cancelled() {
                feed.tell_replicas(&self.app);
                feed.token.cancel();
                feeds.remove(&self.feed.session);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.app.hub.seats();
        if let Some(links) = seats.get_mut(&self.user) {
            if let Some(at) = links.iter().position(|link| Arc::ptr_eq(link, &self.link)) {
                links.swap_remove(at);
            }
            if links.is_empty() {
                seats.remove(&self.user);
            }
        }
    }
}

/// Has sockets look at their rights again when those may have changed.
pub async fn watch_changes(app: Shared, mut changes: broadcast::Receiver<Changed>) {
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            change = changes.recv() => app.hub.recheck(change.unwrap_or(Changed(None))),
        }
    }
}

/// Writes what is new on `/ws/system`, and keeps the status there fresh, until the server leaves.
pub async fn watch_system(app: Shared) {
    let channel = Arc::clone(&app.hub.system);
    let mut pump = Pump::new(Arc::clone(&channel), app.options.limits.patience());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut tick = 0_u64;
    loop {
        tokio::select! {
            () = app.leaving.cancelled() => return,
            () = channel.changed() => {}
            _ = ticks.tick() => {
                pump.sweep();
                if tick.is_multiple_of(2) {
                    tell_status(&app).await;
                }
                tick += 1;
            }
        }
        pump.begin();
        while !pump.step(&app.metrics) {
            tokio::task::yield_now().await;
        }
    }
}

async fn tell_status(app: &Shared) {
    let ports = &app.ports;
    let health = crate::api::health::components(app).await;
    let frame = json!({
        "type": "system_status",
        "timestamp": ports.clock.now(),
        "status": if health.is_healthy() { "healthy" } else { "degraded" },
        "active_agents": [],
        "resource_usage": app.monitor.usage(ports.clock.monotonic_ms()),
        "sessions_running": ports.engine.running(),
        "websocket_connections": app.socket_count(),
    });
    app.hub.system.lane.set(Slot::Status, &frame.to_string());
}
