//! The sentiment port agrees with vaderSentiment 3.3.2 on every text. The expected scores are made by
//! `data/sentiment/reference.py`.

use psyche_core::measure::{Label, Vader};

const CORPORA: [&str; 4] = [
    include_str!("data/sentiment/amazon.csv"),
    include_str!("data/sentiment/movie.csv"),
    include_str!("data/sentiment/nyt.csv"),
    include_str!("data/sentiment/tweets.csv"),
];
const REFERENCE: &str = include_str!("data/sentiment/reference.csv");
const TRICKY: &str = include_str!("data/sentiment/tricky.txt");
const TRICKY_SCORES: &str = include_str!("data/sentiment/tricky.csv");

#[test]
fn every_text_of_the_corpora_scores_as_the_reference() {
    let vader = Vader::new();
    let rows: Vec<Vec<String>> = CORPORA.into_iter().flat_map(|corpus| records(corpus).skip(1)).collect();
    let expected: Vec<(&str, f64)> = REFERENCE
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').map(|(id, compound)| (id, compound.parse().unwrap())).unwrap())
        .collect();
    assert_eq!(rows.len(), expected.len());
    assert!(rows.len() > 11_000);
    let mut wrong = Vec::new();
    for (row, (id, compound)) in rows.iter().zip(expected) {
        assert_eq!(row[0], id);
        let score = vader.score(&row[3]);
        if (score.compound - compound).abs() > 1e-9 {
            wrong.push(format!("{id}: {} instead of {compound}: {}", score.compound, row[3]));
        }
    }
    assert!(wrong.is_empty(), "{} texts differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn pearson_r_with_the_human_ratings_is_the_references() {
    let vader = Vader::new();
    let reference: std::collections::BTreeMap<&str, f64> = REFERENCE
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(id, compound)| (id, compound.parse().unwrap()))
        .collect();
    for corpus in CORPORA {
        let rows: Vec<Vec<String>> = records(corpus).skip(1).collect();
        let ratings: Vec<f64> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
        let ours: Vec<f64> = rows.iter().map(|row| vader.score(&row[3]).compound).collect();
        let theirs: Vec<f64> = rows.iter().map(|row| reference[row[0].as_str()]).collect();
        let (ours, theirs) = (pearson(&ratings, &ours), pearson(&ratings, &theirs));
        assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}");
        assert!(ours > 0.4, "{ours}");
    }
}

#[test]
fn tricky_texts_score_as_the_reference_in_all_four_numbers() {
    let vader = Vader::new();
    let mut wrong = Vec::new();
    assert_eq!(TRICKY.lines().count() + 1, TRICKY_SCORES.lines().count());
    for (line, scores) in TRICKY.lines().zip(TRICKY_SCORES.lines().skip(1)) {
        let text: String = serde_json::from_str(line).unwrap();
        let expected: Vec<f64> = scores.split(',').map(|number| number.parse().unwrap()).collect();
        let score = vader.score(&text);
        let ours = [score.compound, score.positive, score.neutral, score.negative];
        if ours.iter().zip(&expected).any(|(ours, theirs)| (ours - theirs).abs() > 1e-9) {
            wrong.push(format!("{line}: {ours:?} instead of {expected:?}"));
        }
        assert!(score.band[0] <= score.compound && score.compound <= score.band[1], "{line}: {score:?}");
        assert!(score.band.iter().chain(&ours).all(|number| (-1.0..=1.0).contains(number)), "{line}: {score:?}");
    }
    assert!(wrong.is_empty(), "{} texts differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn labels_name_the_sentiment() {
    let vader = Vader::new();
    for (text, label) in [
        ("I love this wonderful day", Label::Positive),
        ("This is a horrible, cruel disaster", Label::Negative),
        ("The table stands in the room", Label::Neutral),
        ("", Label::Neutral),
        ("I love you and I hate you", Label::Mixed),
        ("Half of me is happy and half is sad", Label::Mixed),
        // Both signs, but thinly: the net decides.
        (
            "We met on a Tuesday near the old harbour and talked for a long time about a good plan and a bad one",
            Label::Negative,
        ),
    ] {
        assert_eq!(vader.score(text).label, label, "{text}: {:?}", vader.score(text));
    }
}

#[test]
fn the_band_follows_the_raters() {
    let vader = Vader::new();
    // "good": mean 1.9, standard deviation 0.9434 of ten raters.
    let good = vader.score("good");
    let sum: f64 = 1.9;
    let expected = 15.0 / (sum * sum + 15.0).powf(1.5) * 0.9434 / 3.0;
    assert!((good.standard_error - expected).abs() < 1e-4, "{good:?}");
    // A negation scales the error with the rating, and the same word twice is one rating, not two independent ones.
    let not_good = vader.score("not good");
    let sum: f64 = 1.9 * -0.74;
    assert!((not_good.standard_error - 15.0 / (sum * sum + 15.0).powf(1.5) * 0.74 * 0.9434 / 3.0).abs() < 1e-4);
    let twice = vader.score("good good");
    let sum: f64 = 3.8;
    assert!((twice.standard_error - 15.0 / (sum * sum + 15.0).powf(1.5) * 2.0 * 0.9434 / 3.0).abs() < 1e-4);
    assert_eq!(vader.score("the table").band, [0.0, 0.0]);
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    let square = |values: &[f64], mean: f64| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    product / (square(a, mean_a) * square(b, mean_b)).sqrt()
}

/// The records of a comma-separated file with quoted fields.
fn records(file: &str) -> impl Iterator<Item = Vec<String>> {
    let mut symbols = file.chars().peekable();
    std::iter::from_fn(move || {
        symbols.peek()?;
        let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
        while let Some(symbol) = symbols.next() {
            match symbol {
                '"' if quoted && symbols.peek() == Some(&'"') => field.extend(symbols.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                '\r' if !quoted => {}
                '\n' if !quoted => break,
                _ => field.push(symbol),
            }
        }
        fields.push(field);
        Some(fields)
    })
}
