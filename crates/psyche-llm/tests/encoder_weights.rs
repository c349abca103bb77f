//! The sentence encoder with its real weights: checked, loaded, and the affect head on what it gives.

use std::path::PathBuf;

use psyche_core::event::SentimentScore;
use psyche_core::measure::{Vader, affect};
use psyche_core::port::Embedder as _;
use psyche_llm::{MiniLm, weights};

/// The weights from the path in `PSYCHE_TEST_ENCODER`, else from the project's `data/models`.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration; this variable names the weights")]
fn weights_path() -> PathBuf {
    std::env::var_os("PSYCHE_TEST_ENCODER").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/models").join(weights::MINILM.file),
        PathBuf::from,
    )
}

fn installed() -> (tempfile::TempDir, MiniLm) {
    let dir = tempfile::tempdir().expect("a directory");
    let source = weights_path();
    assert!(
        source.is_file(),
        "this test needs the encoder at {}: run `psyche model fetch`, or set PSYCHE_TEST_ENCODER",
        source.display()
    );
    weights::install(&source, dir.path(), &weights::MINILM, &mut |_| {}).expect("it is the pinned file");
    let encoder = MiniLm::new(dir.path());
    (dir, encoder)
}

#[tokio::test]
async fn like_meanings_stand_near_one_another() {
    let (_dir, encoder) = installed();
    assert_eq!(encoder.ready(), Ok(()));
    let texts = [
        "I am afraid of what the letter says.",
        "What is written in that envelope frightens me.",
        "Stock prices fell sharply after the bank raised interest rates.",
    ];
    let embedded = encoder.embed(texts.map(str::to_owned).to_vec()).await.expect("it embeds");
    let of = |i: usize| &embedded[i].as_ref().expect("every text has one").vector;
    assert!(of(0).cosine(of(1)) > 0.5 && of(0).cosine(of(2)) < 0.2);
    let again = encoder.embed(vec![texts[1].to_owned()]).await.expect("it embeds");
    assert_eq!(again[0], embedded[1]);
}

/// Every so many rated texts of a corpus; `train_affect` says how a head does that has not seen them.
#[tokio::test]
async fn affect_follows_what_people_say_of_texts() {
    const SAMPLE: usize = 120;
    let (_dir, encoder) = installed();
    let vader = Vader::new();
    let corpora = [
        ("films", include_str!("../../psyche-core/tests/data/sentiment/movie.csv"), 0.57),
        ("editorials", include_str!("../../psyche-core/tests/data/sentiment/nyt.csv"), 0.57),
        ("products", include_str!("../../psyche-core/tests/data/sentiment/amazon.csv"), 0.66),
        ("posts", include_str!("../../psyche-core/tests/data/sentiment/tweets.csv"), 0.8),
    ];
    for (name, file, least) in corpora {
        let lines: Vec<&str> = file.lines().skip(1).collect();
        let (mut ratings, mut texts) = (Vec::new(), Vec::new());
        for line in lines.iter().step_by(lines.len() / SAMPLE) {
            let mut parts = line.splitn(4, ',');
            ratings.push(parts.nth(1).and_then(|rating| rating.parse::<f64>().ok()).expect("a rating"));
            texts.push(parts.nth(1).expect("a text").trim_matches('"').replace("\"\"", "\""));
        }
        let embedded = encoder.embed(texts.clone()).await.expect("it embeds");
        let valences: Vec<f64> = texts
            .iter()
            .zip(&embedded)
            .map(|(text, embedded)| {
                let scores = SentimentScore::from(vader.score(text)).scores();
                affect::affect(embedded.as_ref().expect("an embedding"), scores).expect("of the known model").valence
            })
            .collect();
        let r = correlation(&valences, &ratings);
        assert!(r > least, "{name}: r = {r:.3} with the mean ratings of {} texts", texts.len());
    }
}

/// Pearson's r.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| of(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}
