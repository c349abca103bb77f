//! Live tokens: ten agents speak at the same time, and every reader watches all of them.

use std::path::Path;

use serde_json::json;

use crate::Outcome;
use crate::http;
use crate::machine::{self, CpuTime, MS, SECOND};
use crate::measure::{Figures, JOIN, heads, reader};
use crate::member::{Member, Role};
use crate::model::{EVERY_MS, ModelServer};
use crate::product::{Installation, Needs};
use crate::swarm::Swarm;
use crate::tally::Tally;

const AGENTS: usize = 10;
pub const READERS: usize = 500;
pub const FRAME: usize = 250;
const SPEAKING_WITHIN: u64 = 30 * SECOND;

/// An installation whose default model is the tool's own.
pub fn installation(psyche: &Path, model: &ModelServer) -> Outcome<Installation> {
    let ids: Vec<String> = (0..AGENTS).map(|n| format!("voice-{n}")).collect();
    let agents: Vec<_> =
        ids.iter().map(|id| json!({"id": id, "name": id, "system_prompt": "Speak for as long as you can."})).collect();
    let pairs = ids.iter().flat_map(|from| ids.iter().map(move |to| (from, to))).filter(|(from, to)| from != to);
    let paths: Vec<_> = pairs.map(|(from, to)| json!({"from": from, "to": to})).collect();
    let needs = Needs {
        readers: READERS,
        sessions: 1,
        session: json!({
            "session_type": "shared", "name": "tokens", "seed": 7, "turn_order": "simultaneous",
            "cast": {"id": "choir", "name": "Choir", "agents": agents, "paths": paths},
        }),
        model: format!(
            "provider = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\nmodel = \"choir\"\nallow_http_hosts = [\"127.0.0.1\"]\n",
            model.port
        ),
    };
    Installation::make(psyche, &needs)
}

/// CPU per delivered piece of text, and how many pieces were left out.
pub fn tokens(installation: &Installation, model: &ModelServer, seconds: f64) -> Outcome<Figures> {
    let server = installation.serve()?;
    let heads = heads(installation, &server)?;
    // No stored event of this kind comes: the stream is live text alone.
    let member = |n| Member { deltas: true, events: "forked", ..reader(installation, &heads, n, Role::Reader) };
    let members: Vec<_> = (0..READERS).map(member).collect();
    let mut swarm = Swarm::new(server.port, members, Tally::new(1))?;
    swarm.open_all(0..READERS, JOIN)?;

    let commands = format!("/api/v1/sessions/{}/commands", installation.sessions[0]);
    let owner = &installation.owners[0].token;
    http::expect(server.port, "POST", &commands, owner, Some(r#"{"command":"start"}"#))?;
    let deadline = machine::now() + SPEAKING_WITHIN;
    while model.replies() < AGENTS || swarm.tally.frame_length == 0 {
        swarm.turn(machine::now() + 20 * MS)?;
        if machine::now() > deadline {
            return Err(format!("{} of {AGENTS} voices spoke within 30 s", model.replies()).into());
        }
    }
    // A frame is as long as its text and what is around it.
    model.set_length((model.length() + FRAME).saturating_sub(swarm.tally.frame_length));

    let from = machine::now() + SECOND;
    let to = from + (seconds * 1e9) as u64;
    swarm.tally.window = (from, to);
    turn_until(&mut swarm, from)?;
    let (began, cpu, own) = (machine::now(), CpuTime::of(server.pid())?, CpuTime::of(std::process::id())?);
    turn_until(&mut swarm, to)?;
    let span = (machine::now() - began) as f64;
    let spent = CpuTime::of(server.pid())?.since(&cpu) as f64;
    let tool = CpuTime::of(std::process::id())?.since(&own) as f64;
    // What is on its way may still arrive.
    turn_until(&mut swarm, to + 2 * EVERY_MS * MS)?;
    swarm.tally.check()?;

    let tally = &swarm.tally;
    let due = (model.chunks(from, to) * READERS) as u64;
    let figures = Figures {
        deliveries_per_s: tally.deliveries as f64 / span * 1e9,
        events_per_s: model.chunks(from, to) as f64 / seconds,
        frame_bytes: tally.bytes as f64 / tally.deliveries as f64,
        deliveries_per_read: tally.deliveries as f64 / tally.reads as f64,
        p50_ms: tally.latency.percentile_ms(50.0),
        p95_ms: tally.latency.percentile_ms(95.0),
        p99_ms: tally.latency.percentile_ms(99.0),
        cpu_us_per_delivery: spent / tally.deliveries as f64 / 1e3,
        server_cpu_share: spent / span,
        tool_cpu_share: tool / span,
        lost: due.saturating_sub(tally.latency.count()),
        doubled: tally.latency.count().saturating_sub(due),
        reordered: tally.reordered,
        ..Figures::default()
    };
    http::expect(server.port, "POST", &commands, owner, Some(r#"{"command":"stop"}"#))?;
    model.hang_up();
    drop(swarm);
    server.stop()?;
    Ok(figures)
}

fn turn_until(swarm: &mut Swarm, until: u64) -> Outcome {
    while machine::now() < until {
        swarm.turn(until)?;
    }
    Ok(())
}
