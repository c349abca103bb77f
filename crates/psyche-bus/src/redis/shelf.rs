//! What other tools may want to read of a session while it talks, under keys that expire: agents' states and measures in
//! plain form, what was said sealed. Nothing in psyche reads it back. docs/guide/cluster.md describes it.

use psyche_core::event::{Event, Payload};
use psyche_core::ids::SessionId;
use psyche_core::port::News;
use redis::Cmd;
use serde_json::json;

use super::keys::{Seal, of_session};

/// A session that says nothing for so long is no longer on the shelf.
const SECONDS: u64 = 3_600;
/// Utterances that are kept of a session.
const KEPT: isize = 1_000;

/// What follows from news for a session's keys.
pub(super) fn commands(session: SessionId, news: &News, seal: &Seal) -> Vec<Cmd> {
    match news {
        News::Appended { events: Some(events), .. } => {
            let mut commands: Vec<Cmd> = events.iter().filter_map(|event| of_event(session, event, seal)).collect();
            if !commands.is_empty() {
                commands.extend(KEYS.map(|key| expire(&of_session(session, key))));
                commands.push(trim(session));
            }
            commands
        }
        // The past changed, words may have been erased; or the session is gone.
        News::Appended { events: None, .. } | News::Deleted => {
            KEYS.into_iter().map(|key| command("UNLINK", &of_session(session, key))).collect()
        }
        News::Live(_) | News::Lagged => Vec::new(),
    }
}

const KEYS: [&str; 3] = ["agents", "metrics", "messages"];

fn of_event(session: SessionId, event: &Event, seal: &Seal) -> Option<Cmd> {
    let plain = |payload: serde_json::Result<serde_json::Value>| {
        let (seq, at) = (event.seq, event.at);
        payload.ok().map(|payload| json!({"seq": seq, "at": at, "value": payload}).to_string())
    };
    let put = |key: &str, field: &str, value: String| {
        let mut command = command("HSET", &of_session(session, key));
        command.arg(field).arg(value);
        command
    };
    match &event.payload {
        Payload::AgentStateUpdate(update) => {
            Some(put("agents", update.agent_id.as_str(), plain(serde_json::to_value(update))?))
        }
        Payload::HealthUpdate(update) => Some(put("metrics", "health", plain(serde_json::to_value(update))?)),
        Payload::NetworkUpdate(update) => Some(put("metrics", "network", plain(serde_json::to_value(update))?)),
        Payload::AgentMessage(_) => {
            let key = of_session(session, "messages");
            let mut add = command("ZADD", &key);
            add.arg(event.at.micros() / 1_000).arg(seal.seal(&key, event.frame(session, 0).as_bytes()));
            Some(add)
        }
        _ => None,
    }
}

fn expire(key: &str) -> Cmd {
    let mut expire = command("EXPIRE", key);
    expire.arg(SECONDS);
    expire
}

fn trim(session: SessionId) -> Cmd {
    let mut trim = command("ZREMRANGEBYRANK", &of_session(session, "messages"));
    trim.arg(0).arg(-KEPT - 1);
    trim
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}
