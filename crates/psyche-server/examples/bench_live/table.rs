//! Runs rows several times, product and floor by turns, and prints medians beside the goals.

use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;
use crate::rows::{self, ROWS, Row, Sample};

/// A tool that needs its whole core may be what was measured.
const BUSY_PERCENT: f64 = 95.0;

/// True when every row keeps what it promises.
pub fn run(psyche: &Path, runs: usize, quick: bool, only: &[String], json: Option<&Path>) -> Outcome<bool> {
    if let Some(unknown) = only.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row {unknown:?}; there are {}", names.join(", ")).into());
    }
    println!("{runs} run(s) of each row, product and floor by turns; medians");
    let mut results = Vec::new();
    let mut all_met = true;
    for row in ROWS.iter().filter(|row| only.is_empty() || only.iter().any(|name| name == row.name)) {
        let result = match samples(row, psyche, runs, quick) {
            Ok(samples) => judge(row, &samples),
            Err(error) if crate::leaving() => return Err(error),
            Err(error) => {
                println!("{:11} FAILED: {error}", row.name);
                json!({"row": row.name, "verdict": "failed", "error": error.to_string()})
            }
        };
        all_met &= result["verdict"] == "met" || result["verdict"] == "aim met";
        results.push(result);
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&json!({"runs": runs, "quick": quick, "rows": results}))?)?;
    }
    Ok(all_met)
}

fn samples(row: &Row, psyche: &Path, runs: usize, quick: bool) -> Outcome<Vec<Sample>> {
    let mut sample = rows::sampler(row, psyche, quick)?;
    (0..runs).map(|run| sample(run % 2 == 1)).collect()
}

/// Prints a row and returns it as JSON.
fn judge(row: &Row, samples: &[Sample]) -> Value {
    let product = median(samples.iter().map(|s| s.product));
    let floor = row.floor.map(|_| median(samples.iter().filter_map(|s| s.floor)));
    let figure = floor.map_or(product, |floor| product / floor);
    let reaches = |goal: f64| if row.more_is_better { figure >= goal } else { figure <= goal };
    let mut faults: Vec<String> = samples.iter().flat_map(|s| s.faults.iter().cloned()).collect();
    let verdict = match (faults.is_empty(), reaches(row.least), reaches(row.aim)) {
        (true, true, true) => "aim met",
        (true, true, false) => "met",
        _ => "SHORT",
    };
    let mut notes: Vec<(&str, f64)> = Vec::new();
    for (name, _) in samples.iter().flat_map(|s| &s.notes) {
        if notes.iter().all(|(known, _)| known != name) {
            let values = samples.iter().flat_map(|s| &s.notes).filter(|(other, _)| other == name).map(|(_, v)| *v);
            notes.push((name, median(values)));
        }
    }
    let busy = notes.iter().find(|(name, share)| name.contains("tool share") && *share >= BUSY_PERCENT);
    faults.extend(busy.map(|(name, share)| format!("{name} is {share:.0}: the tool itself may be the limit")));

    let sign = if row.more_is_better { ">=" } else { "<=" };
    let compared = row.floor.zip(floor).map_or_else(String::new, |(name, floor)| {
        format!("  {name} {}  ratio {}", short(floor), short(product / floor))
    });
    println!(
        "{:11} {} {}{compared}  at least {sign} {}  aim {sign} {}  {verdict}",
        row.name,
        short(product),
        row.unit,
        short(row.least),
        short(row.aim),
    );
    let noted: Vec<_> = notes.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
    if !noted.is_empty() {
        println!("            {}", noted.join(", "));
    }
    for fault in &faults {
        println!("            ! {fault}");
    }
    json!({
        "row": row.name, "unit": row.unit, "product": product, "floor": floor, "compared_with": row.floor,
        "figure": figure, "at_least": row.least, "aim": row.aim, "verdict": verdict, "faults": faults,
        "notes": notes.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "samples": samples.iter().map(|s| json!({"product": s.product, "floor": s.floor})).collect::<Vec<_>>(),
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
