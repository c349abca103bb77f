//! Engagement: utterances take up what they answer. English only (it needs to know content words).
//!
//! * s(j, i) = |C_j ∩ C_i| / √(|C_j|·|C_i|), C being the set of content words (words that are not in the list of
//!   function words, plural endings dropped); m(j, i) = 1 when j names the speaker of i or shares a content word with
//!   i, else 0.
//! * For an utterance j that answers i, and K the other earlier utterances of other speakers:
//! * uptake_j = s(j, i) − mean over K of s(j, k); reference_j = m(j, i) − mean over K of m(j, k).
//! * value = (mean uptake + mean reference) / 2 over the answering utterances of the window; −1..1.
//! * Source: uptake as similarity above chance, after Demszky et al. (2021), ACL, who estimate it with a model; the
//!   comparison with other utterances after the coordination measure of Danescu-Niculescu-Mizil et al. (2012), WWW.
//! * Null: each utterance answers a random earlier one of another speaker, 99 times. 1 = the level of healthy
//!   dialogue.
//! * Limits: an answer in wholly other words is not seen; nor does the measure know who was heard but not answered.

use super::null::{Null, below};
use super::window::Window;
use super::{Gauge, Turn};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The level of canonical healthy dialogue.
pub const EXTREME: f64 = 0.329;
/// Fewer answering utterances than this give no reading.
pub const MIN_ANSWERS: usize = 10;
const PERMUTATIONS: usize = 99;

/// The parts of the value; means over the answering utterances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Engagement {
    /// Similarity to the utterance answered minus similarity to others, −1..1.
    pub uptake: f64,
    /// References to the utterance answered minus references to others, −1..1.
    pub reference: f64,
    /// Share of answers that refer to the utterance they answer, 0..1.
    pub reference_rate: f64,
}

impl Engagement {
    pub fn value(self) -> f64 {
        f64::midpoint(self.uptake, self.reference)
    }
}

/// The parts for a list of turns; `None` with fewer than [`MIN_ANSWERS`] answers.
pub fn engagement(turns: &[Turn<'_>]) -> Option<Engagement> {
    let window = Window::new(turns.iter().map(|turn| turn.text));
    let links = Links::new(turns, &window);
    (links.answers.len() >= MIN_ANSWERS).then(|| links.mean(|answer| answer.answered))
}

pub(super) fn gauge(turns: &[Turn<'_>], window: &Window, seed: u64) -> Gauge {
    let links = Links::new(turns, window);
    if links.answers.len() < MIN_ANSWERS {
        return Gauge::default();
    }
    let value = links.mean(|answer| answer.answered).value();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let permuted = |random: &mut ChaCha8Rng| links.mean(|answer| below(answer.earlier.len(), random)).value();
    let null = Null::of((0..PERMUTATIONS).map(|_| permuted(&mut random)).collect());
    Gauge::new(value, null.standardise(value, EXTREME), null.band())
}

/// An answering utterance and its links to the earlier utterances of others.
struct Answer {
    /// Similarity and reference to each of them.
    earlier: Vec<(f64, f64)>,
    similarity: f64,
    reference: f64,
    /// Which of them it answers.
    answered: usize,
}

struct Links {
    answers: Vec<Answer>,
}

impl Links {
    fn new(turns: &[Turn<'_>], window: &Window) -> Self {
        let content = ContentWords::new(window);
        let number =
            |name: &str| window.words().position(|word| word.eq_ignore_ascii_case(name)).map(|number| number as u32);
        let names: Vec<Option<u32>> = turns.iter().map(|turn| number(turn.speaker)).collect();
        let mut answers = Vec::new();
        for (j, turn) in turns.iter().enumerate() {
            let others: Vec<usize> = (0..j).filter(|i| turns[*i].speaker != turn.speaker).collect();
            let Some(answered) = turn.answers.and_then(|i| others.iter().position(|other| *other == i)) else {
                continue;
            };
            if others.len() < 2 {
                continue;
            }
            let earlier: Vec<(f64, f64)> = others
                .iter()
                .map(|i| {
                    let similarity = content.similarity(j, *i);
                    let named = names[*i].is_some_and(|name| window.text(j).contains(&name));
                    (similarity, f64::from(u8::from(named || similarity > 0.0)))
                })
                .collect();
            let similarity = earlier.iter().map(|link| link.0).sum();
            let reference = earlier.iter().map(|link| link.1).sum();
            answers.push(Answer { earlier, similarity, reference, answered });
        }
        Self { answers }
    }

    /// Means when each answer answers the earlier utterance `pick` names.
    fn mean(&self, mut pick: impl FnMut(&Answer) -> usize) -> Engagement {
        let (mut uptake, mut reference, mut rate) = (0.0, 0.0, 0.0);
        for answer in &self.answers {
            let (similarity, refers) = answer.earlier[pick(answer)];
            let others = answer.earlier.len() as f64 - 1.0;
            uptake += similarity - (answer.similarity - similarity) / others;
            reference += refers - (answer.reference - refers) / others;
            rate += refers;
        }
        let n = self.answers.len() as f64;
        Engagement { uptake: uptake / n, reference: reference / n, reference_rate: rate / n }
    }
}

/// The set of content words of each utterance, as bits.
struct ContentWords {
    sets: Vec<u64>,
    /// 64-bit words a set takes.
    width: usize,
    sizes: Vec<u32>,
}

impl ContentWords {
    fn new(window: &Window) -> Self {
        let mut stems: Vec<(&str, u32)> = window
            .words()
            .zip(0..)
            .filter(|(word, _)| !is_function_word(word))
            .map(|(word, number)| (stem(word), number))
            .collect();
        stems.sort_unstable();
        let mut bits = vec![None; window.types()];
        let mut used = 0;
        for same in stems.chunk_by(|a, b| a.0 == b.0) {
            for (_, number) in same {
                bits[*number as usize] = Some(used);
            }
            used += 1;
        }
        let width = used / 64 + 1;
        let mut sets = vec![0u64; window.len() * width];
        for i in 0..window.len() {
            for bit in window.text(i).iter().filter_map(|word| bits[*word as usize]) {
                sets[i * width + bit / 64] |= 1 << (bit % 64);
            }
        }
        let sizes = sets.chunks(width).map(|set| set.iter().map(|bits| bits.count_ones()).sum()).collect();
        Self { sets, width, sizes }
    }

    fn similarity(&self, j: usize, i: usize) -> f64 {
        let set = |i: usize| &self.sets[i * self.width..][..self.width];
        let shared: u32 = set(j).iter().zip(set(i)).map(|(a, b)| (a & b).count_ones()).sum();
        if shared == 0 {
            0.0
        } else {
            f64::from(shared) / libm::sqrt(f64::from(self.sizes[j]) * f64::from(self.sizes[i]))
        }
    }
}

/// Drops "'s" and a plural "s" (not "ss" or "us"), so that "dream", "dreams" and "dream's" are one word.
fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    match word.strip_suffix('s') {
        Some(short) if short.len() >= 3 && !short.ends_with(['s', 'u', 'i']) => short,
        _ => word,
    }
}

fn is_function_word(word: &str) -> bool {
    word.len() < 3 || word.contains('\'') || FUNCTION_WORDS.binary_search(&word).is_ok()
}

/// English words that carry no topic; sorted.
#[rustfmt::skip]
const FUNCTION_WORDS: [&str; 253] = [
    "about", "above", "across", "actually", "after", "again", "against", "all", "almost", "alone", "along",
    "already", "also", "although", "always", "among", "and", "another", "any", "anybody", "anyone", "anything",
    "anyway", "are", "around", "ask", "away", "back", "became", "because", "become", "been", "before", "began",
    "behind", "being", "below", "between", "both", "bring", "but", "call", "came", "can", "cannot", "come",
    "could", "did", "does", "doing", "done", "down", "each", "either", "else", "enough", "even", "ever",
    "every", "everybody", "everyone", "everything", "far", "felt", "few", "find", "first", "for", "from",
    "further", "gave", "get", "gets", "getting", "give", "given", "goes", "going", "gone", "got", "had", "has",
    "have", "having", "her", "here", "hers", "herself", "him", "himself", "his", "how", "however", "instead",
    "into", "its", "itself", "just", "keep", "kept", "kind", "knew", "know", "known", "last", "least", "less",
    "let", "lets", "like", "little", "look", "made", "make", "makes", "making", "many", "may", "maybe", "mean",
    "means", "might", "mine", "more", "most", "much", "must", "myself", "near", "need", "neither", "never",
    "next", "nobody", "none", "nor", "not", "nothing", "now", "off", "often", "once", "one", "ones", "only",
    "onto", "other", "others", "ought", "our", "ours", "ourselves", "out", "over", "own", "perhaps", "put",
    "quite", "rather", "really", "said", "same", "saw", "say", "saying", "says", "see", "seem", "seems", "seen",
    "shall", "she", "should", "simply", "since", "some", "somebody", "someone", "something", "sometimes",
    "somewhat", "soon", "still", "such", "sure", "take", "taken", "takes", "tell", "than", "that", "the",
    "their", "theirs", "them", "themselves", "then", "there", "therefore", "these", "they", "thing", "things",
    "think", "this", "those", "though", "through", "thus", "together", "too", "took", "toward", "towards",
    "two", "under", "until", "upon", "use", "used", "very", "want", "wants", "was", "way", "ways", "well",
    "went", "were", "what", "whatever", "when", "where", "whether", "which", "while", "who", "whole", "whom",
    "whose", "why", "will", "with", "within", "without", "would", "yes", "yet", "you", "your", "yours",
    "yourself", "yourselves",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_by_stem_and_function_words_are_left_out() {
        assert_eq!(
            [stem("dreams"), stem("dream's"), stem("loss"), stem("gas"), stem("campus")],
            ["dream", "dream", "loss", "gas", "campus"]
        );
        assert!(FUNCTION_WORDS.is_sorted());
        let content = ContentWords::new(&Window::new(
            ["The dreams of a house", "a dream and the houses, and I", "you"].into_iter(),
        ));
        assert_eq!(content.similarity(0, 1), 1.0);
        assert_eq!(content.similarity(0, 2), 0.0);
    }

    #[test]
    fn a_name_is_a_reference_and_the_difference_to_others_is_what_counts() {
        let speakers = ["ego", "shadow", "persona"];
        let texts: Vec<String> = (0..15).map(|i| format!("{} said alpha{i}", speakers[(i + 2) % 3])).collect();
        let turn = |(i, text): (usize, &'static str)| Turn {
            speaker: speakers[i % 3],
            addressee: None,
            text,
            compound: 0.0,
            answers: i.checked_sub(1),
        };
        let texts: Vec<&'static str> = texts.into_iter().map(|text| &*text.leak()).collect();
        let read = engagement(&texts.into_iter().enumerate().map(turn).collect::<Vec<_>>()).unwrap();
        assert_eq!((read.uptake, read.reference_rate), (0.0, 1.0));
        assert!(0.0 < read.reference && read.reference < 1.0, "others by the same speaker are named too: {read:?}");
    }
}
