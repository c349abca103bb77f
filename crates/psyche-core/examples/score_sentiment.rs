//! Scores texts on standard input (one a line, JSON strings), and prints the seconds that took and one compound score a
//! line: `cargo xtask sentiment` holds it against vaderSentiment.

use psyche_core::measure::Vader;
use std::io::{BufRead as _, Error, Write as _, stdin, stdout};
use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn main() -> Result<(), Error> {
    let texts: Vec<String> =
        stdin().lock().lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<_, Error>>()?;
    let vader = Vader::new();
    let start = Instant::now();
    let scores: Vec<f64> = texts.iter().map(|text| vader.score(text).compound).collect();
    let seconds = start.elapsed().as_secs_f64();
    let mut out = stdout().lock();
    writeln!(out, "{seconds}")?;
    scores.iter().try_for_each(|score| writeln!(out, "{score}"))
}
