//! The content words of utterances, and how many two utterances share. English.

use super::lexicon::WordHasher;
use super::window::Window;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::LazyLock;

/// The set of content words of each utterance, as bits.
pub(super) struct ContentWords {
    sets: Vec<u64>,
    /// 64-bit words a set takes.
    width: usize,
    sizes: Vec<u32>,
}

impl ContentWords {
    pub(super) fn new(window: &Window) -> Self {
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

    pub(super) fn similarity(&self, j: usize, i: usize) -> f64 {
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
    static KNOWN: LazyLock<HashSet<&str, BuildHasherDefault<WordHasher>>> =
        LazyLock::new(|| FUNCTION_WORDS.into_iter().collect());
    word.len() < 3 || word.contains('\'') || KNOWN.contains(word)
}

/// English words that carry no topic.
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
        let content = ContentWords::new(&Window::new(
            ["The dreams of a house", "a dream and the houses, and I", "you"].into_iter(),
        ));
        assert_eq!(content.similarity(0, 1), 1.0);
        assert_eq!(content.similarity(0, 2), 0.0);
    }
}
