//! The way of every event up to where it is stored: decide, stamp, chain, fold.

use std::collections::BTreeMap;

use psyche_core::embedding::Embedded;
use psyche_core::event::Event;
use psyche_core::prompt::Prompt;
use psyche_core::record::Record;
use psyche_core::session::{Command, Inputs, Refusal, Session};
use psyche_core::words::Salts;

use crate::Ports;

/// What a command leads to, not stored yet.
pub(crate) struct Step {
    pub events: Vec<Event>,
    pub records: Vec<Record>,
    /// Of the turns that begin.
    pub prompts: BTreeMap<u64, Prompt>,
}

/// Decides a command on a state and folds what follows; a refusal changes nothing.
pub(crate) fn step(
    ports: &Ports,
    next: &mut Session,
    epoch: u64,
    command: &Command,
    embedded: Option<Embedded>,
) -> Result<Step, Refusal> {
    let mut inputs = Inputs {
        now: ports.clock.now(),
        salts: Salts::fresh(ports.clock.entropy()),
        vader: &ports.vader,
        embedded,
        prompts: BTreeMap::new(),
    };
    let payloads = next.decide(command, &mut inputs)?;
    let events = next.stamp(payloads, inputs.now);
    let records = next.records(&events, epoch);
    for (record, event) in records.iter().zip(&events) {
        next.apply_record(record, event);
    }
    Ok(Step { events, records, prompts: inputs.prompts })
}
