//! Trains the affect head and says how well it does on a corpus it has not seen:
//! `cargo run --release -p psyche-llm --example train_affect MODEL.onnx` writes
//! `crates/psyche-core/src/measure/affect/weights.rs`. About three minutes; the same file every time.
//!
//! Ridge regression in closed form on the human-rated texts of `crates/psyche-core/tests/data/sentiment` and the words of
//! VADER's lexicon, the intercept not shrunk. How far weights are shrunk is chosen by leaving out one corpus after another;
//! for the figures that is done among the other three alone. The words are in every training and never a test.

use std::fmt::Write as _;
use std::path::Path;

use psyche_core::embedding::{Embedded, Embedding};
use psyche_core::event::SentimentScore;
use psyche_core::measure::{Vader, affect};
use psyche_infer::Encoder;
use psyche_llm::weights::MINILM;

const CORPORA: [&str; 4] = ["tweets", "amazon", "movie", "nyt"];
const SHRINKAGE: [f64; 5] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1];
/// Raters chose from −4 to 4.
const SCALE: f64 = 4.0;
/// Of the words beside a corpus, whatever their numbers: 10 people rated a word, 20 a text, and the variance of a mean
/// rating goes down with the raters.
const WEIGHT_OF_WORDS: f64 = 10.0 / 20.0;
/// What VADER says of a text none of whose words it knows. With a word's own scores the head would learn to repeat VADER,
/// whose scores of a word are its rating.
const UNKNOWN: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

struct Rated {
    text: String,
    rating: f64,
    scores: [f64; 4],
}

struct Corpus {
    features: Vec<Vec<f64>>,
    ratings: Vec<f64>,
    compounds: Vec<f64>,
    /// Means of the products of features with one another, and with the ratings, times the weight.
    square: Vec<f64>,
    moment: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).ok_or("the first argument is the path of the ONNX file")?;
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../psyche-core");
    let encoder = Encoder::load(model)?;
    let vader = Vader::new();
    let mut corpora = Vec::new();
    for name in CORPORA {
        let file = std::fs::read_to_string(core.join("tests/data/sentiment").join(name).with_extension("csv"))?;
        let texts = texts(&file, &vader);
        let corpus = texts.and_then(|texts| embed(&texts, 1.0, &encoder));
        corpora.push(corpus.ok_or_else(|| format!("{name}.csv cannot be read"))?);
    }
    let lexicon = std::fs::read_to_string(core.join("src/measure/vader/lexicon.tsv"))?;
    let words = words(&lexicon).and_then(|words| embed(&words, WEIGHT_OF_WORDS, &encoder));
    let words = words.ok_or("lexicon.tsv cannot be read")?;
    println!("corpus    texts  VADER's r  r of a head that has not seen it");
    for (left_out, corpus) in corpora.iter().enumerate() {
        let others: Vec<&Corpus> = corpora.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, c)| c).collect();
        let shrinkage = best_shrinkage(&others, &words);
        let r = correlation(&predict(&fit(&others, &words, shrinkage), corpus), &corpus.ratings);
        let reference = correlation(&corpus.compounds, &corpus.ratings);
        println!(
            "{:8} {:6}      {reference:.3}  {r:.3} (shrinkage {shrinkage})",
            CORPORA[left_out],
            corpus.ratings.len()
        );
    }
    let all: Vec<&Corpus> = corpora.iter().collect();
    let shrinkage = best_shrinkage(&all, &words);
    let weights = fit(&all, &words, shrinkage);
    println!("all four: shrinkage {shrinkage}");
    let mut file = format!(
        "//! Made by `cargo run --release -p psyche-llm --example train_affect`; not to be edited.\n\n\
         /// The model whose embeddings these weights are for: the beginning of its file's SHA-256.\n\
         pub(super) const MODEL: &str = \"{}\";\n\n\
         #[rustfmt::skip]\npub(super) const WEIGHTS: [f32; {}] = [\n",
        &MINILM.sha256[..16],
        weights.len()
    );
    for row in weights.chunks(12) {
        let row: Vec<String> = row.iter().map(|w| format!("{w:.4}")).collect();
        writeln!(file, "    {},", row.join(", "))?;
    }
    file.push_str("];\n");
    std::fs::write(core.join("src/measure/affect/weights.rs"), file)?;
    Ok(())
}

/// `id,rating,label,text` with a line of names before; a text may stand in quotes.
fn texts(file: &str, vader: &Vader) -> Option<Vec<Rated>> {
    let read = |line: &str| {
        let mut parts = line.splitn(4, ',');
        let rating = parts.nth(1)?.parse().ok()?;
        let text = parts.nth(1)?;
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let text = quoted.map_or_else(|| text.to_owned(), |text| text.replace("\"\"", "\""));
        let scores = SentimentScore::from(vader.score(&text)).scores();
        Some(Rated { text, rating, scores })
    };
    file.lines().skip(1).map(read).collect()
}

/// Word, mean rating and spread between tabs. What has other signs than letters, emoticons most of it, is left out.
fn words(file: &str) -> Option<Vec<Rated>> {
    let read = |line: &str| {
        let mut parts = line.split('\t');
        let text = parts.next()?.to_owned();
        Some(Rated { text, rating: parts.next()?.parse().ok()?, scores: UNKNOWN })
    };
    file.lines()
        .filter(|line| line.bytes().take_while(|b| *b != b'\t').all(|b| b.is_ascii_lowercase()))
        .map(read)
        .collect()
}

fn embed(rated: &[Rated], weight: f64, encoder: &Encoder) -> Option<Corpus> {
    let texts: Vec<&str> = rated.iter().map(|rated| rated.text.as_str()).collect();
    let features: Option<Vec<Vec<f64>>> = encoder
        .encode(&texts)
        .iter()
        .zip(rated)
        .map(|(vector, rated)| {
            let embedded = Embedded { model: MINILM.sha256[..16].into(), vector: Embedding::of(vector)? };
            affect::features(&embedded, rated.scores)
        })
        .collect();
    let features = features?;
    let width = features.first()?.len();
    let (mut square, mut moment) = (vec![0.0; width * width], vec![0.0; width]);
    let share = weight / features.len() as f64;
    let ratings: Vec<f64> = rated.iter().map(|rated| rated.rating / SCALE).collect();
    for (x, y) in features.iter().zip(&ratings) {
        for (i, a) in x.iter().enumerate() {
            moment[i] += a * y * share;
            for (sum, b) in square[i * width..][..width].iter_mut().zip(x) {
                *sum += a * b * share;
            }
        }
    }
    Some(Corpus { features, ratings, compounds: rated.iter().map(|rated| rated.scores[0]).collect(), square, moment })
}

/// The shrinkage under which heads do best on the corpora they have not seen.
fn best_shrinkage(corpora: &[&Corpus], words: &Corpus) -> f64 {
    let quality = |shrinkage: f64| -> f64 {
        let one = |left_out: usize| {
            let others: Vec<&Corpus> =
                corpora.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, c)| *c).collect();
            correlation(&predict(&fit(&others, words, shrinkage), corpora[left_out]), &corpora[left_out].ratings)
        };
        (0..corpora.len()).map(one).sum()
    };
    SHRINKAGE.into_iter().max_by(|a, b| quality(*a).total_cmp(&quality(*b))).unwrap_or(SHRINKAGE[0])
}

/// (A + λI)⁻¹ b by Cholesky's decomposition, the last feature being the intercept. A and b are sums, so that a λ chosen on
/// two corpora shrinks less on three.
fn fit(corpora: &[&Corpus], words: &Corpus, shrinkage: f64) -> Vec<f64> {
    let width = words.moment.len();
    let sum = |of: &dyn Fn(&Corpus) -> f64| corpora.iter().map(|c| of(c)).sum::<f64>() + of(words);
    let mut lower: Vec<f64> = (0..width * width).map(|i| sum(&|c| c.square[i])).collect();
    let mut solution: Vec<f64> = (0..width).map(|i| sum(&|c| c.moment[i])).collect();
    for i in 0..width - 1 {
        lower[i * width + i] += shrinkage;
    }
    for i in 0..width {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| lower[i * width + k] * lower[j * width + k]).sum();
            let rest = lower[i * width + j] - dot;
            lower[i * width + j] =
                if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / lower[j * width + j] };
        }
    }
    for i in 0..width {
        let dot: f64 = (0..i).map(|k| lower[i * width + k] * solution[k]).sum();
        solution[i] = (solution[i] - dot) / lower[i * width + i];
    }
    for i in (0..width).rev() {
        let dot: f64 = (i + 1..width).map(|k| lower[k * width + i] * solution[k]).sum();
        solution[i] = (solution[i] - dot) / lower[i * width + i];
    }
    solution
}

fn predict(weights: &[f64], corpus: &Corpus) -> Vec<f64> {
    let one = |x: &Vec<f64>| x.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>().clamp(-1.0, 1.0);
    corpus.features.iter().map(one).collect()
}

/// Pearson's r.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| of(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}
