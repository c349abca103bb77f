//! Before and after: what followed a stimulus, a person's word, an emergency or a change of the set-up.
//!
//! * For novelty, sentiment and words: the [`SPAN`] utterances before against the [`SPAN`] after, as Hedges' g with a
//!   BCa bootstrap interval. Novelty is the outcome chosen beforehand.
//! * For novelty also its spike: the first utterance after, in standard deviations of those before.
//! * For each gauge: its reading [`SPAN`] utterances later less that just before.
//! * p: the share of all moments of the range at which the same effect is at least as large, either way: what happens
//!   anyway, whatever the series remembers. (Placebo moments: Abadie, Diamond & Hainmueller 2015, AJPS 59:495.)
//! * Corrected over all effects of all interventions by Benjamini and Hochberg.
//! * Limits: whatever else happened at the same time is in the effect too; interventions less than a span apart share
//!   utterances, which the note says.

use super::document::{Intervention, InterventionEffect};
use super::reading::{Moment, Reading};
use super::signals::{Point, Signal, values};
use crate::statistics::{bca_two, benjamini_hochberg, hedges_g, mean, quantile, resamples, standard_deviation};

/// Utterances on either side.
pub(super) const SPAN: usize = 20;
/// Fewer utterances than this on a side say nothing.
const LEAST: usize = 5;
/// Fewer other moments than this give no p-value.
const PLACEBOS: usize = 39;
/// The latest of so many are looked at.
const MOST: usize = 200;
const RESAMPLES: usize = 999;
const EFFECTS_ON: [&str; 3] = ["novelty", "sentiment", "words"];

pub(super) fn interventions(reading: &Reading, signals: &[Signal]) -> Vec<Intervention> {
    let skipped = reading.moments.len().saturating_sub(MOST);
    let moments = &reading.moments[skipped..];
    let placebos: Vec<Placebos> = signals.iter().flat_map(|signal| Placebos::of(signal, reading.rows.len())).collect();
    let mut all: Vec<Intervention> = moments
        .iter()
        .map(|moment| {
            let effects: Vec<InterventionEffect> =
                placebos.iter().map(|p| p.effect(moment.before, reading.seed)).collect();
            let first = effects.first();
            let close = |other: &Moment| other.seq != moment.seq && other.before.abs_diff(moment.before) < SPAN;
            let near = moments.iter().filter(|other| close(other)).count();
            Intervention {
                seq: moment.seq,
                turn: moment.before.checked_sub(1).map_or(0, |row| reading.rows[row].turn),
                kind: moment.kind.to_owned(),
                detail: moment.detail.clone(),
                actor: moment.actor.clone(),
                effect: first.and_then(|effect| effect.effect),
                interval: first.and_then(|effect| effect.interval),
                effects,
                note: (near > 0).then(|| {
                    format!("{near} other intervention(s) lie within {SPAN} utterances: the effects overlap.")
                }),
            }
        })
        .collect();
    let p: Vec<f64> = all.iter().flat_map(|i| &i.effects).filter_map(|effect| effect.p).collect();
    let mut corrected = benjamini_hochberg(&p).into_iter();
    for effect in all.iter_mut().flat_map(|i| &mut i.effects).filter(|effect| effect.p.is_some()) {
        effect.p_corrected = corrected.next();
    }
    all
}

/// How an effect is read off a series at a moment.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    Groups,
    Spike,
    Difference,
}

/// One effect at every moment of the range.
struct Placebos<'a> {
    signal: &'a Signal,
    reads: Reads,
    /// By row before which the moment lies.
    everywhere: Vec<Option<f64>>,
}

impl<'a> Placebos<'a> {
    fn of(signal: &'a Signal, rows: usize) -> Vec<Self> {
        let ways: &[Reads] = match signal.name {
            "novelty" => &[Reads::Groups, Reads::Spike],
            name if EFFECTS_ON.contains(&name) => &[Reads::Groups],
            _ if signal.window > 1 => &[Reads::Difference],
            _ => &[],
        };
        let read = |reads: &Reads| {
            let everywhere = (0..=rows).map(|row| at(signal, *reads, row).map(|(effect, ..)| effect)).collect();
            Self { signal, reads: *reads, everywhere }
        };
        ways.iter().map(read).collect()
    }

    fn effect(&self, row: usize, seed: u64) -> InterventionEffect {
        let (before, after) = sides(self.signal, row);
        let found = at(self.signal, self.reads, row);
        let others: Vec<f64> =
            self.everywhere.iter().enumerate().filter(|(i, _)| *i != row).filter_map(|(_, effect)| *effect).collect();
        let known = others.len() >= PLACEBOS;
        let p = found.filter(|_| known).map(|(effect, ..)| {
            let beyond = others.iter().filter(|other| other.abs() >= effect.abs()).count();
            (1 + beyond) as f64 / (1 + others.len()) as f64
        });
        let band = || Some([quantile(&others, 0.05)?, quantile(&others, 0.95)?]);
        let interval = || {
            let (a, b) = (values(after), values(before));
            let (of_a, of_b) = (resamples(a.len(), RESAMPLES, seed), resamples(b.len(), RESAMPLES, seed ^ 1));
            bca_two((&a, &b), (&of_a, &of_b), |a, b| hedges_g(a, b).map(|effect| effect.g))
        };
        let name = if self.reads == Reads::Spike { "novelty_spike" } else { self.signal.name };
        InterventionEffect {
            measure: name.to_owned(),
            unit: match self.reads {
                Reads::Groups => "Hedges' g".to_owned(),
                Reads::Spike => "standard deviations of the utterances before".to_owned(),
                Reads::Difference => self.signal.unit.to_owned(),
            },
            before: found.map(|(_, before, _)| before),
            after: found.map(|(_, _, after)| after),
            effect: found.map(|(effect, ..)| effect),
            interval: found.filter(|_| self.reads == Reads::Groups).and_then(|_| interval()).map(|b| b.interval),
            null: if known { band() } else { None },
            p,
            p_corrected: None,
            n_before: before.len(),
            n_after: after.len(),
            note: match found {
                None => Some(format!("Too few utterances with a value on a side; {LEAST} are needed.")),
                Some(_) if !known => Some(format!("{} other moments; a p-value needs {PLACEBOS}.", others.len())),
                Some(_) => None,
            },
        }
    }
}

/// The last values before a row and the first from it on.
fn sides(signal: &Signal, row: usize) -> (&[Point], &[Point]) {
    let cut = signal.points.partition_point(|point| point.row < row);
    let (before, after) = signal.points.split_at(cut);
    (&before[before.len().saturating_sub(SPAN)..], &after[..after.len().min(SPAN)])
}

/// Effect, level before and level after.
fn at(signal: &Signal, reads: Reads, row: usize) -> Option<(f64, f64, f64)> {
    let (before, after) = sides(signal, row);
    match reads {
        Reads::Difference => {
            let (last, later) = (before.last()?.value, after.get(SPAN - 1)?.value);
            Some((later - last, last, later))
        }
        _ if before.len() < LEAST || after.len() < LEAST => None,
        Reads::Groups => {
            let (before, after) = (values(before), values(after));
            Some((hedges_g(&after, &before)?.g, mean(&before)?, mean(&after)?))
        }
        Reads::Spike => {
            let (before, first) = (values(before), after.first()?.value);
            let (level, deviation) = (mean(&before)?, standard_deviation(&before).filter(|s| *s > 0.0)?);
            Some(((first - level) / deviation, level, first))
        }
    }
}
