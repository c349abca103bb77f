//! kill -9 in the middle of writing: what was acknowledged is there, and the log is whole.
//!
//! The test runs its own binary again as a child that appends and tells on its standard output what was acknowledged.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use psyche_core::ids::SessionId;
use psyche_core::port::EventLog as _;
use psyche_core::words::Subject;
use psyche_store::sqlite::OpenError;

use crate::conformance::build::{Chain, append, checked, claim, create, owner_id, session_id};
use crate::{open_in, open_to_read};

const SESSIONS: u128 = 4;
const KILLS: u64 = 12;

#[tokio::test]
async fn after_a_kill_every_acknowledged_append_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(SessionId, u64, String)> = Vec::new();
    for round in 0..KILLS {
        let mut child = spawn_child(dir.path().to_owned());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed right after some acknowledgement: the next writes are under way, at a point that nothing steers.
        let after = 1 + (round * 7) % 23;
        let mut seen = 0;
        while seen < after {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            let Some(ack) = parse(&line) else { continue };
            acknowledged.push(ack);
            seen += 1;
        }
        if round == 0 {
            match open_in(dir.path()) {
                Err(OpenError::InUse { pid: Some(pid), .. }) => assert_eq!(pid, child.id()),
                other => panic!("{other:?}"),
            }
            let reader = open_to_read(dir.path()).unwrap();
            assert!(reader.head(session_id(1)).await.unwrap().is_some(), "reading needs no lock");
            reader.close().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died was acknowledged too.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));

        let store = open_in(dir.path()).unwrap();
        let mut logs = std::collections::BTreeMap::new();
        for n in 1..=SESSIONS {
            if store.head(session_id(n)).await.unwrap().is_some() {
                logs.insert(session_id(n), checked(&store, session_id(n)).await.0);
            }
        }
        for (session, seq, hash) in &acknowledged {
            assert_eq!(logs[session][*seq as usize - 1].hash.to_string(), *hash, "round {round}");
        }
        store.close().await;
    }
    assert!(acknowledged.len() as u64 > KILLS);
}

fn parse(line: &str) -> Option<(SessionId, u64, String)> {
    // The test harness prints on the same line what it runs.
    let (_, line) = line.split_once("ack ")?;
    let mut words = line.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.to_owned()))
        .filter(|(.., hash): &(SessionId, u64, String)| hash.len() == 64)
}

fn spawn_child(dir: PathBuf) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "kill::child_that_appends_until_it_is_killed"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", dir.display()).unwrap();
    child
}

#[tokio::test]
#[ignore = "run by after_a_kill_every_acknowledged_append_is_there in a process of its own"]
async fn child_that_appends_until_it_is_killed() {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).unwrap();
    assert!(!dir.is_empty(), "the data directory comes on standard input");
    let store = open_in(dir.trim().as_ref()).unwrap();
    let writers = (1..=SESSIONS).map(|n| {
        let store = &store;
        async move {
            let session = session_id(n);
            if store.head(session).await.unwrap().is_none() {
                create(store, session).await;
            }
            let head = claim(store, session, owner_id(u128::from(std::process::id())), 0).await;
            let mut chain = Chain::at(&head);
            loop {
                let expected = chain.hash;
                let words = [
                    (Subject::Session, "words of an agent"),
                    (Subject::User(crate::conformance::build::user_id(n)), "mine"),
                ];
                let records = vec![chain.record("agent_message", &words), chain.record("reset", &[])];
                let head = store.append(append(session, Some(head.epoch), expected, records)).await.unwrap();
                println!("\nack {session} {} {}", head.seq, head.hash);
            }
        }
    });
    futures_util::future::join_all(writers).await;
}
