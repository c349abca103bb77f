//! English function words by class, and content words as what is left. The lists are this project's own.

/// Classes of function words that style matching compares.
pub(super) const CLASSES: [&str; 9] = [
    "personal pronouns",
    "impersonal pronouns",
    "articles",
    "conjunctions",
    "prepositions",
    "auxiliary verbs",
    "frequent adverbs",
    "negations",
    "quantifiers",
];

/// The classes a lower-case word belongs to, as indices of [`CLASSES`].
pub(super) fn classes(word: &str) -> impl Iterator<Item = usize> {
    LISTS.iter().enumerate().filter(move |(_, list)| list.binary_search(&word).is_ok()).map(|(class, _)| class)
}

/// Sorted, in the order of [`CLASSES`].
#[rustfmt::skip]
const LISTS: [&[&str]; 9] = [
    &["he", "he'd", "he'll", "he's", "her", "hers", "herself", "him", "himself", "his", "i", "i'd", "i'll", "i'm", "i've",
      "me", "mine", "my", "myself", "our", "ours", "ourselves", "she", "she'd", "she'll", "she's", "their", "theirs",
      "them", "themselves", "they", "they'd", "they'll", "they're", "they've", "us", "we", "we'd", "we'll", "we're",
      "we've", "you", "you'd", "you'll", "you're", "you've", "your", "yours", "yourself", "yourselves"],
    &["another", "anybody", "anyone", "anything", "everybody", "everyone", "everything", "it", "it'd", "it'll", "it's",
      "its", "itself", "nobody", "other", "others", "somebody", "someone", "something", "that", "that's", "these",
      "this", "those", "what", "what's", "whatever", "which", "who", "who's", "whoever", "whom", "whose"],
    &["a", "an", "the"],
    &["although", "and", "as", "because", "but", "if", "nor", "or", "since", "so", "than", "then", "though", "unless",
      "until", "whereas", "whether", "while", "yet"],
    &["about", "above", "across", "after", "against", "along", "among", "around", "at", "before", "behind", "below",
      "beneath", "beside", "besides", "between", "beyond", "by", "despite", "down", "during", "except", "for", "from",
      "in", "inside", "into", "near", "of", "off", "on", "onto", "out", "outside", "over", "past", "through",
      "throughout", "to", "toward", "towards", "under", "up", "upon", "with", "within", "without"],
    &["am", "are", "aren't", "be", "been", "being", "can", "can't", "cannot", "could", "couldn't", "did", "didn't",
      "do", "does", "doesn't", "don't", "had", "hadn't", "has", "hasn't", "have", "haven't", "i'll", "i'm", "i've",
      "is", "isn't", "may", "might", "must", "ought", "shall", "should", "shouldn't", "was", "wasn't", "were",
      "weren't", "will", "won't", "would", "wouldn't"],
    &["again", "almost", "already", "also", "always", "away", "back", "else", "even", "ever", "far", "here", "however",
      "instead", "just", "maybe", "now", "often", "once", "only", "perhaps", "quite", "rather", "really", "sometimes",
      "soon", "still", "there", "thus", "too", "very", "well", "when", "where", "why"],
    &["ain't", "aren't", "can't", "cannot", "couldn't", "didn't", "doesn't", "don't", "hadn't", "hasn't", "haven't",
      "isn't", "neither", "never", "no", "nobody", "none", "nor", "not", "nothing", "nowhere", "shouldn't", "wasn't",
      "weren't", "without", "won't", "wouldn't"],
    &["all", "both", "each", "either", "enough", "every", "few", "fewer", "half", "least", "less", "lots", "many",
      "more", "most", "much", "none", "one", "plenty", "several", "some", "two", "whole"],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_a_word_may_belong_to_two() {
        assert!(LISTS.iter().all(|list| list.is_sorted()));
        let names = |word| classes(word).map(|class| CLASSES[class]).collect::<Vec<_>>();
        assert_eq!(names("can't"), ["auxiliary verbs", "negations"]);
        assert_eq!((names("the"), names("harbour")), (vec!["articles"], vec![]));
    }
}
