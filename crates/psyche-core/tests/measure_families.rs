//! The families of the canonical transcripts: what separates them, how often healthy talk alarms, how the second
//! opinions agree. `--no-capture` shows the figures.

use psyche_core::measure::alarm::{self, FALSE_ALARMS_PER_100};
use psyche_core::measure::families::{Family, MEMBERS, Member};
use psyche_core::measure::{
    Gauge, GaugeName, Gauges, Vader, WINDOW, distinct, gauges, lexical_diversity, recurrence, self_bleu, self_test,
    style_matching, voice_collapse,
};
use std::collections::{BTreeMap, BTreeSet};

/// Members that took no part in setting the alarms.
const UNSEEN: std::ops::Range<u64> = 1000..1030;

#[test]
fn members_are_many_different_and_the_same_again() {
    for family in Family::ALL {
        let members: Vec<Member> = family.members().collect();
        assert!(MEMBERS >= 20 && members.len() == MEMBERS as usize);
        for (number, member) in members.iter().enumerate() {
            assert!(member.turns.len() >= 24, "{} {number}: {}", family.as_str(), member.turns.len());
            assert_eq!(*member, family.member(number as u64));
            assert!(!members[..number].contains(member));
            for (i, said) in member.turns.iter().enumerate() {
                assert!(!said.text.trim().is_empty() && !said.text.contains("{x}"), "{}", said.text);
                assert!(said.answers.is_none_or(|j| j < i));
            }
        }
    }
    // No healthy dialogue is a trivial copy of another.
    let texts: Vec<BTreeSet<String>> = Family::HealthyDialogue
        .members()
        .map(|member| member.turns.into_iter().map(|said| said.text).collect())
        .collect();
    let mut shared: f64 = 0.0;
    for (i, a) in texts.iter().enumerate() {
        for b in &texts[..i] {
            shared = shared.max(a.intersection(b).count() as f64 / a.len().min(b.len()) as f64);
        }
    }
    println!("utterances that two healthy dialogues share: at most {:.0} %", 100.0 * shared);
    assert!(shared < 0.1);
}

#[test]
fn the_self_test_holds() {
    let rows = self_test(&Vader::new());
    assert_eq!(rows.len(), 60);
    for row in &rows {
        println!(
            "{:20} {:9} {:20} expected {:.2}..{:.2} read {:.3}..{:.3} {}",
            row.name,
            if row.family { "family" } else { "canonical" },
            row.gauge.as_str(),
            row.expected[0],
            row.expected[1],
            row.reading[0],
            row.reading[1],
            if row.ok { "" } else { "OUTSIDE" }
        );
    }
    assert!(rows.iter().all(|row| row.ok));
}

#[test]
fn stagnation_separates_the_looping_from_the_progressing_families() {
    let read =
        |family: Family| last(family, GaugeName::Stagnation).into_iter().map(|gauge| gauge.standardised.unwrap());
    let looping: Vec<f64> = [Family::PerfectLoop, Family::GratitudeLoop].into_iter().flat_map(read).collect();
    let progressing: Vec<f64> =
        [Family::HealthyDialogue, Family::EscalatingQuarrel, Family::RandomWords].into_iter().flat_map(read).collect();
    let auc = auc(&looping, &progressing);
    println!("AUC of stagnation, {} looping and {} progressing: {auc:.4}", looping.len(), progressing.len());
    assert!(auc >= 0.95);
}

#[test]
fn the_conflict_of_quarrels_lies_above_healthy_talk_with_no_overlap_of_intervals() {
    let bounds = |family| last(family, GaugeName::Conflict).into_iter().map(|gauge| gauge.interval.unwrap());
    let lowest = bounds(Family::EscalatingQuarrel).map(|bounds| bounds[0]).fold(f64::MAX, f64::min);
    let highest = bounds(Family::HealthyDialogue).map(|bounds| bounds[1]).fold(f64::MIN, f64::max);
    println!("lowest bound of a quarrel {lowest:.3}, highest of a healthy dialogue {highest:.3}");
    assert!(lowest > highest);
}

#[test]
fn healthy_talk_alarms_no_more_often_than_stated() {
    let vader = Vader::new();
    let (mut raised, mut turns): (BTreeMap<GaugeName, usize>, usize) = (BTreeMap::new(), 0);
    for number in UNSEEN {
        let courses = charts(&vader, &Family::HealthyDialogue.member(number));
        turns += courses.len();
        for (name, count) in courses.windows(2).flat_map(|pair| risen(&pair[0], &pair[1])) {
            *raised.entry(name).or_default() += count;
        }
    }
    for name in GaugeName::ALL {
        let rate = 100.0 * raised.get(&name).copied().unwrap_or(0) as f64 / turns as f64;
        println!("{:20} {rate:.2} false alarms in 100 turns ({turns} turns)", name.as_str());
        assert!(rate <= FALSE_ALARMS_PER_100, "{}", name.as_str());
    }
}

#[test]
fn what_is_wrong_raises_its_alarm() {
    let vader = Vader::new();
    for (family, name) in [
        (Family::PerfectLoop, GaugeName::Stagnation),
        (Family::PerfectLoop, GaugeName::Repetition),
        (Family::GratitudeLoop, GaugeName::Stagnation),
        (Family::GratitudeLoop, GaugeName::EmotionalIntensity),
        (Family::GratitudeLoop, GaugeName::Diversity),
        (Family::EscalatingQuarrel, GaugeName::Conflict),
        (Family::GratitudeLoop, GaugeName::Engagement),
    ] {
        let mut turns = Vec::new();
        for member in family.members() {
            let courses = charts(&vader, &member);
            let raised = |gauges: &Gauges| gauges[&name].alarm.as_ref().is_some_and(|alarm| alarm.raised);
            let first = courses.iter().position(raised);
            turns.push(first.unwrap_or_else(|| panic!("{} never alarms: {}", family.as_str(), name.as_str())) + 1);
        }
        turns.sort_unstable();
        println!(
            "{:20} {:20} raised after {} turns in the median, at most {}",
            family.as_str(),
            name.as_str(),
            turns[turns.len() / 2],
            turns[turns.len() - 1]
        );
    }
}

/// What the interval promises: the level that talk of this kind has in the long run lies in it.
#[test]
fn intervals_cover_the_level_of_their_family() {
    for name in GaugeName::ALL {
        let readings: Vec<Gauge> = last(Family::HealthyDialogue, name);
        let level = readings.iter().map(|gauge| gauge.value.unwrap()).sum::<f64>() / readings.len() as f64;
        let covers = |gauge: &&Gauge| gauge.interval.is_some_and(|[low, high]| low <= level && level <= high);
        let covered = readings.iter().filter(covers).count();
        println!("{:20} {covered} of {} intervals cover {level:.3}", name.as_str(), readings.len());
        assert!(covered as f64 >= 0.8 * readings.len() as f64, "{}", name.as_str());
    }
}

#[test]
fn second_opinions_separate_loops_from_healthy_talk() {
    let read = |family: Family, of: &dyn Fn(&[&str]) -> f64| -> Vec<f64> {
        let texts = |member: Member| member.turns.into_iter().map(|said| said.text).collect::<Vec<_>>();
        family
            .members()
            .map(texts)
            .map(|texts| of(&texts[texts.len() - WINDOW..].iter().map(String::as_str).collect::<Vec<_>>()))
            .collect()
    };
    // Distinct-n depends on the length, so every window gives its first 200 words.
    let budget = |texts: &[&str]| texts.join(" ").split_whitespace().take(200).collect::<Vec<_>>().join(" ");
    type Opinion<'a> = (&'a str, &'a dyn Fn(&[&str]) -> f64);
    let opinions: [Opinion<'_>; 7] = [
        ("self-BLEU", &|texts| self_bleu::self_bleu(texts).unwrap()),
        ("distinct-1 (low)", &|texts| -distinct::distinct([budget(texts).as_str()].into_iter(), 1).unwrap()),
        ("distinct-2 (low)", &|texts| -distinct::distinct([budget(texts).as_str()].into_iter(), 2).unwrap()),
        ("MATTR (low)", &|texts| -lexical_diversity::mattr(texts.iter().copied()).unwrap()),
        ("HD-D (low)", &|texts| -lexical_diversity::hd_d(texts.iter().copied()).unwrap()),
        ("recurrence rate", &|texts| recurrence::recurrence(texts, 1).unwrap().rate),
        ("determinism", &|texts| recurrence::recurrence(texts, 1).unwrap().determinism.unwrap_or(0.0)),
    ];
    for (name, of) in opinions {
        let healthy = read(Family::HealthyDialogue, of);
        let gratitude = auc(&read(Family::GratitudeLoop, of), &healthy);
        let perfect = auc(&read(Family::PerfectLoop, of), &healthy);
        println!("{name:18} AUC gratitude loop {gratitude:.3}, perfect loop {perfect:.3}");
        assert!(gratitude >= 0.95, "{name}");
        // These read 42 to 200 words, and a long round holds little twice within them.
        let blind = name.ends_with("(low)");
        assert!(blind || perfect >= 0.95, "{name}");
    }
}

/// The material of the healthy family knows no speakers: whoever speaks, the words come from one place.
#[test]
fn where_nobody_has_a_voice_the_nulls_are_rejected_about_as_often_as_they_say() {
    let vader = Vader::new();
    let (mut voices, mut styles) = (0, 0);
    for number in UNSEEN {
        let member = Family::HealthyDialogue.member(number);
        let turns = member.scored(&vader);
        let voice = voice_collapse::voice_collapse(&turns, number).unwrap();
        voices += usize::from(voice.value > voice.null[1]);
        let style = style_matching::style_matching(&turns, number);
        styles += usize::from(style.matching.unwrap() > style.null.unwrap()[1]);
    }
    println!("above the 95th percentile of the null, of 30: voices {voices}, style matching {styles} (1.5 expected)");
    assert!(voices <= 5 && styles <= 5);
}

/// The gauge of the last window of every member.
fn last(family: Family, name: GaugeName) -> Vec<Gauge> {
    let vader = Vader::new();
    let read = |(number, member): (u64, Member)| gauges(&vader, &member.scored(&vader), number)[&name].clone();
    (0..).zip(family.members()).map(read).collect()
}

/// All gauges with their alarms, turn by turn.
fn charts(vader: &Vader, member: &Member) -> Vec<Gauges> {
    let turns = member.scored(vader);
    let mut courses: Vec<Gauges> = Vec::with_capacity(turns.len());
    for end in 1..=turns.len() {
        let mut read = gauges(vader, &turns[..end], end as u64);
        alarm::chart(courses.last().unwrap_or(&Gauges::new()), &mut read);
        courses.push(read);
    }
    courses
}

fn risen(before: &Gauges, after: &Gauges) -> Vec<(GaugeName, usize)> {
    let raised = |gauges: &Gauges, name| gauges[&name].alarm.as_ref().is_some_and(|alarm| alarm.raised);
    GaugeName::ALL.into_iter().map(|name| (name, usize::from(raised(after, name) && !raised(before, name)))).collect()
}

/// The chance that a member of `high` lies above one of `low`, ties counting half.
fn auc(high: &[f64], low: &[f64]) -> f64 {
    let wins: f64 = high
        .iter()
        .flat_map(|a| low.iter().map(move |b| f64::midpoint(f64::from(u8::from(a > b)), f64::from(u8::from(a >= b)))))
        .sum();
    wins / (high.len() * low.len()) as f64
}
