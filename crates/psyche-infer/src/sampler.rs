//! Chooses the next token.

use std::collections::HashMap;

use crate::kernels::Kernels;
use crate::random;
use crate::tokenizer::Tokenizer;

/// How the next token is chosen. The filters apply in the order of the fields; the temperature comes last.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 always takes the likeliest token.
    pub temperature: f32,
    /// Keeps the `top_k` likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the likeliest tokens whose probabilities reach this sum; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this fraction as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Makes tokens of the last `repetition_window` less likely: positive logits are divided by it, negative ones
    /// multiplied; 1 changes nothing. Control tokens are exempt.
    pub repetition_penalty: f32,
    /// Tokens, of prompt and reply, that count as repeated.
    pub repetition_window: usize,
    /// Forbids this many tokens in a row that stand in the reply so far or in a text to avoid; 0 forbids none.
    pub no_repeat_ngram: usize,
    /// The most tokens of a reply.
    pub max_tokens: usize,
    /// The reply ends before the first of these.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.15,
            repetition_window: 256,
            no_repeat_ngram: 4,
            max_tokens: 48,
            stop: Vec::new(),
        }
    }
}

impl Sampling {
    /// What makes these settings impossible, if anything does.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { temperature, top_p, min_p, repetition_penalty, .. } = *self;
        if !(0.0..=10.0).contains(&temperature) {
            Some(format!("temperature is {temperature}, expected 0 to 10"))
        } else if !(top_p > 0.0 && top_p <= 1.0) {
            Some(format!("top_p is {top_p}, expected above 0 and at most 1"))
        } else if !(0.0..=1.0).contains(&min_p) {
            Some(format!("min_p is {min_p}, expected 0 to 1"))
        } else if !(0.1..=10.0).contains(&repetition_penalty) {
            Some(format!("repetition_penalty is {repetition_penalty}, expected 0.1 to 10"))
        } else if self.max_tokens == 0 {
            Some("max_tokens is 0, expected at least 1".into())
        } else if self.stop.iter().any(String::is_empty) {
            Some("a stop text is empty".into())
        } else {
            None
        }
    }
}

/// The state of one reply.
#[derive(Debug)]
pub(crate) struct Sampler {
    sampling: Sampling,
    seed: u64,
    draws: u64,
    /// What must not follow a run of `no_repeat_ngram − 1` tokens.
    forbidden: HashMap<Vec<u32>, Vec<u32>>,
    own_logits: Vec<f32>,
    weights: Vec<f32>,
}

/// A token and its probability in the model's own distribution, before any filter, penalty or temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    pub(crate) probability: f64,
}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, seed: u64, tokenizer: &Tokenizer, avoid: &[String]) -> Self {
        let mut sampler =
            Self { sampling, seed, draws: 0, forbidden: HashMap::new(), own_logits: Vec::new(), weights: Vec::new() };
        let size = sampler.sampling.no_repeat_ngram;
        if size > 0 {
            for text in avoid {
                // At the start of a reply and within it, a word's first token differs by the space before it.
                for text in [text.trim(), &format!(" {}", text.trim())] {
                    for run in tokenizer.encode(text).windows(size) {
                        sampler.forbid(run);
                    }
                }
            }
        }
        sampler
    }

    fn forbid(&mut self, run: &[u32]) {
        if let Some((&last, before)) = run.split_last() {
            self.forbidden.entry(before.to_vec()).or_default().push(last);
        }
    }

    /// Takes note that `reply`, which grew by one token, is what has been said.
    pub(crate) fn said(&mut self, reply: &[u32]) {
        let size = self.sampling.no_repeat_ngram;
        if size > 0 && reply.len() >= size {
            self.forbid(&reply[reply.len() - size..]);
        }
    }

    /// Chooses the token after `history`, of which everything from `reply_start` on is the reply. `None` if the model
    /// gives no token a usable probability.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        history: &[u32],
        reply_start: usize,
        kernels: Kernels,
        tokenizer: &Tokenizer,
    ) -> Option<Choice> {
        let count = logits.len();
        let padded = count.next_multiple_of(16);
        let Self { sampling, forbidden, own_logits, weights, .. } = self;
        weights.clear();
        weights.extend_from_slice(logits);
        weights.resize(padded, f32::NEG_INFINITY);
        own_logits.clone_from(weights);
        let largest = kernels.maximum(weights);
        if !largest.is_finite() {
            return None;
        }
        let total = kernels.exp_sum(weights, count, largest);
        let probability = |token: u32| f64::from(crate::kernels::math::exp(logits[token as usize] - largest) / total);

        penalise(own_logits, history, sampling, tokenizer);
        let banned = banned(&history[reply_start..], forbidden, sampling.no_repeat_ngram, tokenizer);
        for &token in &banned {
            own_logits[token as usize] = f32::NEG_INFINITY;
        }

        let largest = kernels.maximum(own_logits);
        if !largest.is_finite() {
            return None;
        }
        if sampling.temperature == 0.0 {
            let token = own_logits.iter().position(|&x| x == largest)? as u32;
            return Some(Choice { token, probability: probability(token) });
        }
        weights.clone_from(own_logits);
        let total = kernels.exp_sum(weights, count, largest);
        for &token in &banned {
            weights[token as usize] = 0.0;
        }
        let kept = keep(&weights[..count], f64::from(total), sampling);
        let tempered: Vec<f64> = kept
            .iter()
            .map(|&token| libm::exp(f64::from(own_logits[token as usize] - largest) / f64::from(sampling.temperature)))
            .collect();
        let mut at = random::unit(self.seed, self.draws) * tempered.iter().sum::<f64>();
        self.draws += 1;
        let mut token = *kept.last()?;
        for (&candidate, weight) in kept.iter().zip(tempered) {
            if at < weight {
                token = candidate;
                break;
            }
            at -= weight;
        }
        Some(Choice { token, probability: probability(token) })
    }
}

fn penalise(logits: &mut [f32], history: &[u32], sampling: &Sampling, tokenizer: &Tokenizer) {
    if sampling.repetition_penalty == 1.0 {
        return;
    }
    let mut recent = history[history.len().saturating_sub(sampling.repetition_window)..].to_vec();
    recent.sort_unstable();
    recent.dedup();
    for token in recent.into_iter().filter(|&token| !tokenizer.is_control(token)) {
        let logit = &mut logits[token as usize];
        *logit = if *logit > 0.0 { *logit / sampling.repetition_penalty } else { *logit * sampling.repetition_penalty };
    }
}

/// Tokens that must not come next: control tokens that do not end the reply, and ends of forbidden runs.
fn banned(reply: &[u32], forbidden: &HashMap<Vec<u32>, Vec<u32>>, size: usize, tokenizer: &Tokenizer) -> Vec<u32> {
    let mut banned: Vec<u32> = tokenizer.controls().filter(|&token| !tokenizer.ends_reply(token)).collect();
    if size > 0 && reply.len() + 1 >= size {
        let before = &reply[reply.len() + 1 - size..];
        banned.extend(forbidden.get(before).into_iter().flatten());
    }
    banned
}

/// The tokens that pass the filters, likeliest first; equals by number. `weights` are probabilities times `total`,
/// the largest being 1.
fn keep(weights: &[f32], total: f64, sampling: &Sampling) -> Vec<u32> {
    let likeliest_first = |a: &u32, b: &u32| weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b));
    let floor = sampling.min_p.max(f32::MIN_POSITIVE);
    let mut kept: Vec<u32> =
        if sampling.top_k == 0 { passing(weights, floor) } else { passing(weights, f32::MIN_POSITIVE) };
    let most = if sampling.top_k == 0 { kept.len() } else { sampling.top_k.min(kept.len()) };
    // Sorting everything is seldom needed: the beginning usually holds the sum that is asked for.
    let mut sorted = if sampling.top_k == 0 { most.min(64) } else { most };
    loop {
        if sorted < kept.len() && sorted > 0 {
            kept.select_nth_unstable_by(sorted - 1, likeliest_first);
        }
        kept[..sorted].sort_unstable_by(likeliest_first);
        let head = kept[..sorted].iter().map(|&token| f64::from(weights[token as usize]));
        let mass = if sampling.top_k == 0 { total } else { head.clone().sum() };
        let enough = f64::from(sampling.top_p) * mass;
        let mut reached = 0.0;
        let cut = head.enumerate().find_map(|(i, weight)| {
            reached += weight;
            (sampling.top_p < 1.0 && reached >= enough).then_some(i + 1)
        });
        if cut.is_some() || sorted == most {
            kept.truncate(cut.unwrap_or(most));
            break;
        }
        sorted = (sorted * 4).min(most);
    }
    kept.retain(|&token| weights[token as usize] >= floor);
    kept
}

fn passing(weights: &[f32], floor: f32) -> Vec<u32> {
    (0u32..).zip(weights).filter(|&(_, &weight)| weight >= floor).map(|(token, _)| token).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampling(top_k: usize, top_p: f32, min_p: f32) -> Sampling {
        Sampling { top_k, top_p, min_p, ..Sampling::default() }
    }

    /// The definition, without the short cuts.
    fn keep_plainly(weights: &[f32], total: f64, sampling: &Sampling) -> Vec<u32> {
        let mut kept: Vec<u32> = (0..weights.len() as u32).filter(|&t| weights[t as usize] > 0.0).collect();
        kept.sort_by(|&a, &b| weights[b as usize].total_cmp(&weights[a as usize]).then(a.cmp(&b)));
        let mut mass = total;
        if sampling.top_k > 0 {
            kept.truncate(sampling.top_k);
            mass = kept.iter().map(|&t| f64::from(weights[t as usize])).sum();
        }
        if sampling.top_p < 1.0 {
            let mut reached = 0.0;
            let mut full = false;
            kept.retain(|&t| {
                let keep = !full;
                reached += f64::from(weights[t as usize]);
                full |= reached >= f64::from(sampling.top_p) * mass;
                keep
            });
        }
        kept.retain(|&t| weights[t as usize] >= sampling.min_p);
        kept
    }

    proptest! {
        #[test]
        fn filters_keep_what_their_definition_keeps(
            mut weights in proptest::collection::vec(0.0f32..1.0, 1..400),
            top_k in prop_oneof![Just(0usize), 1usize..500],
            top_p in prop_oneof![Just(1.0f32), 0.05f32..1.0],
            min_p in prop_oneof![Just(0.0f32), 0.0f32..1.0],
        ) {
            weights[0] = 1.0;
            let total = weights.iter().map(|&w| f64::from(w)).sum();
            let sampling = sampling(top_k, top_p, min_p);
            prop_assert_eq!(keep(&weights, total, &sampling), keep_plainly(&weights, total, &sampling));
        }
    }

    #[test]
    fn impossible_settings_are_named() {
        assert_eq!(Sampling::default().fault(), None);
        for (sampling, word) in [
            (Sampling { temperature: f32::NAN, ..Sampling::default() }, "temperature"),
            (Sampling { top_p: 0.0, ..Sampling::default() }, "top_p"),
            (Sampling { min_p: 1.5, ..Sampling::default() }, "min_p"),
            (Sampling { repetition_penalty: 0.0, ..Sampling::default() }, "repetition_penalty"),
            (Sampling { max_tokens: 0, ..Sampling::default() }, "max_tokens"),
            (Sampling { stop: vec![String::new()], ..Sampling::default() }, "stop"),
        ] {
            assert!(sampling.fault().is_some_and(|fault| fault.contains(word)), "{word}");
        }
    }
}
