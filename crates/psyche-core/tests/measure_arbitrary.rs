//! Whatever is said, the measures give finite numbers in their ranges.

use proptest::prelude::*;
use psyche_core::measure::{GaugeName, Turn, Vader, diversity, gauges, repetition, stagnation};

/// Text that provokes: rated words, modifiers, punctuation, emoji, odd spaces, and anything else.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => prop::sample::select(vec![
            "good", "BAD", "not", "never", "so", "but", "no", "nor", "kind", "of", "least", "very", "without", "doubt", "the",
            "shit", "you", "liar", "thank", "i", "disagree", "isn't", "don’t", "love", "hate", "😀", "💔", ":)", "?!", "!!!!",
        ])
        .prop_map(str::to_owned),
        1 => "\\PC{0,8}",
        1 => any::<String>(),
    ];
    let space = prop::sample::select(vec![" ", "  ", "\n", "\u{a0}", "\u{1c}", ""]);
    prop::collection::vec((word, space), 0..30)
        .prop_map(|words| words.into_iter().flat_map(|(word, space)| [word, space.to_owned()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sentiment_is_finite_and_in_range(text in text()) {
        let score = Vader::new().score(&text);
        prop_assert!((-1.0..=1.0).contains(&score.compound));
        for share in [score.positive, score.negative, score.neutral] {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        let sum = score.positive + score.negative + score.neutral;
        prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 0.0021, "{score:?}");
        prop_assert!(score.standard_error >= 0.0 && score.band[0] <= score.compound && score.compound <= score.band[1]);
        prop_assert_eq!(score, serde_json::from_str(&serde_json::to_string(&score).unwrap()).unwrap());
    }

    #[test]
    fn gauges_are_finite_in_range_and_repeatable(
        said in prop::collection::vec((text(), 0usize..5, prop::option::of(0usize..40)), 0..30),
        seed in any::<u64>(),
    ) {
        let vader = Vader::new();
        let turns: Vec<Turn<'_>> = said
            .iter()
            .map(|(text, speaker, answers)| Turn {
                speaker: ["ego", "shadow", "persona", "anima", ""][*speaker],
                addressee: None,
                text,
                compound: vader.score(text).compound,
                answers: *answers,
            })
            .collect();
        let read = gauges(&vader, &turns, seed);
        prop_assert_eq!(read.len(), GaugeName::ALL.len());
        for gauge in read.values() {
            prop_assert!(gauge.standardised.is_none_or(|value| (0.0..=1.0).contains(&value)));
            prop_assert!(gauge.value.is_none_or(f64::is_finite));
            prop_assert!(gauge.null.is_none_or(|[low, high]| low <= high));
            prop_assert_eq!(gauge.value.is_some(), gauge.standardised.is_some());
            prop_assert_eq!(gauge.value.is_some(), gauge.null.is_some());
        }
        prop_assert_eq!(&read, &serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap());
        prop_assert_eq!(read, gauges(&vader, &turns, seed));

        let texts = || said.iter().map(|(text, _, _)| text.as_str());
        let parts = repetition::repetition(texts());
        prop_assert!((0.0..=1.0).contains(&parts.repeated) && (0.0..=1.0).contains(&parts.compressed));
        prop_assert!(diversity::mtld(texts()).is_none_or(|value| value > 0.0 && value.is_finite()));
        for flow in stagnation::flow(texts()) {
            prop_assert!(flow.novelty.is_none_or(|nats| nats >= -1e-12 && nats.is_finite()));
        }
    }
}
