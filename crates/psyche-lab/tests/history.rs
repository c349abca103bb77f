//! Histories of made-up runs whose truth is known.

use std::collections::BTreeMap;

use psyche_core::port::Parent;
use psyche_core::{SessionId, Timestamp};
use psyche_lab::history::{Contrast, History, Run, Summary, history};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

struct Study {
    runs: Vec<Run>,
    random: ChaCha8Rng,
}

impl Study {
    fn new() -> Self {
        Self { runs: Vec::new(), random: ChaCha8Rng::seed_from_u64(3) }
    }

    fn noise(&mut self) -> f64 {
        (0..12).map(|_| f64::from(self.random.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
    }

    /// A run whose stagnation is around a level and whose 40 utterances share a level of their own.
    fn run(&mut self, tags: &[&str], seed: u64, stagnation: f64) {
        let number = self.runs.len() as u128 + 1;
        let own = self.noise();
        let words = (0..40).map(|_| 20.0 + 3.0 * own + self.noise()).collect();
        let values =
            BTreeMap::from([("stagnation".to_owned(), stagnation), ("diversity".to_owned(), 0.5 + 0.1 * self.noise())]);
        self.runs.push(Run {
            session_id: SessionId(uuid::Uuid::from_u128(number)),
            name: format!("run {number}"),
            created_at: Timestamp(number as i64),
            cast_id: "jungian".to_owned(),
            model: "scripted".to_owned(),
            seed,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            parent: None,
            summary: Summary {
                utterances: 40,
                measures_version: 1,
                values,
                turns: BTreeMap::from([("words".to_owned(), words)]),
            },
        });
        if let Some(run) = self.runs.last_mut() {
            let words = run.summary.turns["words"];
            run.summary.values.insert("words".to_owned(), words.sum / words.n);
        }
    }

    fn history(&self) -> History {
        history(self.runs.clone(), Some(("calm", "wild")), 1)
    }
}

fn of<'a>(history: &'a History, measure: &str) -> &'a Contrast {
    let comparison = history.comparison.as_ref().expect("a comparison was asked for");
    comparison.measures.iter().find(|contrast| contrast.measure == measure).expect("the measure is there")
}

#[test]
fn a_difference_between_conditions_is_found_and_none_is_made_up() {
    let mut study = Study::new();
    for i in 0..10 {
        let (calm, wild) = (0.3 + 0.1 * study.noise(), 0.55 + 0.1 * study.noise());
        study.run(&["calm"], 100 + i, calm);
        study.run(&["wild"], 200 + i, wild);
    }
    study.run(&["calm", "wild"], 1, 9.0);
    study.run(&["other"], 2, 9.0);
    let history = study.history();
    let comparison = history.comparison.as_ref().unwrap();
    assert_eq!((history.n, comparison.n_a, comparison.n_b, comparison.paired), (22, 10, 10, false));
    assert!(comparison.notes[0].contains("both tags"), "{:?}", comparison.notes);
    let stagnation = of(&history, "stagnation");
    assert!((stagnation.difference.unwrap() - 0.25).abs() < 0.1, "{stagnation:?}");
    let ([low, high], g) = (stagnation.g_interval.unwrap(), stagnation.g.unwrap());
    assert!(low > 0.5 && low < g && g < high && stagnation.p_holm.unwrap() < 0.01, "{stagnation:?}");
    assert!(stagnation.p_benjamini_hochberg <= stagnation.p_holm);
    assert!(of(&history, "diversity").p_holm.unwrap() > 0.05);
}

#[test]
fn runs_with_the_same_seeds_are_compared_in_pairs() {
    let mut study = Study::new();
    // What differs between seeds is large, what differs within a pair is small and always the same way.
    for i in 0..8 {
        let level = study.noise();
        let step = 0.1 + 0.02 * study.noise();
        study.run(&["calm"], i, level);
        study.run(&["wild"], i, level + step);
    }
    let paired = study.history();
    assert!(paired.comparison.as_ref().unwrap().paired);
    assert!(of(&paired, "stagnation").p_means.unwrap() < 1e-4 && of(&paired, "stagnation").p_ranks.unwrap() < 0.01);
    // Without the pairs nothing is to be seen.
    study.runs[0].seed = 99;
    let apart = study.history();
    assert!(!apart.comparison.as_ref().unwrap().paired && of(&apart, "stagnation").p_means.unwrap() > 0.3);
}

#[test]
fn many_turns_of_few_runs_are_few_runs() {
    let mut study = Study::new();
    for i in 0..5 {
        study.run(&["calm"], 10 + i, 0.5);
        study.run(&["wild"], 20 + i, 0.5);
    }
    let history = study.history();
    let turns = of(&history, "words").turns.as_ref().unwrap();
    // 200 utterances a side: were they independent, the error would be about 3.2·√(2/200) = 0.3.
    assert!(turns.standard_error > 1.0 && turns.intraclass_correlation > 0.6 && turns.utterances == 400, "{turns:?}");
    assert_eq!((of(&history, "words").n_a, of(&history, "words").n_b), (5, 5));
    let equal = of(&history, "stagnation");
    assert_eq!((equal.p_ranks, equal.g, equal.note.as_deref()), (None, None, Some("All values are equal.")));
}

#[test]
fn too_few_runs_say_so() {
    let mut study = Study::new();
    study.run(&["calm"], 1, 0.5);
    study.run(&["wild"], 2, 0.6);
    let mut history = study.history();
    let contrast = of(&history, "stagnation");
    assert_eq!((contrast.p_ranks, contrast.g, contrast.turns.as_ref()), (None, None, None));
    assert!(contrast.note.as_ref().unwrap().contains("Fewer than 3 runs"));
    assert!(history.trends.is_empty() && history.notes[0].contains("2 run(s)"));
    study.runs[1].parent = Some(Parent { session_id: study.runs[0].session_id, generation: 1, seq: 5 });
    history = study.history();
    assert!(history.notes.iter().any(|note| note.contains("forks")));
}
