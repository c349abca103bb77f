//! Views: which events a reader wants. Readers of the same view share one ring.

use std::collections::BTreeSet;
use std::sync::Arc;

use psyche_core::event::Payload;

/// Frames that are never stored and that `events` may name too.
pub const LIVE_KINDS: [&str; 3] = ["system_status", "agent_processing_started", "agent_processing_complete"];

/// `None`: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct View(Option<Arc<BTreeSet<String>>>);

impl View {
    /// The error names the type that does not exist.
    pub fn of(kinds: Option<Vec<String>>) -> Result<Self, String> {
        let Some(kinds) = kinds else { return Ok(Self(None)) };
        let known = |kind: &String| Payload::KINDS.contains(&kind.as_str()) || LIVE_KINDS.contains(&kind.as_str());
        if let Some(index) = kinds.iter().position(|kind| !known(kind)) {
            return Err(format!("events[{index}] is not an event type; there are {}", Payload::KINDS.join(", ")));
        }
        Ok(Self(Some(Arc::new(kinds.into_iter().collect()))))
    }

    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    pub fn wants(&self, kind: &str) -> bool {
        self.0.as_ref().is_none_or(|kinds| kinds.contains(kind))
    }
}
