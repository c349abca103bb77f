//! When to stop asking a sick server. Pure: the time is a parameter.

use psyche_core::port::CircuitState;

/// Failures in a row that open the circuit.
pub const FAILURES_TO_OPEN: u32 = 5;
/// How long it stays open at first.
pub const OPEN_MS: u64 = 30_000;
/// How long it stays open at most; each failed probe doubles the time up to here.
pub const LONGEST_OPEN_MS: u64 = 60_000;

/// What a call told about the server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// The server failed, was late or answered nonsense.
    Failure,
    /// The server is alive but would not answer this request, or not now.
    Declined,
    /// The call was given up by the caller.
    Abandoned,
}

/// The breaker of one (provider, model).
#[derive(Debug, Default)]
pub struct Circuit {
    state: State,
    /// Counts the times it opened or closed, so that a call begun before a change says nothing about the time after it.
    generation: u64,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until_ms: u64, open_ms: u64 },
    HalfOpen { probing: bool, open_ms: u64 },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// Leave to make one call; to be handed back with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    generation: u64,
}

impl Circuit {
    pub fn state(&self, now_ms: u64) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until_ms, .. } if now_ms < until_ms => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Milliseconds to wait when no call may be made now.
    pub fn wait_ms(&self, now_ms: u64) -> Option<u64> {
        match self.state {
            State::Closed { .. } | State::HalfOpen { probing: false, .. } => None,
            State::Open { until_ms, .. } => (now_ms < until_ms).then(|| until_ms - now_ms),
            // How long the probe takes is not known; its failure would cost this long.
            State::HalfOpen { probing: true, open_ms } => Some(open_ms),
        }
    }

    /// Leave to call now, or the milliseconds to wait. Half-open, the first caller is the probe.
    pub fn enter(&mut self, now_ms: u64) -> Result<Pass, u64> {
        if let Some(wait) = self.wait_ms(now_ms) {
            return Err(wait);
        }
        if let State::Open { open_ms, .. } | State::HalfOpen { open_ms, .. } = self.state {
            self.state = State::HalfOpen { probing: true, open_ms };
            self.generation += 1;
        }
        Ok(Pass { generation: self.generation })
    }

    pub fn leave(&mut self, pass: Pass, outcome: Outcome, now_ms: u64) {
        if pass.generation != self.generation {
            return;
        }
        match (&mut self.state, outcome) {
            (State::Closed { failures }, Outcome::Success) => *failures = 0,
            (State::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                if *failures >= FAILURES_TO_OPEN {
                    self.open(now_ms, OPEN_MS);
                }
            }
            (State::HalfOpen { .. }, Outcome::Success | Outcome::Declined) => {
                self.state = State::default();
                self.generation += 1;
            }
            (State::HalfOpen { open_ms, .. }, Outcome::Failure) => {
                let longer = (*open_ms * 2).min(LONGEST_OPEN_MS);
                self.open(now_ms, longer);
            }
            (State::HalfOpen { probing, .. }, Outcome::Abandoned) => *probing = false,
            (State::Closed { .. }, Outcome::Declined | Outcome::Abandoned) | (State::Open { .. }, _) => {}
        }
    }

    fn open(&mut self, now_ms: u64, open_ms: u64) {
        self.state = State::Open { until_ms: now_ms + open_ms, open_ms };
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(circuit: &mut Circuit, times: u32, now_ms: u64) {
        for _ in 0..times {
            let pass = circuit.enter(now_ms).unwrap();
            circuit.leave(pass, Outcome::Failure, now_ms);
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_thirty_seconds() {
        let mut circuit = Circuit::default();
        fail(&mut circuit, 4, 0);
        assert_eq!(circuit.state(0), CircuitState::Closed);
        let pass = circuit.enter(0).unwrap();
        circuit.leave(pass, Outcome::Success, 0);
        fail(&mut circuit, 4, 0);
        assert_eq!(circuit.state(0), CircuitState::Closed, "a success in between starts the count again");
        fail(&mut circuit, 1, 1_000);
        assert_eq!(circuit.state(1_000), CircuitState::Open);
        assert_eq!(circuit.enter(1_000), Err(30_000));
        assert_eq!(circuit.enter(30_999), Err(1));
        assert_eq!(circuit.state(31_000), CircuitState::HalfOpen);
    }

    #[test]
    fn what_is_not_the_servers_failure_does_not_count() {
        let mut circuit = Circuit::default();
        fail(&mut circuit, 4, 0);
        for outcome in [Outcome::Declined, Outcome::Abandoned, Outcome::Declined] {
            let pass = circuit.enter(0).unwrap();
            circuit.leave(pass, outcome, 0);
        }
        assert_eq!(circuit.state(0), CircuitState::Closed);
        fail(&mut circuit, 1, 0);
        assert_eq!(circuit.state(0), CircuitState::Open, "nor does it make the failures forgotten");
    }

    #[test]
    fn one_probe_decides() {
        let mut circuit = Circuit::default();
        fail(&mut circuit, 5, 0);
        let probe = circuit.enter(30_000).unwrap();
        assert!(circuit.enter(30_000).is_err(), "only one probe at a time");
        circuit.leave(probe, Outcome::Abandoned, 30_000);
        let probe = circuit.enter(30_000).unwrap();
        circuit.leave(probe, Outcome::Failure, 31_000);
        assert_eq!(circuit.enter(31_000), Err(60_000), "a failed probe doubles the time");
        let probe = circuit.enter(91_000).unwrap();
        circuit.leave(probe, Outcome::Failure, 91_000);
        assert_eq!(circuit.enter(91_000), Err(60_000), "but not beyond a minute");
        let probe = circuit.enter(151_000).unwrap();
        circuit.leave(probe, Outcome::Success, 151_000);
        assert_eq!(circuit.state(151_000), CircuitState::Closed);
        fail(&mut circuit, 5, 151_000);
        assert_eq!(circuit.enter(151_000), Err(30_000), "and health makes it short again");
    }

    #[test]
    fn calls_from_before_a_change_say_nothing_after_it() {
        let mut circuit = Circuit::default();
        let slow = circuit.enter(0).unwrap();
        fail(&mut circuit, 5, 0);
        let probe = circuit.enter(30_000).unwrap();
        circuit.leave(slow, Outcome::Failure, 30_000);
        assert_eq!(circuit.state(30_000), CircuitState::HalfOpen);
        circuit.leave(slow, Outcome::Success, 30_000);
        assert_eq!(circuit.state(30_000), CircuitState::HalfOpen);
        circuit.leave(probe, Outcome::Success, 30_000);
        assert_eq!(circuit.state(30_000), CircuitState::Closed);
    }
}
