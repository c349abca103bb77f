//! The analysis of made-up sessions whose truth is known.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod support;

use psyche_core::event::{CommandRefused, Event, Payload, TurnStarted};
use psyche_core::session::SessionStatus;
use psyche_core::words::{Hash, Words};
use psyche_core::{AgentId, Timestamp, UserId};
use psyche_lab::analysis::{Analysis, MAX_UTTERANCES, Range, Reading};
use support::{SESSION, Talk, Utterance};

fn analysed(talk: &Talk, range: Range) -> Analysis {
    let mut reading = Reading::new(SESSION, 1, range);
    for event in &talk.events {
        reading.push(event).unwrap();
    }
    reading.finish()
}

/// Four speakers in turn, each utterance of its own eight words in twenty, with sentiment around a level.
fn calm(utterances: usize, seed: u64) -> Talk {
    let mut talk = Talk::new(&["ada", "ben", "cleo", "dan"], seed);
    for i in 0..utterances {
        let level = talk.noise() * 0.2;
        let text = talk.chatter(20, 300);
        talk.say(Utterance { speaker: i % 4, to: Some((i + 1) % 4), text, sentiment: level, ..Utterance::default() });
    }
    talk
}

#[test]
fn a_calm_session_shows_nothing_that_is_not_there() {
    let (mut turned, mut trended) = (0, 0);
    for seed in 0..20 {
        let analysis = analysed(&calm(120, seed), Range::ALL);
        turned += usize::from(!analysis.turning_points.is_empty());
        trended += usize::from(analysis.trends.iter().any(|t| t.p_corrected.is_some_and(|p| p <= 0.05)));
    }
    // Both are corrected to one session in twenty.
    assert!(turned <= 3 && trended <= 3, "{turned} sessions with turning points, {trended} with trends, of 20");
}

#[test]
fn a_change_of_level_is_found_where_it_is() {
    let mut talk = calm(0, 3);
    for i in 0..160 {
        let level = if i < 100 { -0.3 } else { 0.4 } + talk.noise() * 0.2;
        let text = talk.chatter(20, 300);
        talk.say(Utterance { speaker: i % 4, to: None, text, sentiment: level, ..Utterance::default() });
    }
    let analysis = analysed(&talk, Range::ALL);
    let point = analysis.turning_points.iter().find(|point| point.measure == "sentiment").unwrap();
    assert!(point.turn.abs_diff(101) <= 3 && (point.change - 0.7).abs() < 0.15, "{point:?}");
    assert!(point.p_corrected <= 0.05 && point.before < -0.2 && point.after > 0.3);
    let trend = analysis.trends.iter().find(|trend| trend.measure == "sentiment").unwrap();
    assert!(trend.p_corrected.unwrap() < 0.05 && trend.interval.unwrap()[0] > 0.0, "{trend:?}");
    let gauge = analysis.trends.iter().find(|trend| trend.measure == "stagnation").unwrap();
    assert!(gauge.p.is_none() && gauge.note.as_ref().unwrap().contains("200 utterances"), "{gauge:?}");
}

#[test]
fn gauges_are_read_where_they_share_no_utterance() {
    let mut talk = Talk::new(&["ada", "ben"], 9);
    for i in 0..400 {
        let text = talk.chatter(20, 300);
        talk.say(Utterance { speaker: i % 2, text, ..Utterance::default() });
        talk.gauges();
    }
    let analysis = analysed(&talk, Range::ALL);
    let stagnation = &analysis.measures["stagnation"];
    assert_eq!((stagnation.n, stagnation.null.map(|band| band.map(|end| (end * 1e6).round()))), (20, Some([4e5, 6e5])));
    let [low, high] = stagnation.interval.unwrap();
    assert!(low < 0.5 && 0.5 < high && high - low < 0.15, "{stagnation:?}");
    let trend = analysis.trends.iter().find(|trend| trend.measure == "stagnation").unwrap();
    assert!((trend.n, trend.stride) == (20, 20) && trend.p.is_some() && trend.slope.is_some(), "{trend:?}");
    assert_eq!(
        trend.points.last().unwrap().0,
        talk.events.iter().rev().find(|e| e.payload.kind() == "agent_message").unwrap().seq
    );
}

#[test]
fn a_stimulus_that_brings_new_words_shows_as_novelty() {
    let mut talk = calm(0, 5);
    // A small vocabulary, then another one.
    for i in 0..200 {
        if i == 120 {
            talk.stimulus("revelation");
        }
        let text = if i < 120 { talk.chatter(12, 30) } else { talk.chatter_from(12, 1_000, 400) };
        talk.say(Utterance { speaker: i % 4, to: None, text, ..Utterance::default() });
    }
    let analysis = analysed(&talk, Range::ALL);
    let [intervention] = &analysis.interventions[..] else { panic!("{:?}", analysis.interventions) };
    assert_eq!((intervention.kind.as_str(), intervention.detail.as_deref()), ("stimulus", Some("revelation")));
    let [low, high] = intervention.interval.unwrap();
    let effect = intervention.effect.unwrap();
    assert!(effect > 1.0 && low > 0.0 && low < effect && effect < high, "{intervention:?}");
    for measure in ["novelty", "novelty_spike"] {
        let effect = intervention.effects.iter().find(|effect| effect.measure == measure).unwrap();
        assert!(effect.p.unwrap() <= 0.05 && effect.after > effect.before, "{effect:?}");
    }
    // Nothing was done to the sentiment.
    let other = intervention.effects.iter().find(|effect| effect.measure == "sentiment").unwrap();
    assert!(other.p.is_none_or(|p| p > 0.05), "{other:?}");
}

#[test]
fn voices_apart_overlap_less_than_chance_and_voices_alike_do_not() {
    let mut talk = Talk::new(&["ada", "ben", "cleo"], 8);
    for i in 0..90 {
        // Ada and Ben share a vocabulary; Cleo has one of her own.
        let text = if i % 3 == 2 { talk.chatter_from(20, 500, 40) } else { talk.chatter(20, 40) };
        let to = if i % 3 == 0 { Some(1) } else { None };
        talk.say(Utterance { speaker: i % 3, to, text, ..Utterance::default() });
    }
    let matrix = analysed(&talk, Range::ALL).matrix;
    assert_eq!(matrix.counts[0], [0, 30, 0, 0]);
    assert_eq!(matrix.counts[2], [0, 0, 0, 30]);
    let at = |i: usize, j: usize| (matrix.overlap[i][j].unwrap(), matrix.overlap_null[i][j].unwrap());
    let ((alike, [low, high]), (apart, [lowest, _])) = (at(0, 1), at(0, 2));
    assert!(alike > high && alike > low, "{alike} {low} {high}: those who share words share more than chance");
    assert!(apart < lowest && apart < 0.05, "{apart} {lowest}");
    assert_eq!(matrix.overlap[0][2], matrix.overlap[2][0]);
    assert_eq!(matrix.overlap[1][1], None);
}

#[test]
fn whose_words_foretell_whose_is_refused_until_there_is_enough() {
    let short = analysed(&calm(120, 1), Range::ALL);
    assert!(short.influence.edges.is_empty() && short.influence.note.as_ref().unwrap().contains("200 transitions"));
    // Ben says with what feeling Ada spoke before.
    let mut talk = Talk::new(&["ada", "ben"], 2);
    let mut before = 0.0;
    for i in 0..600 {
        let sentiment = if i % 2 == 0 { talk.noise() * 0.3 } else { before + talk.noise() * 0.03 };
        before = sentiment;
        let text = talk.chatter(12, 200);
        talk.say(Utterance { speaker: i % 2, text, sentiment, ..Utterance::default() });
    }
    let long = analysed(&talk, Range::ALL).influence;
    let edge = |from: &str| long.edges.iter().find(|edge| edge.from == from).unwrap();
    assert!(edge("ada").p_corrected <= 0.05 && edge("ada").value > edge("ada").null[1], "{:?}", edge("ada"));
    assert!(edge("ben").p_corrected > 0.05, "{:?}", edge("ben"));
}

#[test]
fn voices_are_told_apart_only_where_they_differ() {
    let voices = |apart: u32| {
        let mut talk = Talk::new(&["ada", "ben", "cleo"], 6);
        for i in 0..90 {
            let text = talk.chatter_from(20, apart * (i % 3) as u32, 60);
            talk.say(Utterance { speaker: i % 3, text, ..Utterance::default() });
        }
        analysed(&talk, Range::ALL).measures["voice_collapse"].clone()
    };
    let (same, own) = (voices(0), voices(60));
    assert!(same.value.unwrap() <= same.null.unwrap()[1] + 0.05, "{same:?}");
    assert!(own.value.unwrap() > 0.6 && own.value.unwrap() > own.null.unwrap()[1] && own.n == 30, "{own:?}");
}

#[test]
fn performance_counts_what_happened() {
    let mut talk = Talk::new(&["ada", "ben"], 1);
    for i in 0..10 {
        let latency_ms = 100 * (i as u64 + 1);
        talk.say(Utterance { speaker: 0, text: "Well then.".into(), latency_ms, ..Utterance::default() });
    }
    talk.failure(1);
    talk.say(Utterance { speaker: 1, text: "Yes, cut".into(), attempt: 2, truncated: true, ..Utterance::default() });
    let analysis = analysed(&talk, Range::ALL);
    let [ada, ben] = &analysis.agents[..] else { panic!() };
    assert_eq!((ada.latency.p50_ms, ada.latency.p95_ms.map(f64::round), ada.latency.n), (Some(550.0), Some(955.0), 10));
    assert_eq!((ada.tokens, ada.utterances, ada.models.len()), (300, 10, 1));
    assert_eq!((ben.failures["timeout"], ben.retried, ben.truncated, ben.tokens), (1, 1, 1, 37));
    let reliability = analysis.quality.parts.iter().find(|part| part.name == "reliability").unwrap();
    assert_eq!(reliability.value, Some(11.0 / 12.0));
    let shares = &analysis.shares;
    assert_eq!((shares.speakers[0].utterances, shares.speakers[0].words), (10, 20));
    assert_eq!((shares.balance.gini_utterances, shares.balance.dominance_switches), (None, 0), "fixed by the schedule");
    assert!((shares.balance.gini_words.unwrap() - (20.0 / 22.0 - 0.5)).abs() < 1e-12);
}

#[test]
fn a_range_is_what_lies_in_it() {
    let talk = calm(60, 2);
    let whole = analysed(&talk, Range::ALL);
    let middle = Range { from: whole.trends[0].points[10].0, to: whole.trends[0].points[29].0 };
    assert_eq!((whole.trends[0].measure.as_str(), whole.trends[0].n), ("novelty", 40));
    let part = analysed(&talk, middle);
    assert_eq!((part.from, part.to), (middle.from, middle.to));
    assert_eq!(part.utterances, 20);
    assert_eq!(part.shares.speakers.len(), 4, "who is who comes from before the range");
    let novelty = |analysis: &Analysis| analysis.trends.iter().find(|t| t.measure == "novelty").unwrap().points.clone();
    assert_eq!(novelty(&part), novelty(&whole)[10..30], "and so does what is new");
    let nothing = analysed(&talk, Range { from: 1, to: 1 });
    assert_eq!((nothing.utterances, nothing.turning_points.len(), nothing.quality.value), (0, 0, None));
    assert_eq!(analysed(&talk, Range::ALL), whole, "the same log gives the same document");
}

#[test]
fn events_that_say_nothing_still_count_as_read() {
    let talk = calm(3, 2);
    let mut reading = Reading::new(SESSION, 1, Range::ALL);
    let mut hash = Hash::ZERO;
    for event in &talk.events {
        let record = event.record(&hash, 0);
        hash = record.hash;
        reading.take(&record).unwrap();
    }
    let dropped = CommandRefused { command_id: "x".into(), status: SessionStatus::Paused, message: "no".into() };
    let seq = talk.events.len() as u64 + 1;
    let last = Event { generation: 1, seq, at: Timestamp(0), payload: dropped.into() };
    reading.take(&last.record(&hash, 0)).unwrap();
    // Who remembers an analysis asks by the last event whether it is of now.
    assert_eq!(reading.finish().to, seq);
}

#[test]
fn a_person_who_speaks_up_takes_nobodys_answer() {
    let mut talk = Talk::new(&["ada", "ben"], 1);
    talk.say(Utterance { text: "Well then.".into(), ..Utterance::default() });
    let said = talk.events.iter().find(|event| event.payload.kind() == "agent_message").unwrap().clone();
    let started: TurnStarted = serde_json::from_value(serde_json::json!({
        "turn": 2, "attempt": 1, "round": 1, "agent_id": "ben", "recipient": "ada", "recipients": ["ada"],
        "message_type": "normal", "seed": 1, "model": "scripted", "style": "full", "event_seqs": [said.seq],
        "stimuli": [], "answers": said.seq, "prompt_digest": Hash::ZERO, "reserved": 9,
        "sampling": {"temperature": 0.0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "no_repeat_ngram": 0,
                     "max_tokens": 9, "stop": []},
    }))
    .unwrap();
    talk.push(started);
    let mut aloud = said.payload.clone();
    if let Payload::AgentMessage(message) = &mut aloud {
        message.agent_id = AgentId::new("user");
        message.metadata.user_id = Some(UserId(uuid::Uuid::nil()));
        message.metadata.turn = 2;
    }
    talk.push(aloud);
    talk.say(Utterance { speaker: 1, text: "Yes.".into(), ..Utterance::default() });
    let analysis = analysed(&talk, Range::ALL);
    assert_eq!(analysis.measures["style_matching"].n, 1);
    assert_eq!(analysis.interventions[0].kind, "speech");
}

#[test]
fn erased_words_are_counted_and_not_read() {
    let mut talk = calm(40, 2);
    let mut erased = 0;
    for event in &mut talk.events {
        if let Payload::AgentMessage(message) = &mut event.payload
            && message.metadata.turn % 4 == 1
        {
            message.content = Words::Erased(Hash::of(b"gone"));
            erased += 1;
        }
    }
    let analysis = analysed(&talk, Range::ALL);
    assert_eq!((analysis.erased, analysis.utterances), (erased, 40));
    assert_eq!((analysis.shares.speakers[0].words, analysis.shares.speakers[0].utterances), (0, 10));
    assert!(analysis.notes.iter().any(|note| note.contains("erased")));
    assert!(analysis.matrix.overlap[0].iter().all(Option::is_none));
}

#[test]
fn a_range_that_holds_too_much_says_where_to_cut() {
    let mut talk = Talk::new(&["ada", "ben"], 1);
    talk.say(Utterance { text: "One.".into(), ..Utterance::default() });
    let mut reading = Reading::new(SESSION, 1, Range::ALL);
    reading.push(&talk.events[0]).unwrap();
    let message = talk.events.iter().find(|event| event.payload.kind() == "agent_message").unwrap();
    let mut seq = 1;
    let refused = loop {
        seq += 1;
        let mut event = message.clone();
        event.seq = seq;
        if let Err(refused) = reading.push(&event) {
            break refused;
        }
    };
    assert_eq!(refused.reached, MAX_UTTERANCES as u64 + 1);
    assert!(refused.to_string().contains("ask for a smaller one"), "{refused}");
}
