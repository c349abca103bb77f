//! Replicas of the real program under faults: each row of the table of faults that this machine can inject. The quick
//! selection runs with the other tests; `make chaos` runs everything, several rounds of it, at the lengths that are promised.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "chaos/as_root.rs"]
mod as_root;
#[path = "chaos/at_length.rs"]
mod at_length;
#[path = "chaos/group.rs"]
mod group;
#[path = "chaos/host.rs"]
mod host;
#[path = "chaos/lab.rs"]
mod lab;
#[path = "../../psyche-store/tests/servers/postgres.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod postgres;
#[path = "chaos/proxy.rs"]
mod proxy;
#[path = "../../psyche-bus/tests/servers/redis.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod redis;

use std::time::Duration;

use lab::{Lab, Readers, Speakers, figure, lines_of, mend};
use proxy::{Fault, Trap};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// Whether the long form runs.
#[expect(clippy::disallowed_methods, reason = "how `make chaos` asks for the long form")]
fn long() -> bool {
    std::env::var("PSYCHE_TEST_CHAOS").is_ok()
}

fn times(quick: usize, whole: usize) -> usize {
    if long() { whole } else { quick }
}

fn seconds(quick: u64, whole: u64) -> Duration {
    Duration::from_secs(if long() { whole } else { quick })
}

async fn sessions(lab: &Lab, count: usize) -> Vec<String> {
    let mut sessions = Vec::new();
    for n in 0..count {
        sessions.push(lab.talking(n % lab.replicas.len(), &format!("Talk {n}")).await);
    }
    sessions
}

/// One truth: signed in here is signed in there, what is said here is heard there, and what is refused here is refused there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_replica_serves_any_reader_and_any_command() {
    let lab = Lab::new(2).await;
    let id = lab.talking(0, "Shared").await;
    let owner = lab.owner(&id);
    let (status, there) = lab.get_as(&lab.token, 1, &format!("/sessions/{id}")).await;
    assert_eq!((status, &there["name"]), (200, &json!("Shared")));

    // Live at the other replica, and soon after it happened.
    let readers = Readers::follow(&lab, std::slice::from_ref(&id), 1);
    sleep(Duration::from_secs(3)).await;
    readers.begin_gap();
    sleep(Duration::from_secs(3)).await;
    let late = readers.late();
    figure("live at another replica, p99 and latest", late);
    assert!(late.0 < Duration::from_millis(450), "{late:?}: over the bus it is sooner than by the log");

    // A command at the other replica is decided by the owner.
    let commands = format!("/sessions/{id}/commands");
    let begun = Instant::now();
    let paused = lab.post(1, &commands, &json!({"command_id": "p", "command": "pause"})).await.unwrap();
    figure("a command for another replica's session", begun.elapsed());
    let again = lab.post(0, &commands, &json!({"command_id": "p", "command": "pause"})).await.unwrap();
    assert_eq!(paused["seq"], again["seq"]);
    assert_eq!(lab.owner(&id), owner);
    // A turn under way is spoken to its end before.
    while lab.get_as(&lab.token, 1, &format!("/sessions/{id}")).await.1["status"] != "paused" {
        sleep(Duration::from_millis(20)).await;
    }
    lab.post(1, &commands, &json!({"command": "resume"})).await.unwrap();

    // An answer is given once, whichever replica is asked again.
    let key = |n: usize| {
        let url = format!("http://{}/api/v1/sessions", lab.replicas[n].address);
        let body = json!({"name": "Once", "session_type": "single_user"});
        lab.http.post(url).bearer_auth(&lab.token).header("Idempotency-Key", "once").json(&body).send()
    };
    let first: serde_json::Value = key(0).await.unwrap().json().await.unwrap();
    let second: serde_json::Value = key(1).await.unwrap().json().await.unwrap();
    assert_eq!(first["session_id"], second["session_id"]);

    // What was begun at one is found at the other.
    let begun = lab.post(0, "/analysis/history", &json!({})).await.unwrap();
    let history = format!("/analysis/history/{}", begun["history_id"].as_str().unwrap());
    let mut found = json!(null);
    for _ in 0..100 {
        found = lab.get_as(&lab.token, 1, &history).await.1;
        if found["status"] == "done" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((&found["status"], &found["total"]), (&json!("done"), &json!(2)), "{found}");

    // Who is here is told wherever they are.
    let otto = json!({"username": "otto", "email": "otto@localhost", "role": "admin"});
    let otto = lab.post(0, "/users", &otto).await.unwrap();
    let chosen = json!({"token": otto["reset_token"], "new_password": lab::PASSWORD});
    lab.post_as("", 1, "/auth/password-reset", &chosen).await.unwrap();
    let otto = lab.sign_in_as("otto", 1).await;
    let _there = lab.open(&otto, 1, &id).await;
    let mut here = lab.open(&lab.token, 0, &id).await;
    let both = async {
        loop {
            let frame = lab::next_frame(&mut here).await;
            if frame["type"] == "presence" && frame["count"] == 2 {
                return frame;
            }
        }
    };
    let presence =
        tokio::time::timeout(Duration::from_secs(10), both).await.expect("otto is seen from the other replica");
    figure("who is here, over two replicas", &presence["users"]);

    // Whoever moves everything has to be alone.
    let target = format!("sqlite:{}", lab.replicas[0].data.join("moved.db").display());
    let moved = lab.replicas[0].command(&["migrate", "--to", &target]).output().unwrap();
    let told = String::from_utf8_lossy(&moved.stderr);
    assert!(!moved.status.success() && told.contains("another psyche has this database open"), "{told}");

    // Wrong passwords count together: five tries, wherever they are made.
    let wrong = json!({"username": "nobody", "password": "wrong wrong wrong"});
    let mut answers = Vec::new();
    for n in 0..6 {
        answers.push(lab.post_as("", n % 2, "/auth/login", &wrong).await.unwrap_err());
    }
    assert!(answers[..5].iter().all(|answer| answer.starts_with("401")), "{answers:?}");
    assert!(answers[5].starts_with("429"), "{answers:?}");

    // Signed out here, out there within a second and a bit.
    let other = lab.sign_in(1).await;
    assert_eq!(lab.get_as(&other, 0, "/auth/me").await.0, 200);
    lab.post_as(&other, 1, "/auth/logout", &json!({})).await.unwrap();
    let begun = Instant::now();
    while lab.get_as(&other, 0, "/auth/me").await.0 != 401 {
        assert!(begun.elapsed() < Duration::from_secs(5), "still let in");
        sleep(Duration::from_millis(50)).await;
    }
    figure("revocation at another replica", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_millis(1_600));
    lab.prove(0, &[id], readers, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_owner_is_replaced_and_nothing_is_lost_or_doubled() {
    let mut lab = Lab::new(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    for round in 0..times(1, 5) {
        let n = round % 2;
        readers.begin_gap();
        lab.replicas[n].kill();
        let took = lab.goes_on(&sessions).await;
        figure("takeover after kill -9", took);
        assert!(took < Duration::from_secs(12) + Duration::from_secs(2), "{took:?}");
        figure("gap seen by clients", readers.gap());
        lab.replicas[n].start();
        lab.ready(n).await;
        lab.goes_on(&sessions).await;
    }
    let acknowledged = speakers.stop().await;
    figure("commands acknowledged and there once", acknowledged.len());
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

/// A replica dies at a statement: before the database hears it, or when it is done and the replica does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_may_die_at_any_statement_of_a_turn() {
    let mut lab = Lab::new(2).await;
    let sessions = sessions(&lab, 2).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    let words = ["turn_committed", "turn_started", "command_received", "INSERT INTO snapshot"];
    let points = words.into_iter().flat_map(|word| [(word, true), (word, false)]);
    let mut died = 0;
    for (n, (word, answered)) in points.take(times(1, 8)).enumerate() {
        let n = n % 2;
        let here = &mut lab.replicas[n];
        if !here.to_postgres.spring(Trap { word, answered }).await {
            here.to_postgres.release();
            figure("not heard within 20 s", word);
            continue;
        }
        died += 1;
        here.kill();
        here.to_postgres.release();
        lab.ready(1 - n).await;
        figure("turns again after dying at", (word, answered, lab.goes_on(&sessions).await));
        lab.replicas[n].start();
        lab.ready(n).await;
    }
    assert!(died >= times(1, 7), "{died} traps sprang");
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_paused_is_fenced() {
    let lab = Lab::new(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    lab.goes_on(&sessions).await;
    lab.replicas[0].signal("-STOP");
    let took = lab.goes_on(&sessions).await;
    figure("takeover from a paused owner", took);
    assert!(took < Duration::from_secs(14), "{took:?}");
    sleep(seconds(2, 20)).await;
    lab.replicas[0].signal("-CONT");
    lab.ready(0).await;
    lab.goes_on(&sessions).await;
    lab.prove(1, &sessions, readers, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_and_is_hardly_seen() {
    let mut lab = Lab::new(2).await;
    let sessions = sessions(&lab, 6).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    readers.begin_gap();
    for round in 0..times(1, 5) {
        for n in 0..2 {
            let took = lab.replicas[n].leave().await;
            figure("leaving at SIGTERM", took);
            lab.replicas[n].start();
            lab.ready(n).await;
            sleep(Duration::from_millis(500)).await;
        }
        figure("gap seen by clients", (round, readers.gap()));
    }
    assert!(readers.gap() < Duration::from_secs(3), "{:?}", readers.gap());
    let acknowledged = speakers.stop().await;
    figure("commands acknowledged and there once", acknowledged.len());
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_everything_goes_on_a_little_later() {
    let mut lab = Lab::new(2).await;
    let sessions = sessions(&lab, 2).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    let lines: Vec<usize> = lab.replicas.iter().map(|replica| replica.told().lines().count()).collect();
    lab.redis.stop();
    sleep(Duration::from_secs(1)).await;
    readers.begin_gap();
    let down = seconds(8, 60);
    let begun = Instant::now();

    // A sign-in and its end, in the meantime.
    let token = lab.sign_in(1).await;
    assert_eq!(lab.get_as(&token, 0, "/auth/me").await.0, 200);
    lab.post_as(&token, 1, "/auth/logout", &json!({})).await.unwrap();
    let revoked = Instant::now();
    while lab.get_as(&token, 0, "/auth/me").await.0 != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(5), "still let in");
        sleep(Duration::from_millis(50)).await;
    }
    figure("revocation without Redis", revoked.elapsed());
    let (status, health) = lab.get_as("", 0, "/health").await;
    assert_eq!((status, &health["components"]["bus"]["status"]), (200, &json!("degraded")), "{health}");
    let ready = lab.http.get(format!("http://{}/ready", lab.replicas[0].address)).send().await.unwrap();
    assert!(ready.status().is_success());

    sleep(down.saturating_sub(begun.elapsed())).await;
    let late = readers.late();
    figure("live without Redis, p99 and latest", late);
    assert!(late.0 < Duration::from_secs(1), "{late:?}");
    for (replica, before) in lab.replicas.iter().zip(lines) {
        let told = lines_of(&replica.told(), before);
        figure("lines of log meanwhile", told);
        assert!(told as u64 <= down.as_secs() / 10 + 2, "{}", replica.told());
    }
    lab.redis.go_on().unwrap();
    sleep(Duration::from_secs(6)).await;
    readers.begin_gap();
    sleep(Duration::from_secs(3)).await;
    figure("live with Redis again, p99 and latest", readers.late());
    assert_eq!(lab.get_as("", 0, "/health").await.1["components"]["bus"]["status"], json!("healthy"));
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_slow_flaps_or_talks_nonsense_harms_nobody() {
    let lab = Lab::new(2).await;
    let sessions = sessions(&lab, 2).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    lab.goes_on(&sessions).await;
    let faults = [
        Fault::Slow(Duration::from_secs(1)),
        Fault::Garbage,
        Fault::BlackHole,
        Fault::ShortLived(2_000),
        Fault::AnswersLost,
    ];
    for fault in faults.into_iter().take(times(3, 5)) {
        readers.begin_gap();
        lab.replicas.iter().for_each(|replica| replica.to_redis.set(fault));
        sleep(seconds(2, 10)).await;
        lab.goes_on(&sessions).await;
        let signed_in = Instant::now();
        let token = lab.sign_in(1).await;
        figure("sign-in", (fault, signed_in.elapsed()));
        assert_eq!(lab.get_as(&token, 0, "/auth/me").await.0, 200);
        lab.post_as(&token, 0, "/auth/logout", &json!({})).await.unwrap();
        figure("gap seen by clients", (fault, readers.gap()));
        mend(&lab);
        sleep(Duration::from_secs(1)).await;
    }
    // Nothing more can be stored in it.
    lab.redis.run(&["config", "set", "maxmemory", "1"]).unwrap();
    sleep(seconds(1, 10)).await;
    lab.goes_on(&sessions).await;
    let signed_in = Instant::now();
    let token = lab.sign_in(1).await;
    figure("sign-in", ("full", signed_in.elapsed()));
    lab.post_as(&token, 0, "/auth/logout", &json!({})).await.unwrap();
    lab.redis.run(&["config", "set", "maxmemory", "0"]).unwrap();
    lab.goes_on(&sessions).await;
    lab.prove(0, &sessions, readers, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_and_works_without_redis() {
    let mut lab = Lab::new(1).await;
    lab.redis.stop();
    lab.replicas[0].leave().await;
    lab.replicas[0].start();
    lab.ready(0).await;
    let id = lab.talking(0, "Alone").await;
    lab.goes_on(std::slice::from_ref(&id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_is_lost_and_everything_resumes_alone() {
    let lab = Lab::new(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    let faults = [
        (Fault::Down, seconds(3, 15)),
        (Fault::AnswersLost, seconds(1, 3)),
        (Fault::ShortLived(20_000), seconds(3, 10)),
        (Fault::Slow(Duration::from_millis(40)), seconds(2, 10)),
        (Fault::BlackHole, seconds(4, 15)),
    ];
    for (fault, lasts) in faults.into_iter().take(times(3, 5)) {
        lab.replicas.iter().for_each(|replica| replica.to_postgres.set(fault));
        sleep(lasts).await;
        if fault == Fault::Down {
            let new = json!({"name": "Never", "session_type": "single_user"});
            let refused = lab.post(0, "/sessions", &new).await.unwrap_err();
            assert!(refused.starts_with("503"), "{refused}");
            let ready = lab.http.get(format!("http://{}/ready", lab.replicas[0].address)).send().await.unwrap();
            assert_eq!(ready.status().as_u16(), 503);
            let live = lab.http.get(format!("http://{}/live", lab.replicas[0].address)).send().await.unwrap();
            assert!(live.status().is_success());
        }
        mend(&lab);
        figure("turns again after", (fault, lab.goes_on(&sessions).await));
    }
    // As a standby is that was not promoted.
    let read_only = |on: &str| {
        let sql = format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
        lab.postgres.run("postgres", &sql).unwrap();
        lab.postgres.run("postgres", "SELECT pg_reload_conf()").unwrap();
    };
    read_only("on");
    sleep(seconds(2, 15)).await;
    let refused = lab.post(0, "/sessions", &json!({"name": "Never", "session_type": "single_user"})).await.unwrap_err();
    assert!(refused.starts_with("503"), "{refused}");
    assert_eq!(lab.get_as(&lab.token, 0, &format!("/sessions/{}", sessions[0])).await.0, 200, "it can be read");
    read_only("off");
    figure("turns again after", ("read only", lab.goes_on(&sessions).await));
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

/// Leases go by the database's clock, and how long something lasts by one that never jumps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_ten_minutes_apart_and_jump_change_nothing() {
    let mut lab = Lab::new(2).await;
    lab.replicas[1].leave().await;
    lab.replicas[1].clock_is("+600");
    lab.replicas[1].start();
    lab.ready(1).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    for clock in ["+600", "-600", "+0", "-600", "+600"].into_iter().take(times(2, 5)) {
        let owners: Vec<String> = sessions.iter().map(|id| lab.owner(id)).collect();
        lab.replicas[1].clock_is(clock);
        lab.goes_on(&sessions).await;
        for n in 0..2 {
            let token = lab.sign_in(n).await;
            for at in 0..2 {
                assert_eq!(lab.get_as(&token, at, "/auth/me").await.0, 200, "from {n}, at {at}, by {clock} s");
            }
            // A person has so many sign-ins at most: the one of the readers is to stay.
            lab.post_as(&token, n, "/auth/logout", &json!({})).await.unwrap();
        }
        sleep(seconds(2, 5)).await;
        lab.goes_on(&sessions).await;
        assert_eq!(owners, sessions.iter().map(|id| lab.owner(id)).collect::<Vec<_>>(), "nobody lost a lease");
    }
    // And a takeover comes when it would have come.
    lab.replicas[0].kill();
    let took = lab.goes_on(&sessions).await;
    figure("takeover by a replica ten minutes away", took);
    assert!(took < Duration::from_secs(14), "{took:?}");
    lab.replicas[0].start();
    lab.ready(0).await;
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

/// Correctness never needs a replica to reach another: an owner that is cut from the database gives up, the other goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_cut_off_from_the_database_fences_itself() {
    let lab = Lab::new(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    lab.goes_on(&sessions).await;
    lab.replicas[0].to_postgres.set(Fault::BlackHole);
    let took = lab.goes_on(&sessions).await;
    figure("takeover from an owner that is cut off", took);
    assert!(took < Duration::from_secs(14), "{took:?}");
    let told = lab.replicas[0].told();
    assert!(told.contains("the sessions are given up"), "{told}");
    mend(&lab);
    lab.ready(0).await;
    lab.goes_on(&sessions).await;
    lab.prove(1, &sessions, readers, &[]).await;
}
