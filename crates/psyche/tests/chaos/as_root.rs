//! Faults that only root can inject: `make test` leaves these out, and says so, for everybody else.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

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
