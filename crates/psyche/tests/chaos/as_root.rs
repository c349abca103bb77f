//! Faults that only root can inject: `make test` leaves these out, and says so, for everybody else.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite;

use crate::group::Group;
use crate::host::Cut;
use crate::lab::{Lab, Readers, Speakers, figure};
use crate::{long, seconds, sessions, times};

/// Networks lose packets without a word, one way or both, or say no: whoever is cut off from the database gives up, whoever is
/// cut off from Redis goes on by the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_in_the_kernel_is_outlived() {
    let mut lab = Lab::on_hosts(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    let (postgres, redis) = (lab.replicas[0].to_postgres.address, lab.replicas[0].to_redis.address);
    for cut in [Cut::Dropped, Cut::AnswersDropped, Cut::Refused].into_iter().take(times(1, 3)) {
        let host = lab.replicas[0].host.as_ref().unwrap();
        readers.begin_gap();
        host.cut(cut, redis);
        sleep(seconds(2, 15)).await;
        lab.goes_on(&sessions).await;
        host.mend();
        figure("gap seen by clients, cut off from Redis", (cut, readers.gap()));
        let owners: Vec<String> = sessions.iter().map(|id| lab.owner(id)).collect();
        readers.begin_gap();
        host.cut(cut, postgres);
        let took = lab.goes_on(&sessions).await;
        figure("takeover from an owner cut off from PostgreSQL", (cut, took));
        assert!(took < Duration::from_secs(14), "{took:?}");
        let moved = sessions.iter().zip(owners).filter(|(id, owner)| lab.owner(id) != *owner).count();
        assert!(moved > 0, "it owned nothing, so nothing is shown");
        sleep(seconds(1, 10)).await;
        host.mend();
        lab.ready(0).await;
        lab.goes_on(&sessions).await;
        figure("gap seen by clients, cut off from PostgreSQL", (cut, readers.gap()));
        if long() {
            // So that there is something to take over again.
            lab.replicas[1].leave().await;
            lab.goes_on(&sessions).await;
            lab.replicas[1].start();
            lab.ready(1).await;
        }
    }
    let acknowledged = speakers.stop().await;
    lab.prove(1, &sessions, readers, &acknowledged).await;
}

/// A disk that fills up takes no more turns; what was said stays, and all goes on once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_database_loses_nothing() {
    let lab = Lab::on_small_disk(2).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    for _ in 0..times(1, 3) {
        lab.goes_on(&sessions).await;
        lab.postgres.fill().unwrap();
        // Pages that were there already fill up first.
        let full = Instant::now();
        let new = json!({"name": "x".repeat(100), "session_type": "single_user"});
        let refused = loop {
            match lab.post(0, "/sessions", &new).await {
                Err(refused) => break refused,
                Ok(_) => assert!(full.elapsed() < Duration::from_mins(1), "the disk does not fill up"),
            }
        };
        assert!(refused.starts_with("503"), "{refused}");
        sleep(seconds(2, 15)).await;
        assert_eq!(lab.get_as(&lab.token, 1, &format!("/sessions/{}", sessions[0])).await.0, 200, "it can be read");
        lab.postgres.make_room().unwrap();
        figure("turns again after a full disk", lab.goes_on(&sessions).await);
    }
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

/// The kernel kills nobody for want of memory while somebody asks for more and more of it: nothing new is taken on, what
/// talks goes on talking, and all is well once there is memory again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_short_of_memory_takes_on_nothing_new_and_lives() {
    const MIB: u64 = 1 << 20;
    let mut lab = Lab::new(2).await;
    lab.replicas[0].leave().await;
    lab.replicas[0].group =
        Some(Group::make().expect("a control group; `make test` leaves this test out where none can be made"));
    lab.replicas[0].start();
    lab.ready(0).await;
    let sessions = sessions(&lab, 4).await;
    let readers = Readers::follow(&lab, &sessions, 1);
    let speakers = Speakers::start(&lab, &sessions);
    lab.goes_on(&sessions).await;
    let owners = || sessions.iter().map(|id| lab.owner(id)).collect::<Vec<_>>();
    let before = owners();
    let (pid, group) = (lab.replicas[0].pid(), lab.replicas[0].group.as_ref().unwrap());
    let room = resident(&pid) + 96 * MIB;
    group.limit(room).unwrap();
    readers.begin_gap();

    // Each is in memory, and says something once in a minute.
    let new = json!({"session_type": "single_user", "pacing_ms": 60_000, "situation": "x".repeat(8_000)});
    let (begun, mut taken, mut refused, mut closed) = (Instant::now(), 0, None, 0);
    while closed == 0 || refused.is_none_or(|at: Instant| at.elapsed() < seconds(3, 30)) {
        assert!(begun.elapsed() < Duration::from_mins(3), "{taken} sessions in {room} bytes, and none too many");
        let answers = futures_util::future::join_all((0..8).map(async |_| {
            let id = lab.post(0, "/sessions", &new).await?["session_id"].as_str().unwrap().to_owned();
            lab.post(0, &format!("/sessions/{id}/commands"), &json!({"command": "start"})).await
        }));
        for answer in answers.await {
            match answer {
                Ok(_) => taken += 1,
                Err(error) => {
                    let short = error.starts_with("503") && error.contains("short of memory");
                    assert!(short, "{error}; {:?} killed", group.killed());
                    refused.get_or_insert_with(Instant::now);
                }
            }
        }
        match tokio_tungstenite::connect_async(format!("ws://{}/ws/system", lab.replicas[0].address)).await {
            Ok(_) => {}
            Err(tungstenite::Error::Http(answer)) if answer.status() == 503 => closed += 1,
            Err(error) => panic!("{error}; {:?} killed", group.killed()),
        }
        // Refusals come faster than anybody may ask.
        sleep(Duration::from_millis(10)).await;
    }
    figure("sessions taken on before memory was short, and MiB left", (taken, (room - resident(&pid)) / MIB));
    assert_eq!(lab.get_as(&lab.token, 0, &format!("/sessions/{}", sessions[0])).await.0, 200, "it can be read");
    lab.goes_on(&sessions).await;
    assert_eq!(group.killed(), Some(0), "{}", lab.told());
    assert_eq!(owners(), before, "a session changed hands for want of memory");

    group.limit(4 * room).unwrap();
    let begun = Instant::now();
    while let Err(error) = lab.post(0, "/sessions", &new).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
        sleep(Duration::from_millis(100)).await;
    }
    figure("new sessions again, once there is memory", begun.elapsed());
    figure("gap seen by clients, short of memory", readers.gap());
    let acknowledged = speakers.stop().await;
    lab.prove(0, &sessions, readers, &acknowledged).await;
}

/// Bytes of memory that a process has and that are no file's.
fn resident(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    kib.unwrap().parse::<u64>().unwrap() * 1024
}
