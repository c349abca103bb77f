//! What `make chaos` alone runs; `.config/nextest.toml` leaves it out of the selection that runs with the other tests.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::lab::{self, Lab, Readers, Speakers, figure, mend};
use crate::proxy::{Fault, Trap};
use crate::sessions;

/// A replica dies while it takes up a session: before the database hears of it, or when it owns it and does not know. Nobody
/// speaks meanwhile, since a command for a session of another replica is a claim too, which is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_may_die_while_it_claims() {
    let mut lab = Lab::new(2).await;
    let sessions = sessions(&lab, 2).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    for answered in [true, false, true, false] {
        // The other one has everything, so that there is something to claim once it leaves.
        lab.replicas[0].leave().await;
        lab.goes_on(&sessions).await;
        lab.replicas[0].start();
        lab.ready(0).await;
        let (left, right) = lab.replicas.split_at_mut(1);
        let (here, other) = (&mut left[0], &mut right[0]);
        let trap = Trap { word: "epoch = epoch + 1", answered };
        let (heard, _) = tokio::join!(here.to_postgres.spring(trap), other.leave());
        assert!(heard, "nothing was claimed");
        here.kill();
        here.to_postgres.release();
        other.start();
        lab.ready(1).await;
        let took = lab.goes_on(&sessions).await;
        figure("turns again after dying at a claim", (answered, took));
        assert_eq!(took > Duration::from_secs(5), answered, "a lease runs out, where there was one: {took:?}");
        lab.replicas[0].start();
        lab.ready(0).await;
    }
    lab.prove(0, &sessions, readers, &[]).await;
}

/// A standby that is promoted may lack the last commits. What somebody has seen of them is taken back, and said to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_without_the_last_commits_begins_a_new_generation() {
    let mut lab = Lab::new(2).await;
    let sessions = sessions(&lab, 4).await;
    let standby = lab.postgres.standby(lab::SETTINGS).unwrap();
    let readers = Readers::follow(&lab, &sessions, 1);
    lab.goes_on(&sessions).await;
    standby.lags().unwrap();
    sleep(Duration::from_secs(2)).await;
    lab.goes_on(&sessions).await;
    for replica in &lab.replicas {
        replica.to_postgres.set(Fault::Down);
        replica.to_postgres.leads_to(standby.port());
    }
    let before: Vec<u64> = sessions.iter().map(|id| lab.head(id)).collect();
    standby.promote().unwrap();
    lab.postgres = standby;
    let lost: Vec<u64> = sessions.iter().zip(before).map(|(id, before)| before - lab.head(id)).collect();
    assert!(lost.iter().all(|lost| *lost > 0), "nothing was lost, so nothing is shown: {lost:?}");
    mend(&lab);
    figure("turns again after a failover that lost so many events", (&lost, lab.goes_on(&sessions).await));
    let speakers = Speakers::start(&lab, &sessions);
    sleep(Duration::from_secs(3)).await;
    let acknowledged = speakers.stop().await;
    lab.prove_what_is_left(0, &sessions, &readers, &acknowledged).await;
    assert_eq!(readers.rewound(), vec![(2, "rewound".to_owned()); sessions.len()], "each reader is told once");
    let told = lab.replicas.iter().any(|replica| replica.told().contains("has lost what it had acknowledged"));
    assert!(told, "{}", lab.told());
}

/// Without descriptors nobody new is let in, and with hardly any processor everything is slower; neither costs a session its
/// owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_short_of_descriptors_or_processor_keeps_its_sessions() {
    let lab = Lab::new(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    let owners = || sessions.iter().map(|id| lab.owner(id)).collect::<Vec<_>>();
    let before = owners();

    let pid = lab.replicas[0].pid();
    let limit = |descriptors: &str| {
        let limit = format!("--nofile={descriptors}");
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    limit(&format!("{open}:"));
    let mut waiting = Vec::new();
    for _ in 0..50 {
        waiting.push(tokio::net::TcpStream::connect(&lab.replicas[0].address).await.unwrap());
    }
    // Over a connection of its own: those that are there still serve.
    let let_in = async || {
        let stranger = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        stranger.get(format!("http://{}/live", lab.replicas[0].address)).send().await.is_ok()
    };
    assert!(!let_in().await, "nobody new is let in, or nothing is shown");
    sleep(Duration::from_secs(15)).await;
    lab.goes_on(&sessions).await;
    drop(waiting);
    limit("1024:");
    let begun = Instant::now();
    while !let_in().await {
        assert!(begun.elapsed() < Duration::from_secs(5), "nobody is let in any more");
    }
    figure("let in again, once there are descriptors", begun.elapsed());
    assert_eq!(owners(), before, "a session changed hands for want of descriptors");

    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..16 {
        let over = Arc::clone(&over);
        std::thread::spawn(move || while !over.load(Ordering::Relaxed) {});
    }
    readers.begin_gap();
    sleep(Duration::from_secs(20)).await;
    lab.goes_on(&sessions).await;
    over.store(true, Ordering::Relaxed);
    figure("gap seen by clients beside sixteen busy threads", readers.gap());
    assert_eq!(owners(), before, "a session changed hands for want of processor");
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}
