//! The embedded model speaks in five voices: a classifier that sees only the words tells them apart.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

const SITUATIONS: [&str; 2] = [
    "A letter has lain unopened on the table for three days. Whoever wrote it knew us before we became who we are.",
    "The father has died, and the house must be emptied by Sunday. In the cellar there is a locked trunk.",
];

#[expect(clippy::disallowed_methods, reason = "where the weights lie is the test's own setting")]
fn models_dir() -> PathBuf {
    let weights = std::env::var_os("PSYCHE_TEST_MODEL").map(PathBuf::from);
    let dir = weights.and_then(|w| Some(w.parent()?.to_owned()));
    let dir = dir.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/models"));
    assert!(
        dir.join("SmolLM2-135M-Instruct.Q4_1.gguf").exists(),
        "no weights in {}: run `make weights`",
        dir.display()
    );
    dir
}

/// Forty utterances: who spoke, and the words after the opener.
fn utterances(situation: &str, seed: &str) -> Vec<(String, Vec<String>)> {
    let data = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_psyche"))
        .args(["--data-dir", &data.path().display().to_string(), "--set", "log=error", "--set", "store=memory:"])
        .args(["--set", &format!("models_dir={}", models_dir().display())])
        .args(["run", "--model", "embedded", "--rounds", "8", "--json", "--seed", seed, "--situation", situation])
        .output()
        .unwrap();
    let frames = String::from_utf8(output.stdout).unwrap();
    let frames = frames.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    frames
        .filter(|f| f["type"] == "agent_message")
        .map(|f| {
            let opener = f["metadata"]["opener"].as_str().unwrap();
            let words = f["content"].as_str().unwrap().strip_prefix(opener).unwrap().to_lowercase();
            let words = words.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty());
            (f["agent_id"].as_str().unwrap().to_owned(), words.map(str::to_owned).collect())
        })
        .collect()
}

/// Multinomial naive Bayes with add-one smoothing, each utterance judged by all the others.
fn accuracy(said: &[(String, Vec<String>)]) -> f64 {
    let mut right = 0;
    for (i, (speaker, words)) in said.iter().enumerate() {
        let mut counts: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
        let mut vocabulary = std::collections::BTreeSet::new();
        for (other, (from, their)) in said.iter().enumerate() {
            vocabulary.extend(their.iter());
            let own = counts.entry(from).or_default();
            if other != i {
                for word in their {
                    *own.entry(word).or_default() += 1.0;
                }
            }
        }
        let likelihood = |own: &BTreeMap<&str, f64>| -> f64 {
            let total = own.values().sum::<f64>() + vocabulary.len() as f64;
            words.iter().map(|w| ((own.get(w.as_str()).unwrap_or(&0.0) + 1.0) / total).ln()).sum()
        };
        let best = counts.iter().max_by(|a, b| likelihood(a.1).total_cmp(&likelihood(b.1))).unwrap();
        right += usize::from(best.0 == speaker);
    }
    right as f64 / said.len() as f64
}

#[test]
fn a_classifier_tells_the_voices_apart() {
    let accuracies: Vec<f64> = SITUATIONS
        .iter()
        .zip(["21", "22"])
        .map(|(situation, seed)| {
            let said = utterances(situation, seed);
            assert_eq!(said.len(), 40);
            accuracy(&said)
        })
        .collect();
    println!("speaker from text, openers stripped, chance .2: {accuracies:?}");
    assert!(accuracies.iter().all(|a| *a >= 0.4), "{accuracies:?}");
}
