//! Balance: how evenly turns and words are shared, and whether the lead changes hands.
//!
//! * Gini = Σ_i (2i − n − 1)·x_i / (n·Σ x_i) over the n speakers' counts in rising order, i = 1..n; 0 = all equal,
//!   (n − 1)/n = one has everything. Of turns, and of words.
//! * The leader after a turn is who said most words in the last 10 turns; when several did, the leader stays if among
//!   them, else the latest to speak of them leads. dominance switches = how often the leader changes.
//! * Where the turn order leaves no freedom, the Gini of turns says nothing of the speakers: it is "fixed by the
//!   schedule".
//! * Source: Woolley et al. (2010), Science 330:686, who relate even turn-taking to the success of groups (by the
//!   variance of turns; the Gini coefficient is its scale-free form).
//! * Limits: words are counted, not weighed.

use serde::Serialize;
use std::collections::BTreeMap;

/// Turns the lead is read from.
pub const LEAD: usize = 10;

/// Shares of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Balance {
    /// Gini of turns; `None` without turns, or when it is fixed by the schedule.
    pub turns: Option<f64>,
    /// Whether the order of turns left no freedom.
    pub fixed_by_schedule: bool,
    /// Gini of words; `None` without words.
    pub words: Option<f64>,
    pub dominance_switches: usize,
    /// Turns and words of each speaker.
    pub shares: BTreeMap<String, Share>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    pub turns: usize,
    pub words: usize,
}

/// Balance of turns (speaker, words said) among `speakers`, who count also when they said nothing. `free` tells whether
/// the speakers, and not a schedule, decide who is next.
pub fn balance(turns: &[(&str, usize)], speakers: &[&str], free: bool) -> Balance {
    let mut shares: BTreeMap<String, Share> =
        speakers.iter().map(|name| ((*name).to_owned(), Share::default())).collect();
    for (speaker, words) in turns {
        let share = shares.entry((*speaker).to_owned()).or_default();
        share.turns += 1;
        share.words += words;
    }
    let of = |count: fn(&Share) -> usize| gini(shares.values().map(count).collect());
    Balance {
        turns: of(|share| share.turns).filter(|_| free),
        fixed_by_schedule: !free,
        words: of(|share| share.words),
        dominance_switches: switches(turns),
        shares,
    }
}

fn switches(turns: &[(&str, usize)]) -> usize {
    let (mut leader, mut switches) = (None, 0);
    for end in 1..=turns.len() {
        let window = &turns[end.saturating_sub(LEAD)..end];
        let said =
            |name: &str| window.iter().filter(|(speaker, _)| *speaker == name).map(|(_, words)| words).sum::<usize>();
        let most = window.iter().map(|(speaker, _)| said(speaker)).max().unwrap_or(0);
        if most == 0 || leader.is_some_and(|leader| said(leader) == most) {
            continue;
        }
        let next = window.iter().rev().map(|(speaker, _)| *speaker).find(|speaker| said(speaker) == most);
        switches += usize::from(leader.is_some());
        leader = next;
    }
    switches
}

/// The Gini coefficient; `None` when there is nothing to share.
pub(super) fn gini(mut counts: Vec<usize>) -> Option<f64> {
    counts.sort_unstable();
    let n = counts.len() as f64;
    let sum: usize = counts.iter().sum();
    let ranked: f64 =
        counts.iter().zip(1..).map(|(count, rank)| (2.0 * f64::from(rank) - n - 1.0) * *count as f64).sum();
    (sum > 0).then(|| ranked / (n * sum as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_on_toy_sequences() {
        assert_eq!(gini(vec![3, 3, 3]), Some(0.0));
        assert_eq!(gini(vec![1, 3]), Some(0.25));
        assert_eq!(gini(vec![0, 0, 0, 8]), Some(0.75));
        assert_eq!(gini(vec![4, 1, 2, 3]), Some(0.25));
        assert_eq!((gini(vec![]), gini(vec![0, 0])), (None, None));
        let turns = [("a", 10), ("b", 2), ("a", 10), ("b", 2), ("c", 30), ("c", 0)];
        let read = balance(&turns, &["a", "b", "c", "d"], true);
        // Turns 0, 2, 2, 2 and words 0, 4, 20, 30.
        assert_eq!(read.turns, Some(0.25));
        assert_eq!(read.words, Some((-3.0 * 0.0 - 4.0 + 20.0 + 90.0) / (4.0 * 54.0)));
        assert_eq!(read.dominance_switches, 1);
        assert_eq!(read.shares["b"], Share { turns: 2, words: 4 });
    }

    #[test]
    fn a_fixed_order_of_turns_says_nothing_of_the_speakers() {
        let turns = [("a", 5), ("b", 5), ("a", 5), ("b", 5)];
        let read = balance(&turns, &["a", "b"], false);
        assert_eq!((read.turns, read.fixed_by_schedule, read.words), (None, true, Some(0.0)));
    }

    #[test]
    fn the_lead_is_read_from_the_last_ten_turns() {
        let mut turns = vec![("a", 9); 10];
        turns.extend(vec![("b", 9); 10]);
        // Even after five turns of b, taken after six.
        assert_eq!(balance(&turns, &[], true).dominance_switches, 1);
        assert_eq!(balance(&turns[..15], &[], true).dominance_switches, 0, "a tie keeps the leader");
        assert_eq!(balance(&[("a", 0), ("b", 0)], &[], true).dominance_switches, 0);
    }
}
