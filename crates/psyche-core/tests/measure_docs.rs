//! The user guide states the formulas word for word as the code does.

const GUIDE: &str = include_str!("../../../docs/measures.md");

const MEASURES: [(&str, &str); 8] = [
    ("sentiment", include_str!("../src/measure/sentiment.rs")),
    ("conflict", include_str!("../src/measure/conflict.rs")),
    ("engagement", include_str!("../src/measure/engagement.rs")),
    ("diversity", include_str!("../src/measure/diversity.rs")),
    ("repetition", include_str!("../src/measure/repetition.rs")),
    ("emotional_intensity", include_str!("../src/measure/emotional_intensity.rs")),
    ("stagnation", include_str!("../src/measure/stagnation.rs")),
    ("strength", include_str!("../src/measure/strength.rs")),
];

#[test]
fn the_guide_repeats_the_head_of_every_measure() {
    for (name, source) in MEASURES {
        let head: Vec<&str> = source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(|line| line.trim_start_matches(' '))
            .collect();
        assert!(head.len() > 5, "{name} has no head");
        let guide: Vec<&str> = GUIDE.lines().map(|line| line.trim_start_matches(' ')).collect();
        assert!(
            guide.windows(head.len()).any(|lines| lines == head),
            "docs/measures.md does not hold the head of measure/{name}.rs; copy it there:\n{}",
            head.join("\n")
        );
    }
}
