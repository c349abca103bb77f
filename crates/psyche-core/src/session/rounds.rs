//! The end of a round: the emergency protocol, suggested interventions, and a situation that evolves without growing.

use crate::cast::PathKind;
use crate::event::{
    Edge, Emergency, EmergencyAction, EmergencyLevel, InterventionSuggested, Payload, SituationChanged,
};
use crate::measure::GaugeName;
use crate::prompt;
use crate::words::Words;

use super::{Inputs, Session};

/// Rounds above the threshold before emergency paths open.
const ROUNDS_ABOVE: u32 = 2;

impl Session {
    /// Rounds in a row above and below the emergency threshold once this round's stagnation is counted. A missing value
    /// counts as calm: nobody is alarmed by what could not be measured.
    pub(super) fn emergency_counts(&self, stagnation: Option<f64>) -> (u32, u32) {
        match stagnation {
            Some(s) if s > self.thresholds().emergency => (self.emergency.above + 1, 0),
            _ => (0, self.emergency.calm + 1),
        }
    }

    /// What the end of the round brings. `self` is the state after the round's last utterance was measured.
    pub(super) fn end_round(&self, inputs: &mut Inputs<'_>, payloads: &mut Vec<Payload>) {
        payloads.extend(self.emergency_decision().map(Payload::from));
        for (rule, text) in prompt::interventions(&self.gauges) {
            if !self.suggested.contains(rule) {
                payloads.push(InterventionSuggested { rule: rule.to_owned(), text: text.to_owned() }.into());
            }
        }
        if let Some((_, words)) = &self.conscious {
            let voice = self.initial.cast.conscious_voice.as_ref().and_then(|id| self.agents.get(id));
            let name = voice.map_or("", |a| a.definition.name.as_str());
            let situation = prompt::situation(&self.base_situation, name, words, &self.gauges);
            if situation != *self.situation {
                // It begins with the words of whoever wrote the situation, so it goes when theirs go.
                let situation = Words::new(situation, self.base_subject, &mut inputs.salts);
                payloads.push(SituationChanged { situation, cause: "round".to_owned() }.into());
            }
        }
    }

    fn emergency_decision(&self) -> Option<Emergency> {
        let stagnation = self.gauges.get(&GaugeName::Stagnation).and_then(|g| g.standardised);
        let (above, calm) = self.emergency_counts(stagnation);
        let value = stagnation.unwrap_or(0.0);
        let level =
            if value > self.thresholds().critical { EmergencyLevel::Critical } else { EmergencyLevel::Emergency };
        let action = match self.emergency.level {
            None if above >= ROUNDS_ABOVE => EmergencyAction::Opened,
            Some(EmergencyLevel::Emergency) if level == EmergencyLevel::Critical => EmergencyAction::Opened,
            Some(_) if calm >= self.thresholds().path_switch_delay => EmergencyAction::Closed,
            _ => return None,
        };
        let emergency = self.paths.iter().filter(|p| p.kind == PathKind::Emergency);
        let paths = emergency.map(|p| Edge { from: p.from.clone(), to: p.to.clone() }).collect();
        Some(Emergency { action, level, stagnation: value, paths })
    }
}
