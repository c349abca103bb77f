//! Turns a second of a hundred sessions in PostgreSQL: by one replica, by two, and by `pgbench` running the same statements
//! on the same database. `make bench-replicas` runs it in a release build.
//!
//! A replica is a process of its own with the real engine and a scripted model that answers at once; nobody listens. For
//! `pgbench` the two appends of a real turn, begin and commit, are taken with their sizes from the log that psyche has just
//! written; only the chain's hashes are any bytes. Each client of it has sessions of its own, as each replica has.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking, its helpers too")]

#[path = "../../psyche-store/tests/servers/postgres.rs"]
#[expect(dead_code, reason = "shared with tests")]
mod postgres;
#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod support;

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use postgres::Postgres;
use psyche_core::session::{Action, NoArgs, TurnOrder};
use psyche_engine::{Engine, Options};
use psyche_llm::scripted::{Pace, ScriptedModel};
use psyche_store::postgres::{APPEND, Options as StoreOptions, PostgresStore};
use support::{RealClock, World, run, send};

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: usize = 100;
const CLIENTS: usize = 10;
/// An odd number.
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(4);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, url, dir] = arguments.as_slice()
        && mode == "replica"
    {
        return replica(url, dir).await;
    }
    let seconds = arguments.first().and_then(|n| n.parse().ok()).unwrap_or(10);
    let seconds = Duration::from_secs(seconds);
    // As it is installed: every commit is flushed.
    let server = Postgres::start_with("-c shared_buffers=256MB").unwrap();
    // By turns, so that what the machine does meanwhile meets all three.
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let (_, one) = turns(&server, 1, seconds).await;
        let (url, two) = turns(&server, 2, seconds).await;
        let bench = pgbench(&server, &url, seconds);
        println!("round {round} of {ROUNDS}: one replica {one:.0}, two {two:.0}, pgbench {bench:.0} turns/s");
        rounds.push((one, two, bench));
    }
    let median = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let (one, two, bench) = (median(|r| r.0), median(|r| r.1), median(|r| r.2));
    println!("medians of {ROUNDS} rounds");
    println!("one replica     {one:>8.0} turns/s    {:.2} of pgbench (at least .60)", median(|r| r.0 / r.2));
    println!("two replicas    {two:>8.0} turns/s    {:.2} of one (at least .85)", median(|r| r.1 / r.0));
    println!("pgbench         {bench:>8.0} turns/s");
}

/// A replica that drives what it finds until its input ends.
async fn replica(url: &str, dir: &str) {
    let world = world(url, dir).await;
    let claim_every = Some(Duration::from_millis(100));
    let engine = Engine::start(world.ports.clone(), Options { replicas: true, claim_every, ..Options::default() });
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap()).await.unwrap();
    engine.shutdown(Duration::from_secs(5)).await;
}

async fn world(url: &str, dir: &str) -> World {
    let clock = Arc::new(RealClock::new());
    let options = StoreOptions::new(url.to_owned(), [7; 32], dir.into(), clock);
    let store = PostgresStore::open(options).await.unwrap();
    World::new(Arc::new(store), ScriptedModel::new("scripted", Pace::AtOnce))
}

/// A fresh database with talking sessions, and the turns that so many replicas commit in it a second.
async fn turns(server: &Postgres, replicas: usize, seconds: Duration) -> (String, f64) {
    let url = server.database().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let world = world(&url, &dir.path().join("maker").display().to_string()).await;
    let engine =
        Engine::start(world.ports.clone(), Options { claim_every: None, replicas: true, ..Options::default() });
    for n in 0..SESSIONS {
        let id = engine.create(run(TurnOrder::Sequential, None)).await.unwrap().session_id;
        send(&engine, id, &format!("start {n}"), Action::Start(NoArgs {})).await.unwrap();
    }
    engine.shutdown(Duration::from_secs(10)).await;
    let children: Vec<Child> = (0..replicas)
        .map(|n| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let home = dir.path().join(format!("replica-{n}")).display().to_string();
            command.args(["replica", &url, &home]).stdin(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let database = url.rsplit_once('/').unwrap().1;
    let count = || -> f64 {
        let sql = "SELECT count(*) FROM event WHERE committed_turn IS NOT NULL";
        server.run(database, sql).unwrap().parse().unwrap()
    };
    let owners = server.run(database, "SELECT count(DISTINCT owner) FROM session_head").unwrap();
    assert_eq!(owners, replicas.to_string(), "each replica drives some of the sessions");
    let (begun, before) = (tokio::time::Instant::now(), count());
    tokio::time::sleep(seconds).await;
    let (after, took) = (count(), begun.elapsed());
    for mut child in children {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    (url, (after - before) / took.as_secs_f64())
}

/// The appends of real turns as `pgbench` does them. Its rate is in turns a second.
fn pgbench(server: &Postgres, url: &str, seconds: Duration) -> f64 {
    let database = url.rsplit_once('/').unwrap().1;
    server.run(database, SHAPES).unwrap();
    let mut script = format!("\\set n :client_id + {CLIENTS} * random(0, {})\n", SESSIONS / CLIENTS - 1);
    for shape in 1..=2 {
        script.push_str(&statement(shape));
        script.push_str(";\n");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("turn.sql");
    std::fs::write(&file, script).unwrap();
    let output = Command::new(postgres::programs().unwrap().join("pgbench"))
        .args(["-n", "-M", "prepared", "-j", "2", "-c", &CLIENTS.to_string(), "-T", &seconds.as_secs().to_string()])
        .args(["-f", &file.display().to_string(), url])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let rate = told.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Shape 1 is the append that begins a turn, shape 2 the one that commits it; both as the log has them.
const SHAPES: &str = "
CREATE TABLE bench_session AS
    SELECT row_number() OVER (ORDER BY session_id) - 1 AS n, session_id FROM session_head;
CREATE UNIQUE INDEX ON bench_session (n);
CREATE TABLE bench_shape AS
WITH last AS (
    SELECT session_id, max(seq) AS seq FROM event WHERE kind = 'turn_committed' GROUP BY session_id LIMIT 1
), began AS (
    SELECT max(e.seq) AS seq FROM event e JOIN last USING (session_id) WHERE e.kind = 'turn_started' AND e.seq < last.seq
), rows AS (
    SELECT CASE WHEN e.kind = 'turn_started' THEN 1 ELSE 2 END AS shape, e.* FROM event e JOIN last USING (session_id), began
    WHERE e.seq BETWEEN began.seq AND last.seq
), texts AS (
    SELECT r.shape, t.*, t.seq - min(r.seq) OVER (PARTITION BY r.shape) AS off
    FROM event_text t JOIN rows r ON r.session_id = t.session_id AND r.seq = t.seq
)
SELECT shape, count(*)::bigint AS records, array_agg(kind ORDER BY seq) AS kind, array_agg(v ORDER BY seq) AS v,
       array_agg(at ORDER BY seq) AS at, array_agg(body ORDER BY seq) AS body, array_agg(hash ORDER BY seq) AS hash,
       array_agg(command_id ORDER BY seq) AS command,
       (SELECT array_agg(off) FROM texts t WHERE t.shape = r.shape) AS text_off,
       (SELECT array_agg(idx) FROM texts t WHERE t.shape = r.shape) AS idx,
       (SELECT array_agg(field) FROM texts t WHERE t.shape = r.shape) AS field,
       (SELECT array_agg(subject) FROM texts t WHERE t.shape = r.shape) AS subject,
       (SELECT array_agg(commitment) FROM texts t WHERE t.shape = r.shape) AS commitment,
       (SELECT array_agg(salt) FROM texts t WHERE t.shape = r.shape) AS salt,
       (SELECT array_agg(key_id) FROM texts t WHERE t.shape = r.shape) AS key_id,
       (SELECT array_agg(sealed) FROM texts t WHERE t.shape = r.shape) AS sealed
FROM rows r GROUP BY shape;
ANALYZE;
";

/// psyche's own statement with every parameter in its place.
fn statement(shape: usize) -> String {
    let of_shape = |column: &str| format!("(SELECT {column} FROM shape)");
    let of_head = |column: &str| format!("(SELECT {column} FROM here)");
    let commits = shape == 2;
    let turn = "(SELECT array_agg(CASE WHEN k = 'turn_committed' THEN h.last_seq + 1000000 END) FROM here h, shape s, unnest(s.kind) k)";
    let parameters = [
        of_head("session_id"),
        of_head("epoch"),
        of_head("head_hash"),
        of_head("gen"),
        "sha256(random()::text::bytea)".to_owned(),
        of_shape("records"),
        of_head("last_seq"),
        "(SELECT array_agg(h.last_seq + g) FROM here h, shape s, generate_series(1, s.records) g)".to_owned(),
        of_shape("kind"),
        of_shape("v"),
        of_shape("at"),
        of_shape("body"),
        of_shape("hash"),
        turn.to_owned(),
        of_shape("command"),
        "(SELECT array_agg(h.last_seq + 1 + o) FROM here h, shape s, unnest(s.text_off) o)".to_owned(),
        of_shape("idx"),
        of_shape("field"),
        of_shape("subject"),
        of_shape("commitment"),
        of_shape("salt"),
        of_shape("key_id"),
        of_shape("sealed"),
        "'running'::text".to_owned(),
        of_head("name_folded"),
        of_head("last_activity"),
        of_head("summary"),
        of_head("tags"),
        if commits { of_head("tenant") } else { "NULL::uuid".to_owned() },
        if commits { "(SELECT array_agg(DISTINCT user_id) FROM spent)".to_owned() } else { "'{}'::uuid[]".to_owned() },
        "100::bigint".to_owned(),
        "0::double precision".to_owned(),
    ];
    let mut sql = String::new();
    let _ = write!(
        sql,
        "WITH shape AS (SELECT * FROM bench_shape WHERE shape = {shape}), here AS (\
         SELECT h.*, s.name_folded, s.last_activity, s.summary, s.tags FROM bench_session b \
         JOIN session_head h USING (session_id) JOIN session s USING (session_id) WHERE b.n = :n), "
    );
    let mut rest = APPEND.trim_start().strip_prefix("WITH ").unwrap();
    while let Some(at) = rest.find('$') {
        let digits = rest[at + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - at - 1);
        let number: usize = rest[at + 1..at + 1 + digits].parse().unwrap();
        sql.push_str(&rest[..at]);
        sql.push_str(&parameters[number - 1]);
        rest = &rest[at + 1 + digits..];
    }
    sql.push_str(rest);
    // pgbench takes a colon before a word for a variable of its own; casts have two.
    sql.replace('\n', " ")
}
