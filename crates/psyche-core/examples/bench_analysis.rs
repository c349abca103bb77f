//! Prints what the measures of a whole session cost: `cargo run --release -p psyche-core --example bench_analysis`.
//!
//! Sessions of 100 to 10,000 utterances, put together from members of the healthy family. Those that look at a bounded
//! number of utterances stay flat, the others grow with the length; none runs while a session is live.

use psyche_core::measure::families::{Family, Member};
use psyche_core::measure::{
    Turn, Vader, WINDOW, alarm, balance, by_speaker, gauges, influence, integration, recurrence, self_bleu, self_test,
    style_matching, voice_collapse,
};
use std::hint::black_box;
use std::time::Instant;

const LENGTHS: [usize; 3] = [100, 1_000, 10_000];

fn main() {
    let vader = Vader::new();
    let members: Vec<Member> = (0..300).map(|number| Family::HealthyDialogue.member(number)).collect();
    let turns: Vec<Turn<'_>> = members
        .iter()
        .flat_map(|member| member.scored(&vader))
        .enumerate()
        .map(|(i, turn)| Turn { answers: i.checked_sub(1), ..turn })
        .collect();
    for length in LENGTHS {
        let turns = &turns[..length];
        let texts: Vec<&str> = turns.iter().map(|turn| turn.text).collect();
        let words: Vec<(&str, usize)> =
            turns.iter().map(|turn| (turn.speaker, turn.text.split_whitespace().count())).collect();
        println!("{length} utterances");
        timed("gauges and alarms of one more", || {
            let mut read = gauges(&vader, &turns[length - WINDOW..], 1);
            alarm::chart(&read.clone(), &mut read);
            read
        });
        timed("self-BLEU", || self_bleu::self_bleu(&texts));
        timed("recurrence", || recurrence::recurrence(&texts, 1));
        timed("agents side by side", || by_speaker::by_speaker(turns));
        timed("balance", || balance::balance(&words, &[], true));
        timed("style matching", || style_matching::style_matching(turns, 1));
        timed("voice collapse", || voice_collapse::voice_collapse(turns, 1));
        timed("integration", || integration::integration(turns));
        timed("influence", || {
            let course = influence::course(turns, "ego", "shadow", |turn| turn.compound);
            influence::influence(&[course], 1)
        });
    }
    timed("self-test", || self_test(&vader));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed<T>(what: &str, work: impl Fn() -> T) {
    let start = Instant::now();
    black_box(work());
    println!("  {what:30} {:8.2} ms", start.elapsed().as_secs_f64() * 1e3);
}
