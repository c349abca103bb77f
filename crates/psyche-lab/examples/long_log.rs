//! Writes the jsonl of a long session to standard output: so many utterances (10,000 when nothing is said), decided by
//! the rules of a session, with a person's words and a hostile utterance among them. For trying exports.

#![expect(clippy::unwrap_used, reason = "a tool of the tests fails by panicking")]

#[path = "../../psyche-core/tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the core's tests")]
mod sim;

use std::io::Write as _;
use std::sync::Arc;

use psyche_core::port::{Clock, EventLog as _, NewSession};
use psyche_core::session::{Action, SpeakArgs, StopArgs};
use psyche_core::{TenantId, Timestamp};
use psyche_lab::export::{Export, Format, Options, Redact};
use psyche_store::memory::MemoryStore;
use sim::{SESSION, Sim};

struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000_000)
    }
    fn monotonic_ms(&self) -> u64 {
        0
    }
    fn entropy(&self) -> [u8; 32] {
        [3; 32]
    }
}

fn main() {
    let wanted: u64 = std::env::args().nth(1).map_or(10_000, |n| n.parse().unwrap());
    let mut sim = Sim::shaped(sim::Shape::default());
    sim.start();
    sim.begin();
    sim.commit("=HYPERLINK(\"http://e.org\") <script>document.title='x'</script> – übermäßig, Ψ.");
    let text = "I heard the lighthouse, too.\nTwice.".to_owned();
    sim.user(Action::Speak(SpeakArgs { text, to: None })).unwrap();
    while sim.session.messages < wanted {
        sim.turn();
    }
    sim.user(Action::Stop(StopArgs::default())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = MemoryStore::new(Arc::new(StillClock));
        let row = sim.session.row(TenantId::DEFAULT);
        store.create(NewSession { row, records: sim.records }).await.unwrap();
        let options = Options {
            format: Format::Jsonl,
            from: None,
            to: None,
            redact: Redact::default(),
            limit: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let export = Export::prepare(&store, SESSION, options, |_| ()).await.unwrap();
        let mut stdout = std::io::stdout().lock();
        export.write(async |bytes: Vec<u8>| stdout.write_all(&bytes), |_| ()).await.unwrap();
    });
}
