//! Loops that say the same in other words, and talk that goes on: what embeddings see and words do not.

use std::collections::BTreeMap;

use psyche_core::embedding::Embedding;
use psyche_core::measure::meaning::{self, EXTREME, HEALTHY, MIN_EMBEDDED, Meaning, RECENT};
use psyche_core::measure::{Gauge, GaugeName, Turn, Vader, WINDOW, canonical, gauges, gauges_with_meaning};
use psyche_core::words::Hash;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Made by the example `embed_transcripts` of psyche-llm.
const EMBEDDINGS: &str = include_str!("data/measure/embeddings.txt");
const PARAPHRASES: &str = include_str!("data/measure/paraphrases.txt");
const DIALOGUES: [&str; 3] = [
    include_str!("data/measure/second_healthy_dialogue.txt"),
    include_str!("data/measure/third_healthy_dialogue.txt"),
    include_str!("data/measure/small_model_dialogue.txt"),
];
/// Loops drawn from each talk that goes in a circle.
const DRAWS: u64 = 20;

struct Known(BTreeMap<&'static str, Embedding>);

impl Known {
    fn new() -> Self {
        let read = |line: &'static str| {
            let (digest, text) = line.split_once(' ')?;
            Some((digest, Embedding::parse(text)?))
        };
        Self(EMBEDDINGS.lines().map(|line| read(line).expect("digest and embedding")).collect())
    }

    fn of(&self, text: &str) -> &Embedding {
        let digest = &Hash::of(text.as_bytes()).to_string()[..16];
        self.0.get(digest).unwrap_or_else(|| panic!("run the example embed_transcripts: it has not seen {text:?}"))
    }

    fn meaning(&self, texts: &[&str]) -> Meaning {
        let said: Vec<_> = texts.iter().map(|text| Some(self.of(text))).collect();
        Meaning::of(&said).expect("enough utterances")
    }

    fn stagnation<'t>(&self, vader: &Vader, texts: &[&'t str], embedded: bool) -> Gauge {
        let turn = |(i, text): (usize, &'t str)| Turn {
            speaker: ["ego", "shadow"][i % 2],
            addressee: None,
            text,
            compound: vader.score(text).compound,
            answers: i.checked_sub(1),
        };
        let turns: Vec<Turn<'_>> = texts.iter().copied().enumerate().map(turn).collect();
        let embeddings: Vec<_> = texts.iter().map(|text| embedded.then(|| self.of(text))).collect();
        gauges_with_meaning(vader, &turns, &embeddings, 5).remove(&GaugeName::Stagnation).expect("all six are there")
    }
}

/// What is said in a talk, each in several wordings.
fn circles() -> Vec<Vec<Vec<&'static str>>> {
    let blocks = PARAPHRASES.split("\n= ").skip(1);
    blocks
        .map(|block| {
            let lines = block.lines().skip(1).filter(|line| line.contains('|'));
            lines.map(|line| line.split('|').map(str::trim).collect()).collect()
        })
        .collect()
}

fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, random.next_u32() as usize % (i + 1));
    }
}

/// A window of a talk that goes in a circle and never says a thing twice in the same words; every second one says them in
/// a new order each time.
fn paraphrased(seed: u64) -> Vec<Vec<&'static str>> {
    let one = |(block, mut said): (usize, Vec<Vec<&'static str>>)| {
        let mut random = ChaCha8Rng::seed_from_u64(seed * 100 + block as u64);
        for wordings in &mut said {
            shuffle(wordings, &mut random);
        }
        let mut talk = Vec::new();
        for round in 0..WINDOW / said.len() {
            let mut now: Vec<&str> = said.iter().map(|wordings| wordings[round]).collect();
            if seed % 2 == 1 {
                shuffle(&mut now, &mut random);
            }
            talk.extend(now);
        }
        talk
    };
    circles().into_iter().enumerate().map(one).collect()
}

fn loops() -> Vec<Vec<&'static str>> {
    (0..DRAWS).flat_map(paraphrased).collect()
}

fn transcript(name: &str) -> Vec<&'static str> {
    let found = canonical().into_iter().find(|c| c.name == name).expect("a canonical transcript");
    found.turns.iter().map(|line| line.text).collect()
}

/// Every full window of talk that goes on: dialogues, a quarrel, a small model's.
fn progressing() -> Vec<Vec<&'static str>> {
    let of_file =
        |file: &'static str| file.lines().filter_map(|line| line.split_once("> ")).map(|(_, text)| text).collect();
    let mut talks: Vec<Vec<&str>> = DIALOGUES.into_iter().map(of_file).collect();
    talks.extend(["healthy_dialogue", "escalating_quarrel"].map(transcript));
    talks.iter().flat_map(|talk| talk.windows(WINDOW).map(<[&str]>::to_vec)).collect()
}

/// The chance that a loop reads higher than talk that goes on.
fn area(loops: &[f64], others: &[f64]) -> f64 {
    let wins = loops.iter().flat_map(|a| {
        others.iter().map(move |b| {
            if a > b {
                1.0
            } else if a < b {
                0.0
            } else {
                0.5
            }
        })
    });
    wins.sum::<f64>() / (loops.len() * others.len()) as f64
}

/// The value that the share `p` of the values stays under.
fn quantile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * p) as usize).min(values.len() - 1)]
}

#[test]
fn the_scale_is_that_of_healthy_dialogue_and_of_paraphrased_loops() {
    let known = Known::new();
    let echo = |talk: &[&str]| known.meaning(talk).echo;
    let mut healthy: Vec<f64> = transcript("healthy_dialogue").windows(WINDOW).map(echo).collect();
    assert_eq!(healthy.len(), 21);
    healthy.sort_by(f64::total_cmp);
    let measured = [healthy[0], healthy[10], healthy[19]];
    for (written, measured) in [HEALTHY.low, HEALTHY.median, HEALTHY.high].into_iter().zip(measured) {
        assert!((written - measured).abs() < 0.0006, "measured {measured:.4}, written {written}: {healthy:?}");
    }
    let mut loops: Vec<f64> = loops().iter().map(|talk| echo(talk)).collect();
    let level = quantile(&mut loops, 0.75);
    assert!((EXTREME - level).abs() < 0.006, "three quarters of the loops stay under {level:.4}, written {EXTREME}");
}

#[test]
fn paraphrased_loops_are_told_from_talk_that_goes_on_and_words_cannot() {
    let (known, vader) = (Known::new(), Vader::new());
    let loops = loops();
    assert!(loops.len() >= 80 && loops.iter().all(|talk| talk.len() == WINDOW));
    let read = |talks: &[Vec<&str>], embedded: bool| -> Vec<f64> {
        talks.iter().map(|talk| known.stagnation(&vader, talk, embedded).standardised.expect("enough words")).collect()
    };
    let (going_on, looping) = (read(&progressing(), true), read(&loops, true));
    let area_under = area(&looping, &going_on);
    assert!(area_under >= 0.95, "area under the curve {area_under:.3}");
    let by_words = read(&loops, false);
    let seen = |values: &[f64]| values.iter().filter(|value| **value > 0.4).count();
    println!(
        "area under the curve {area_under:.3}; above 0.4: {} of {} loops, {} by words, {} of {} windows that go on; above 0.6: {} and {}",
        seen(&looping),
        looping.len(),
        seen(&by_words),
        seen(&going_on),
        going_on.len(),
        looping.iter().filter(|v| **v > 0.6).count(),
        going_on.iter().filter(|v| **v > 0.6).count()
    );
    assert!(seen(&by_words) * 20 <= looping.len(), "no wording comes twice, yet words see {} loops", seen(&by_words));
    assert!(seen(&looping) * 2 >= looping.len(), "{} of {} loops", seen(&looping), looping.len());
    assert!(seen(&going_on) * 20 <= going_on.len(), "{} of {} windows", seen(&going_on), going_on.len());
    assert!(going_on.iter().all(|value| *value < 0.6), "no emergency opens: {going_on:?}");
}

#[test]
fn a_verbatim_loop_reads_as_high_as_by_words() {
    let (known, vader) = (Known::new(), Vader::new());
    for name in ["perfect_loop", "gratitude_loop"] {
        let talk = transcript(name);
        for window in talk.windows(WINDOW) {
            let (with, without) = (known.stagnation(&vader, window, true), known.stagnation(&vader, window, false));
            assert!(with.standardised >= without.standardised && with.standardised > Some(0.6), "{name}: {with:?}");
            assert!(with.null == without.null && with.value >= without.value, "{name}: {with:?}");
        }
    }
}

#[test]
fn a_stimulus_is_a_spike_of_novelty_in_its_own_turn() {
    let known = Known::new();
    let circles = circles();
    let (mut cases, mut above_mean, mut above_all) = (0, 0, 0);
    for (i, talk) in paraphrased(2).into_iter().enumerate() {
        for (_, circle) in circles.iter().enumerate().filter(|(other, _)| *other != i) {
            for wordings in circle {
                let said: Vec<_> = talk.iter().chain([&wordings[0]]).map(|text| Some(known.of(text))).collect();
                let novelty = meaning::novelty(&said);
                assert_eq!(novelty[0], None);
                let before: Vec<f64> = novelty[WINDOW - RECENT..WINDOW].iter().copied().flatten().collect();
                let spike = novelty[WINDOW].expect("it has an embedding");
                cases += 1;
                above_mean += usize::from(spike > before.iter().sum::<f64>() / RECENT as f64);
                above_all += usize::from(before.iter().all(|novelty| spike > *novelty));
            }
        }
    }
    assert_eq!(cases, 48);
    assert!(above_mean >= 43 && above_all >= 29, "of {cases} stimuli {above_mean} and {above_all} stand out");
}

#[test]
fn too_few_embeddings_leave_the_reading_to_words() {
    let (known, vader) = (Known::new(), Vader::new());
    let talk = &loops()[0];
    let turn = |text| Turn { speaker: "ego", addressee: None, text, compound: 0.0, answers: None };
    let turns: Vec<Turn<'_>> = talk.iter().copied().map(turn).collect();
    let read = |count: usize| {
        let embeddings: Vec<_> = (0..WINDOW).map(|i| (i < count).then(|| known.of(talk[i]))).collect();
        gauges_with_meaning(&vader, &turns, &embeddings, 5)[&GaugeName::Stagnation].clone()
    };
    assert_eq!(read(0), gauges(&vader, &turns, 5)[&GaugeName::Stagnation]);
    assert_eq!(read(0), read(MIN_EMBEDDED - 1));
    assert_ne!(read(0), read(WINDOW));
    let same = known.of(talk[0]);
    let meaning = Meaning::of(&[Some(same); WINDOW]).expect("enough");
    assert!((meaning.echo - 1.0).abs() < 1e-9 && meaning.drift.abs() < 1e-9, "all alike: {meaning:?}");
}
