//! Where events come from: annotations for the product, frames of the same shape for a floor.

use crate::Outcome;
use crate::frames::{header_length, marked_text};
use crate::http;
use crate::machine;
use crate::product::Installation;
use crate::swarm::Swarm;

/// How events reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// `ui_interaction` on a WebSocket of the session's owner.
    Socket,
    /// `POST /sessions/{id}/annotations` on kept connections.
    Http,
    /// The control connection of a floor.
    Control,
}

/// The drivers of every session, and what they say.
pub struct Drive {
    pub via: Via,
    /// Members of the swarm that drive each session, in turn.
    pub members: Vec<Vec<usize>>,
    turn: usize,
    /// Owners' tokens and session ids.
    people: Vec<(String, String)>,
    bytes: usize,
    /// Makes command ids of this run unlike those of runs before.
    run: u64,
}

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

impl Drive {
    pub fn new(via: Via, members: Vec<Vec<usize>>, installation: Option<&Installation>, bytes: usize) -> Self {
        let people = installation.map_or_else(
            || vec![(String::new(), NOBODY.to_owned())],
            |i| i.owners.iter().zip(&i.sessions).map(|(o, s)| (o.token.clone(), s.clone())).collect(),
        );
        Self { via, members, turn: 0, people, bytes, run: machine::now() }
    }

    /// Sends the next event of a session. False when every connection waits for an answer.
    pub fn send(&mut self, swarm: &mut Swarm, session: usize) -> Outcome<bool> {
        let drivers = &self.members[session];
        let free = (0..drivers.len()).map(|n| drivers[(self.turn + n) % drivers.len()]);
        let Some(driver) = free.into_iter().find(|driver| !swarm.members[*driver].busy) else { return Ok(false) };
        self.turn += 1;
        let now = machine::now();
        let number = swarm.tally.send(session, now);
        let seq = swarm.tally.newest(session).max(swarm.members[driver].cursor) + 1;
        let (token, id) = &self.people[session];
        let around = event_json(id, seq, "").len();
        let length = self.bytes.saturating_sub(around + header_length(self.bytes));
        let text = marked_text(number, now, length);
        match self.via {
            Via::Socket => {
                let command = format!("{:x}-{number}", self.run);
                swarm.say(
                    driver,
                    &format!(
                        r#"{{"type":"ui_interaction","id":"{command}","action":"annotate","data":{{"seq":1,"text":"{text}"}}}}"#
                    ),
                )?;
            }
            Via::Http => {
                let path = format!("/api/v1/sessions/{id}/annotations");
                let body = format!(r#"{{"seq":1,"text":"{text}"}}"#);
                let request = http::request(swarm.port, "POST", &path, token, Some(&body), "keep-alive");
                swarm.members[driver].busy = true;
                swarm.write(driver, request.as_bytes())?;
            }
            Via::Control => {
                let json = event_json(id, number + 1, &text);
                let mut message = (json.len() as u32).to_be_bytes().to_vec();
                message.extend(json.as_bytes());
                swarm.write(driver, &message)?;
            }
        }
        Ok(true)
    }
}

/// A stored annotation as the product's frames show it.
fn event_json(session: &str, seq: u64, text: &str) -> String {
    let prev = seq - 1;
    format!(
        r#"{{"type":"annotation","session_id":"{session}","gen":1,"seq":{seq},"prev":{prev},"timestamp":"2026-01-01T00:00:00.000000Z","target_seq":1,"text":"{text}","tags":[],"user_id":"{NOBODY}"}}"#
    )
}
