//! The table: every row with its goal, and how one sample of it is taken.

use std::path::Path;

use crate::Outcome;
use crate::floor::Kind;
use crate::measure::{self, Figures, Plan};
use crate::model::ModelServer;
use crate::product::{Installation, Needs};
use crate::{join, post, restart, stall, tokens};

/// What a row promises. A goal with a floor is a multiple of it, the others are absolute.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    /// What it is compared with, in the same run.
    pub floor: Option<&'static str>,
    pub more_is_better: bool,
    pub least: f64,
    pub aim: f64,
}

const fn row(name: &'static str, unit: &'static str, floor: Option<&'static str>, least: f64, aim: f64) -> Row {
    Row { name, unit, floor, more_is_better: aim > least, least, aim }
}

pub const ROWS: [Row; 11] = [
    row("cpu", "us/delivery", Some("tcp"), 1.35, 1.1),
    row("saturation", "deliveries/s", Some("axum"), 8.0, 12.0),
    row("tokens", "us/delivery", Some("tcp"), 0.35, 0.2),
    row("p99", "ms", Some("tcp"), 1.3, 1.0),
    row("memory", "KiB/reader", None, 8.0, 4.0),
    row("cuts", "ms caught up p99", None, 60.0, 25.0),
    row("stall", "ms p99 of the others", Some("nobody stalled"), 1.25, 1.25),
    row("connect", "readers/s", None, 6_000.0, 10_000.0),
    row("sessions", "us/delivery", None, 25.0, 15.0),
    row("post", "ms beyond the fsync, p50", None, 5.0, 2.0),
    row("restart", "s until all have everything", None, 90.0, 20.0),
];

/// One run of a row.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub product: f64,
    pub floor: Option<f64>,
    /// Whatever else is worth knowing, by name; the table shows the medians.
    pub notes: Vec<(&'static str, f64)>,
    /// What broke a promise besides the row's own figure.
    pub faults: Vec<String>,
}

pub type Sampler = Box<dyn FnMut(bool) -> Outcome<Sample>>;

/// Makes what a row needs. The sampler takes one sample; the flag says whether the floor goes first.
pub fn sampler(row: &Row, psyche: &Path, quick: bool) -> Outcome<Sampler> {
    let seconds = if quick { 3.0 } else { 10.0 };
    let plain = Plan::plain(seconds);
    let quiet = |readers, sessions| Installation::make(psyche, &Needs::quiet(readers, sessions));
    Ok(match row.name {
        "cpu" => against(quiet(1_000, 1)?, plain, Kind::Tcp, |f| f.cpu_us_per_delivery),
        "saturation" => {
            let plan = Plan { in_flight: Some(16), ..plain };
            let mut both = against(quiet(1_000, 1)?, plan.clone(), Kind::Axum, |f| f.deliveries_per_s);
            Box::new(move |floor_first| {
                let mut sample = both(floor_first)?;
                let prompt = measure::floor(Kind::AxumNodelay, &plan)?.deliveries_per_s;
                sample.notes.push(("axum with TCP_NODELAY deliveries/s", prompt));
                sample.notes.push(("ratio to that", sample.product / prompt));
                Ok(sample)
            })
        }
        "tokens" => token_bursts(psyche, seconds)?,
        "p99" => {
            let plan = Plan { readers: 5_000, rate: 4.0, ..plain };
            against(quiet(5_000, 1)?, plan, Kind::Tcp, |f| f.p99_ms.unwrap_or(f64::NAN))
        }
        "memory" => {
            let made = quiet(5_000, 1)?;
            let idle_s = if quick { 1.0 } else { 5.0 };
            Box::new(move |_| {
                let joined = join::join(&made, false, idle_s)?;
                Ok(Sample { product: joined.memory_kib_each, ..Sample::default() })
            })
        }
        "cuts" => {
            let plan = Plan { rate: 30.0, cut: Some((5, 200)), ..plain };
            let made = quiet(1_000, 1)?;
            Box::new(move |_| {
                let figures = measure::product(&made, &plan)?;
                let caught_up = figures.caught_up_p99_ms.ok_or("nobody came back")?;
                let mut notes = notes(&figures);
                notes.push(("cuts", figures.cuts as f64));
                notes.extend(figures.caught_up_p50_ms.map(|ms| ("caught up p50 ms", ms)));
                Ok(Sample { product: caught_up, floor: None, notes, faults: faults(&figures) })
            })
        }
        "stall" => stalls(quiet(1_000, 1)?, quick),
        "connect" => {
            let made = quiet(5_000, 1)?;
            Box::new(move |_| {
                let joined = join::join(&made, false, 0.0)?;
                let cold = join::join(&made, true, 0.0)?;
                let notes = vec![
                    ("with a snapshot each readers/s", cold.per_s),
                    ("server us each", joined.server_cpu_us_each),
                    ("tool share %", joined.tool_cpu_share * 100.0),
                ];
                Ok(Sample { product: joined.per_s, notes, ..Sample::default() })
            })
        }
        "sessions" => {
            let plan = Plan { readers: 1_000, sessions: 200, rate: 10.0, ..plain };
            let made = quiet(1_000, 200)?;
            Box::new(move |_| {
                let figures = measure::product(&made, &plan)?;
                let product = figures.cpu_us_per_delivery;
                Ok(Sample { product, floor: None, notes: notes(&figures), faults: faults(&figures) })
            })
        }
        "post" => {
            let made = quiet(1, 1)?;
            let count = if quick { 50 } else { 300 };
            Box::new(move |_| {
                let posted = post::post(&made, count)?;
                let notes = vec![("seen p50 ms", posted.seen_p50_ms), ("fsync p50 ms", posted.fsync_p50_ms)];
                Ok(Sample { product: posted.beyond_ms, notes, ..Sample::default() })
            })
        }
        "restart" => {
            let made = quiet(if quick { 2_000 } else { 10_000 }, 10)?;
            Box::new(move |_| {
                let restarted = restart::restart(&made)?;
                Ok(Sample {
                    product: restarted.seconds,
                    floor: None,
                    notes: restarted.notes(),
                    faults: restarted.faults(),
                })
            })
        }
        other => return Err(format!("there is no row {other:?}").into()),
    })
}

/// The product and a floor under the same plan.
fn against(made: Installation, plan: Plan, kind: Kind, figure: fn(&Figures) -> f64) -> Sampler {
    Box::new(move |floor_first| {
        let (product, floor) = in_turn(floor_first, || measure::product(&made, &plan), || measure::floor(kind, &plan))?;
        let mut notes = notes(&product);
        notes.extend([
            ("floor p99 ms", floor.p99_ms.unwrap_or(f64::NAN)),
            ("floor us/delivery", floor.cpu_us_per_delivery),
            ("floor's tool share %", floor.tool_cpu_share * 100.0),
        ]);
        let mut faults = faults(&product);
        faults.extend(self::faults(&floor).into_iter().map(|fault| format!("floor: {fault}")));
        Ok(Sample { product: figure(&product), floor: Some(figure(&floor)), notes, faults })
    })
}

fn token_bursts(psyche: &Path, seconds: f64) -> Outcome<Sampler> {
    let model = ModelServer::start()?;
    let made = tokens::installation(psyche, &model)?;
    let plan = Plan { readers: tokens::READERS, rate: 100.0, burst: 10, bytes: tokens::FRAME, ..Plan::plain(seconds) };
    Ok(Box::new(move |floor_first| {
        let (product, floor) =
            in_turn(floor_first, || tokens::tokens(&made, &model, seconds), || measure::floor(Kind::Tcp, &plan))?;
        let mut notes = notes(&product);
        notes.extend([("left out", product.lost as f64), ("frame bytes", product.frame_bytes)]);
        // Live text may be left out under pressure; nothing else may happen to it.
        let faults = faults(&Figures { lost: 0, ..product.clone() });
        let (product, floor) = (product.cpu_us_per_delivery, floor.cpu_us_per_delivery);
        Ok(Sample { product, floor: Some(floor), notes, faults })
    }))
}

/// The ring holds this much; beyond it a stalled reader may cost 64 KiB.
const RING_KIB: f64 = 4096.0;
const KIB_EACH: f64 = 64.0;

fn stalls(made: Installation, quick: bool) -> Sampler {
    // 40 KB a second fill what the kernel holds for a reader within three seconds; it is cut off 15 s later.
    let plan = Plan { bytes: 2_000, stalled: 0.25, ..Plan::plain(if quick { 14.0 } else { 20.0 }) };
    let whole = Plan { stalled: 0.0, ..plan.clone() };
    Box::new(move |floor_first| {
        let (some, none) = in_turn(floor_first, || stall::stall(&made, &plan), || stall::stall(&made, &whole))?;
        let stalled = plan.readers as f64 * plan.stalled;
        let beyond = (some.growth_kib - none.growth_kib - RING_KIB).max(0.0) / stalled;
        let mut faults = faults(&some);
        if beyond > KIB_EACH {
            faults.push(format!(
                "{beyond:.0} KiB beyond the ring for each stalled reader, at most {KIB_EACH} are promised"
            ));
        }
        if some.stalled_cut < stalled as u64 {
            faults.push(format!("{} of {stalled} stalled readers were cut off", some.stalled_cut));
        }
        let mut notes = notes(&some);
        notes.extend([
            ("growth KiB", some.growth_kib),
            ("growth KiB, nobody stalled", none.growth_kib),
            ("cut off", some.stalled_cut as f64),
            ("told 4010", some.stalled_told as f64),
        ]);
        let p99 = |figures: &Figures| figures.p99_ms.unwrap_or(f64::NAN);
        Ok(Sample { product: p99(&some), floor: Some(p99(&none)), notes, faults })
    })
}

/// Takes both, in the order that is asked for.
fn in_turn<A, B>(
    second_first: bool,
    first: impl FnOnce() -> Outcome<A>,
    second: impl FnOnce() -> Outcome<B>,
) -> Outcome<(A, B)> {
    if second_first {
        let b = second()?;
        return Ok((first()?, b));
    }
    let a = first()?;
    Ok((a, second()?))
}

fn notes(figures: &Figures) -> Vec<(&'static str, f64)> {
    let mut notes = vec![
        ("deliveries/s", figures.deliveries_per_s),
        ("deliveries a read", figures.deliveries_per_read),
        ("server share %", figures.server_cpu_share * 100.0),
        ("tool share %", figures.tool_cpu_share * 100.0),
        ("others %", figures.others_cpu_share * 100.0),
        ("us/delivery", figures.cpu_us_per_delivery),
        ("late", figures.late as f64),
    ];
    let percentiles = [("p50 ms", figures.p50_ms), ("p95 ms", figures.p95_ms), ("p99 ms", figures.p99_ms)];
    notes.extend(percentiles.into_iter().filter_map(|(name, ms)| Some((name, ms?))));
    notes
}

/// Promises that hold in every row.
fn faults(figures: &Figures) -> Vec<String> {
    let counted = [
        ("lost", figures.lost),
        ("doubled", figures.doubled),
        ("reordered", figures.reordered),
        ("with a wrong prev", figures.broken),
        ("snapshots instead of going on", figures.snapshots),
    ];
    counted.into_iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect()
}
