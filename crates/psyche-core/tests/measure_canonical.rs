//! The canonical transcripts read as they must: each gauge in its band, in every full window and for several seeds.

use psyche_core::measure::{Canonical, Gauge, GaugeName, Level, Turn, Vader, WINDOW, canonical, gauges};

fn windows<'t>(turns: &'t [Turn<'t>]) -> impl Iterator<Item = Vec<Turn<'t>>> {
    (WINDOW..=turns.len()).map(|end| {
        let start = end - WINDOW;
        let shift = |turn: &Turn<'t>| Turn { answers: turn.answers.and_then(|i| i.checked_sub(start)), ..turn.clone() };
        turns[start..end].iter().map(shift).collect()
    })
}

fn named(name: &str) -> Canonical {
    canonical().into_iter().find(|transcript| transcript.name == name).expect("a canonical transcript")
}

#[test]
fn every_gauge_of_every_transcript_is_in_its_band() {
    let vader = Vader::new();
    let mut outside = Vec::new();
    let mut read = 0;
    for transcript in canonical() {
        assert!(transcript.turns.len() >= 24, "{}", transcript.name);
        let turns = transcript.scored(&vader);
        for (at, window) in windows(&turns).enumerate() {
            for seed in [0, 1, 0x5eed] {
                for (name, gauge) in gauges(&vader, &window, seed) {
                    let [low, high] = transcript.expected[&name];
                    let value = gauge.standardised.unwrap();
                    read += 1;
                    if !(low..=high).contains(&value) {
                        outside.push(format!(
                            "{} window {at} seed {seed} {}: {value:.3} not in {low}..{high}",
                            transcript.name,
                            name.as_str()
                        ));
                    }
                }
            }
        }
    }
    assert!(outside.is_empty(), "{}", outside.join("\n"));
    assert!(read > 1300);
}

#[test]
fn a_gauge_keeps_its_contract() {
    let vader = Vader::new();
    for transcript in canonical() {
        let turns = transcript.scored(&vader);
        for end in 0..=turns.len() {
            let read = gauges(&vader, &turns[..end], 7);
            assert_eq!(read.keys().copied().collect::<Vec<_>>(), GaugeName::ALL);
            assert_eq!(read, gauges(&vader, &turns[..end], 7), "the same seed, the same reading");
            for gauge in read.values() {
                match gauge {
                    Gauge {
                        value: Some(value),
                        standardised: Some(standardised),
                        null: Some([low, high]),
                        level,
                        interval,
                        alarm: None,
                        components: _,
                    } => {
                        // Two groups of two utterances are the least an interval can be read from.
                        assert_eq!(interval.is_some(), end >= 4);
                        let [from, to] = interval.unwrap_or([*value; 2]);
                        assert!(value.is_finite() && low.is_finite() && high.is_finite() && low <= high);
                        assert!(from.is_finite() && to.is_finite() && from <= *value && *value <= to);
                        assert!((0.0..=1.0).contains(standardised));
                        assert_eq!(*level, Level::of(*standardised));
                    }
                    gap => assert_eq!(*gap, Gauge::default()),
                }
            }
        }
        assert!(gauges(&vader, &[], 7).values().all(|gauge| *gauge == Gauge::default()));
        assert!(gauges(&vader, &turns, 7).values().all(|gauge| gauge.value.is_some()));
    }
}

#[test]
fn only_the_last_window_counts() {
    let vader = Vader::new();
    let turns = named("healthy_dialogue").scored(&vader);
    let last = windows(&turns).last().unwrap();
    assert_eq!(gauges(&vader, &turns, 3), gauges(&vader, &last, 3));
}

#[test]
fn an_answer_that_is_not_earlier_is_ignored() {
    let vader = Vader::new();
    let mut turns = named("healthy_dialogue").scored(&vader);
    turns.truncate(WINDOW);
    let mut broken = turns.clone();
    (turns[5].answers, broken[5].answers) = (None, Some(5));
    (turns[6].answers, broken[6].answers) = (None, Some(usize::MAX));
    assert_eq!(gauges(&vader, &turns, 3), gauges(&vader, &broken, 3));
}

#[test]
fn gauges_travel_as_json_and_back() {
    let vader = Vader::new();
    let read = gauges(&vader, &named("escalating_quarrel").scored(&vader), 1);
    let json = serde_json::to_string(&read).unwrap();
    assert!(json.contains(r#""emotional_intensity":{"value":0."#) && json.contains(r#""level":"high""#), "{json}");
    assert_eq!(serde_json::from_str::<psyche_core::measure::Gauges>(&json).unwrap(), read);
    // What logs of the first measures hold.
    let first = r#"{"value":0.5,"standardised":0.75,"null":[0.1,0.2],"level":"high"}"#;
    let gauge = serde_json::from_str::<Gauge>(first).unwrap();
    assert_eq!((gauge.interval, gauge.components.len(), &gauge.alarm), (None, 0, &None));
    assert_eq!(serde_json::to_string(&gauge).unwrap(), first);
    assert_eq!(
        serde_json::to_value(&gauges(&vader, &[], 1)[&GaugeName::Conflict]).unwrap()["value"],
        serde_json::Value::Null
    );
}
