//! Prints how far the alarms are from false ones: `cargo run -p psyche-core --example calibrate_alarms`.
//!
//! For every gauge, how bad healthy dialogues read, and the smallest threshold h at which a CUSUM with the reference
//! value k of `measure/alarm.rs` is raised no more often than promised. The dialogues are members 0 to 199 of the
//! healthy family; the tests count on others.

use psyche_core::measure::alarm::{self, FALSE_ALARMS_PER_100};
use psyche_core::measure::families::Family;
use psyche_core::measure::{GaugeName, Vader, WINDOW, gauges};
use std::collections::BTreeMap;

const MEMBERS: u64 = 200;

fn main() {
    let vader = Vader::new();
    // Of each gauge, for each dialogue, how bad each turn read.
    let mut courses: BTreeMap<GaugeName, Vec<Vec<f64>>> = BTreeMap::new();
    for number in 0..MEMBERS {
        let member = Family::HealthyDialogue.member(number);
        let turns = member.scored(&vader);
        let mut course: BTreeMap<GaugeName, Vec<f64>> = BTreeMap::new();
        for end in 1..=turns.len() {
            for (name, gauge) in gauges(&vader, &turns[end.saturating_sub(WINDOW)..end], number << 8 | end as u64) {
                let bad = gauge.standardised.map(|standardised| alarm::badness(name, standardised));
                course.entry(name).or_default().extend(bad);
            }
        }
        for (name, course) in course {
            courses.entry(name).or_default().push(course);
        }
    }
    for (name, courses) in courses {
        let mut all: Vec<f64> = courses.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        let [k, h] = alarm::limits(name);
        println!(
            "{:20} {} turns; bad: median {:.3}, 95 % {:.3}, 99 % {:.3}, most {:.3}",
            name.as_str(),
            all.len(),
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0)
        );
        for k in [k, k - 0.1, k - 0.2] {
            let smallest =
                (1..=60).map(|step| f64::from(step) * 0.1).find(|h| rate(&courses, k, *h) <= FALSE_ALARMS_PER_100);
            println!("  k {k:.1}: h at least {smallest:?}");
        }
        println!("  written: k {k}, h {h}: {:.2} false alarms in 100 turns", rate(&courses, k, h));
    }
}

/// How often the alarm is raised, in 100 turns.
fn rate(courses: &[Vec<f64>], k: f64, h: f64) -> f64 {
    let (mut raised, mut turns) = (0usize, 0usize);
    for course in courses {
        let mut sum: f64 = 0.0;
        for bad in course {
            let before = sum >= h;
            sum = (sum + bad - k).clamp(0.0, 2.0 * h);
            raised += usize::from(sum >= h && !before);
            turns += 1;
        }
    }
    100.0 * raised as f64 / turns as f64
}
