//! One measurement: readers join, events flow for a while, and everything is counted.

use crate::Outcome;
use crate::drive::{Drive, Via};
use crate::floor::{Floor, Kind};
use crate::machine::{self, CpuTime, MS, Memory, SECOND};
use crate::member::{Member, Role};
use crate::product::{Installation, Server};
use crate::swarm::Swarm;
use crate::tally::Tally;

/// What is sent to whom.
#[derive(Clone, Debug)]
pub struct Plan {
    pub readers: usize,
    pub sessions: usize,
    /// Events a second and session.
    pub rate: f64,
    /// Events sent together.
    pub burst: usize,
    /// Instead of a rate: so many events are always on their way. An event is on its way until every reader has it.
    pub in_flight: Option<usize>,
    /// Length of an event's frame, its header included.
    pub bytes: usize,
    /// Readers that stop reading.
    pub stalled: f64,
    /// One reader is cut off at this interval and comes back after that time, in milliseconds.
    pub cut: Option<(u64, u64)>,
    pub via: Via,
    pub warm_s: f64,
    pub seconds: f64,
}

impl Plan {
    /// A thousand readers of one session.
    pub fn plain(seconds: f64) -> Self {
        Self {
            readers: 1_000,
            sessions: 1,
            rate: 20.0,
            burst: 1,
            in_flight: None,
            bytes: 600,
            stalled: 0.0,
            cut: None,
            via: Via::Socket,
            warm_s: 2.0,
            seconds,
        }
    }
}

#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Figures {
    pub deliveries_per_s: f64,
    pub events_per_s: f64,
    pub frame_bytes: f64,
    /// Deliveries that one read brought, on average.
    pub deliveries_per_read: f64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub cpu_us_per_delivery: f64,
    pub server_cpu_share: f64,
    pub tool_cpu_share: f64,
    /// What everything else took of the two cores, in cores: the figures are only as good as this is small.
    pub others_cpu_share: f64,
    pub memory_kib_per_connection: f64,
    /// The server's largest memory during the load over what it had when all were connected.
    pub growth_kib: f64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    /// Frames whose `prev` was not the event seen before.
    pub broken: u64,
    /// Snapshots where a cursor was given.
    pub snapshots: u64,
    pub cuts: u64,
    pub caught_up_p50_ms: Option<f64>,
    pub caught_up_p99_ms: Option<f64>,
    /// Stalled readers that were cut off, and those that read why when they read again.
    pub stalled_cut: u64,
    pub stalled_told: u64,
    /// Events the schedule wanted and that had to wait because the one before had no answer yet.
    pub late: u64,
}

/// How long what is still on its way may take.
const DRAIN: u64 = 20 * SECOND;
/// All readers must have joined within this.
pub const JOIN: u64 = 180 * SECOND;
/// Connections that drive a session.
const MOST_DRIVERS: usize = 16;

/// A product whose readers and drivers are all live.
pub struct Bench {
    pub server: Server,
    pub swarm: Swarm,
    pub drive: Drive,
    /// The server's memory before anybody connected.
    pub before: Memory,
}

impl Bench {
    pub fn open(installation: &Installation, plan: &Plan) -> Outcome<Self> {
        let server = installation.serve()?;
        let heads = heads(installation, &server)?;
        let mut members: Vec<_> = (0..plan.readers).map(|n| reader(installation, &heads, n, role(plan, n))).collect();
        let mut drivers = Vec::new();
        let each = match plan.via {
            Via::Http => plan.in_flight.unwrap_or(MOST_DRIVERS / plan.sessions).clamp(1, MOST_DRIVERS),
            _ => plan.in_flight.unwrap_or(1).min(MOST_DRIVERS),
        };
        for session in 0..plan.sessions {
            drivers.push((members.len()..members.len() + each).collect());
            members.extend((0..each).map(|_| driver(installation, &heads, session, plan.via)));
        }
        let before = Memory::of(server.pid())?;
        let mut swarm = Swarm::new(server.port, members, tally(plan))?;
        swarm.open_all(0..swarm.members.len(), JOIN)?;
        let drive = Drive::new(plan.via, drivers, Some(installation), plan.bytes);
        Ok(Self { server, swarm, drive, before })
    }

    pub fn load(&mut self, plan: &Plan) -> Outcome<Figures> {
        load(&mut self.swarm, &mut self.drive, plan, self.server.pid(), self.before)
    }

    /// Everybody goes at once, then the server.
    pub fn close(self) -> Outcome {
        drop(self.swarm);
        self.server.stop()
    }
}

/// Generation and last event of every session.
pub fn heads(installation: &Installation, server: &Server) -> Outcome<Vec<(u64, u64)>> {
    installation.sessions.iter().zip(&installation.owners).map(|(id, owner)| server.head(id, owner)).collect()
}

/// Measures the product on an installation made for the plan.
pub fn product(installation: &Installation, plan: &Plan) -> Outcome<Figures> {
    let mut bench = Bench::open(installation, plan)?;
    let figures = bench.load(plan)?;
    bench.close()?;
    Ok(figures)
}

/// Measures a floor under the same plan.
pub fn floor(kind: Kind, plan: &Plan) -> Outcome<Figures> {
    if plan.sessions > 1 {
        return Err("a floor has one session".into());
    }
    let floor = Floor::start(kind)?;
    let path = if floor.kind == Kind::Tcp { "" } else { "/ws" };
    let mut members: Vec<_> =
        (0..plan.readers).map(|n| Member { path: path.to_owned(), ..Member::new(role(plan, n), 0) }).collect();
    members.push(Member { port: floor.control, ..Member::new(Role::Control, 0) });
    let before = Memory::of(floor.pid())?;
    let mut swarm = Swarm::new(floor.port, members, tally(plan))?;
    swarm.open_all(0..swarm.members.len(), JOIN)?;
    let mut drive = Drive::new(Via::Control, vec![vec![plan.readers]], None, plan.bytes);
    load(&mut swarm, &mut drive, plan, floor.pid(), before)
}

pub fn reader(installation: &Installation, heads: &[(u64, u64)], n: usize, role: Role) -> Member {
    let session = n % installation.sessions.len();
    let (generation, cursor) = heads[session];
    Member {
        path: format!("/ws/{}", installation.sessions[session]),
        token: installation.readers[n].token.clone(),
        generation,
        cursor,
        ..Member::new(role, session)
    }
}

pub fn driver(installation: &Installation, heads: &[(u64, u64)], session: usize, via: Via) -> Member {
    let (generation, cursor) = heads[session];
    if via == Via::Http {
        return Member { cursor, ..Member::new(Role::Http, session) };
    }
    Member {
        path: format!("/ws/{}", installation.sessions[session]),
        token: installation.owners[session].token.clone(),
        // Nothing of this kind happens: the driver hears acknowledgements alone.
        events: "forked",
        generation,
        cursor,
        ..Member::new(Role::Driver, session)
    }
}

/// Stalled readers are spread evenly among the others.
fn role(plan: &Plan, n: usize) -> Role {
    let stalled = |n: usize| (n as f64 * plan.stalled) as usize;
    if stalled(n + 1) > stalled(n) { Role::Stalled } else { Role::Reader }
}

fn tally(plan: &Plan) -> Tally {
    let mut tally = Tally::new(plan.sessions);
    for n in (0..plan.readers).filter(|n| role(plan, *n) == Role::Reader) {
        tally.sessions[n % plan.sessions].audience += 1;
    }
    tally
}

/// What was read at the edges of the measured span.
struct Edge {
    at: u64,
    server: CpuTime,
    tool: CpuTime,
    busy: u64,
}

impl Edge {
    fn now(server: u32) -> Outcome<Self> {
        Ok(Self {
            at: machine::now(),
            server: CpuTime::of(server)?,
            tool: CpuTime::of(std::process::id())?,
            busy: machine::busy()?,
        })
    }
}

/// Runs the plan on a swarm whose members are live.
pub fn load(swarm: &mut Swarm, drive: &mut Drive, plan: &Plan, server: u32, before: Memory) -> Outcome<Figures> {
    let begin = machine::now() + 50 * MS;
    let from = begin + (plan.warm_s * 1e9) as u64;
    let to = from + (plan.seconds * 1e9) as u64;
    swarm.tally.window = (from, to);
    let mut figures = Figures::default();
    let mut schedule = Schedule::new(plan, begin);
    let mut cutter = Cutter::new(plan, begin);
    let (mut first, mut last) = (None, None);
    let sent_before: u64 = (0..plan.sessions).map(|s| swarm.tally.next(s)).sum();
    let idle = Memory::of(server)?.resident;
    let mut largest = idle;
    let mut look = begin;
    while last.is_none() {
        let now = machine::now();
        if first.is_none() && now >= from {
            first = Some(Edge::now(server)?);
        }
        if now >= to {
            last = Some(Edge::now(server)?);
            break;
        }
        if now >= look {
            largest = largest.max(Memory::of(server)?.resident);
            look = now + SECOND;
        }
        schedule.send(swarm, drive, now, &mut figures.late)?;
        cutter.cut(swarm, now)?;
        let edge = if first.is_none() { from } else { to };
        swarm.turn(edge.min(schedule.next()).min(cutter.next()))?;
    }
    let sent: u64 = (0..plan.sessions).map(|s| swarm.tally.next(s)).sum::<u64>() - sent_before;
    let after = Memory::of(server)?;
    let deadline = machine::now() + DRAIN;
    while swarm.tally.in_flight() > 0 && machine::now() < deadline {
        swarm.turn(deadline)?;
        swarm.tally.check()?;
    }
    let (Some(first), Some(last)) = (first, last) else { return Err("the measured span never came".into()) };
    let tally = &swarm.tally;
    tally.check()?;
    let span = (last.at - first.at) as f64;
    let cpu = last.server.since(&first.server) as f64;
    figures.deliveries_per_s = tally.deliveries as f64 / span * 1e9;
    figures.events_per_s = sent as f64 / (plan.warm_s + plan.seconds);
    figures.frame_bytes = tally.bytes as f64 / tally.deliveries as f64;
    figures.deliveries_per_read = tally.deliveries as f64 / tally.reads as f64;
    figures.p50_ms = tally.latency.percentile_ms(50.0);
    figures.p95_ms = tally.latency.percentile_ms(95.0);
    figures.p99_ms = tally.latency.percentile_ms(99.0);
    figures.cpu_us_per_delivery = cpu / tally.deliveries as f64 / 1e3;
    figures.server_cpu_share = cpu / span;
    figures.tool_cpu_share = last.tool.since(&first.tool) as f64 / span;
    let others = (last.busy - first.busy) as f64 - cpu - last.tool.since(&first.tool) as f64;
    figures.others_cpu_share = others.max(0.0) / span;
    figures.memory_kib_per_connection = (after.resident as f64 - before.resident as f64) / plan.readers as f64;
    figures.growth_kib = largest.max(after.resident).saturating_sub(idle) as f64;
    figures.lost = tally.missing();
    figures.doubled = tally.doubled;
    figures.reordered = tally.reordered;
    figures.broken = tally.broken;
    figures.snapshots = tally.snapshots;
    figures.cuts = cutter.cuts;
    figures.caught_up_p50_ms = tally.catch_up.percentile_ms(50.0);
    figures.caught_up_p99_ms = tally.catch_up.percentile_ms(99.0);
    Ok(figures)
}

/// When which session gets an event.
struct Schedule {
    begin: u64,
    sessions: usize,
    /// Nanoseconds between two bursts of whatever session: sessions take turns.
    step: f64,
    burst: usize,
    in_flight: Option<usize>,
    done: u64,
}

impl Schedule {
    fn new(plan: &Plan, begin: u64) -> Self {
        let step = 1e9 * plan.burst as f64 / plan.rate / plan.sessions as f64;
        Self { begin, sessions: plan.sessions, step, burst: plan.burst, in_flight: plan.in_flight, done: 0 }
    }

    fn send(&mut self, swarm: &mut Swarm, drive: &mut Drive, now: u64, late: &mut u64) -> Outcome {
        if let Some(most) = self.in_flight {
            for session in 0..self.sessions {
                while swarm.tally.sessions[session].in_flight < most && drive.send(swarm, session)? {}
            }
            return Ok(());
        }
        while now >= self.next() {
            let session = (self.done % self.sessions as u64) as usize;
            for _ in 0..self.burst {
                if !drive.send(swarm, session)? {
                    *late += 1;
                }
            }
            self.done += 1;
        }
        Ok(())
    }

    fn next(&self) -> u64 {
        if self.in_flight.is_some() { u64::MAX } else { self.begin + (self.done as f64 * self.step) as u64 }
    }
}

/// Cuts one reader after the other.
struct Cutter {
    plan: Option<(u64, u64)>,
    next: u64,
    readers: usize,
    cuts: u64,
}

impl Cutter {
    fn new(plan: &Plan, begin: u64) -> Self {
        Self { plan: plan.cut, next: begin, readers: plan.readers, cuts: 0 }
    }

    fn cut(&mut self, swarm: &mut Swarm, now: u64) -> Outcome {
        let Some((every, back)) = self.plan else { return Ok(()) };
        while now >= self.next {
            // A step without a common divisor visits every reader before the first comes again.
            let index = (self.cuts as usize * 7919) % self.readers;
            if swarm.members[index].phase == crate::member::Phase::Live {
                swarm.cut(index, now + back * MS)?;
            }
            self.cuts += 1;
            self.next += every * MS;
        }
        Ok(())
    }

    fn next(&self) -> u64 {
        if self.plan.is_some() { self.next } else { u64::MAX }
    }
}
