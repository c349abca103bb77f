//! Live delivery over real sockets.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::SinkExt;
use psyche_core::port::Role;
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Person, TestApp, stored};

fn seqs(events: &[&Value]) -> Vec<u64> {
    events.iter().map(|e| e["seq"].as_u64().unwrap()).collect()
}

/// Each event names the one before it.
#[track_caller]
fn is_chain(events: &[&Value], mut last: u64) {
    for event in events {
        assert_eq!(event["prev"].as_u64().unwrap(), last, "{event}");
        last = event["seq"].as_u64().unwrap();
    }
}

#[tokio::test]
async fn a_reader_sees_the_snapshot_then_everything_in_order() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let mut socket = app.watch(&ada, &id, json!({})).await;
    let snapshot = socket.next_main().await;
    assert_eq!(
        (&snapshot["type"], &snapshot["reason"], &snapshot["seq"]),
        (&json!("snapshot"), &json!("cold"), &json!(2))
    );
    assert_eq!((&snapshot["session"]["relation"], &snapshot["state"]["status"]), (&json!("owner"), &json!("created")));
    socket.say(json!({"type": "agent_command", "id": "go", "command": "start"})).await;
    let mut frames = socket.until(|f| f["type"] == "session_status" && f["reason"] == "max_rounds").await;
    // The turn's own end follows in the same append.
    frames.extend(socket.until(|f| f["type"] == "turn_committed").await);
    if !frames.iter().any(|f| f["type"] == "ack") {
        frames.extend(socket.until(|f| f["type"] == "ack").await);
    }
    let events = stored(&frames);
    is_chain(&events, 2);
    let ack = frames.iter().find(|f| f["type"] == "ack").unwrap();
    assert_eq!((&ack["id"], &ack["seq"]), (&json!("go"), &json!(3)));
    // Live tokens came too, and only before the words they belong to.
    let deltas: Vec<_> = frames.iter().filter(|f| f["type"] == "delta").collect();
    assert!(!deltas.is_empty());
    for delta in deltas {
        let place = frames.iter().position(|f| std::ptr::eq(f, delta)).unwrap();
        let words =
            frames.iter().position(|f| f["type"] == "agent_message" && f["metadata"]["turn"] == delta["turn"]).unwrap();
        assert!(place < words, "{delta}");
    }
    // What came over the socket is what the log holds.
    let log = app.events(&ada, &id).await;
    assert_eq!(events.iter().map(|e| (*e).clone()).collect::<Vec<_>>(), log[2..].to_vec());
}

#[tokio::test]
async fn resuming_anywhere_gives_the_rest_once_from_ring_or_log() {
    for ring_events in [4, 512] {
        let app = TestApp::with(|o| o.limits.ring_events = ring_events).await;
        let ada = app.person("ada", Role::Researcher).await;
        let id = app.session(&ada, 3).await;
        let log = app.talk(&ada, &id).await;
        let last = log.len() as u64;
        for after in [0, 1, last / 2, last - 3, last - 1] {
            let mut socket = app.watch(&ada, &id, json!({"cursor": {"gen": 1, "seq": after}})).await;
            let resume = socket.next_main().await;
            assert_eq!((&resume["type"], &resume["seq"]), (&json!("resume"), &json!(after)));
            let frames = socket.until(|f| f["seq"] == last).await;
            let events = stored(&frames);
            assert_eq!(seqs(&events), (after + 1..=last).collect::<Vec<_>>(), "ring {ring_events}, after {after}");
            is_chain(&events, after);
        }
    }
}

#[tokio::test]
async fn a_reader_that_returns_while_they_talk_misses_and_repeats_nothing() {
    let app = TestApp::with(|o| o.limits.ring_events = 8).await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 40).await;
    let mut socket = app.watch(&ada, &id, json!({"cursor": {"gen": 1, "seq": 0}})).await;
    socket.say(json!({"type": "agent_command", "command": "start"})).await;
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let fits = |f: &Value| f["type"] == "turn_committed" || f["reason"] == "max_rounds";
        let frames = socket.until(fits).await;
        seen.extend(stored(&frames).into_iter().cloned());
        if frames.last().unwrap()["reason"] == "max_rounds" {
            seen.push(socket.until(|f| f["type"] == "turn_committed").await.pop().unwrap());
            break;
        }
        // Gone without a word, back with the cursor.
        let after = seen.last().unwrap()["seq"].clone();
        socket = app.watch(&ada, &id, json!({"cursor": {"gen": 1, "seq": after}})).await;
    }
    let seen: Vec<&Value> = seen.iter().collect();
    is_chain(&seen, 0);
    assert_eq!(seen.len(), app.events(&ada, &id).await.len());
}

#[tokio::test]
async fn a_snapshot_says_why() {
    let app = TestApp::with(|o| o.limits.replay_events = 10).await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let last = app.talk(&ada, &id).await.len() as u64;
    let cases = [
        (json!({}), "cold"),
        (json!({"cursor": {"gen": 1, "seq": 1}}), "too_old"),
        (json!({"cursor": {"gen": 7, "seq": 1}}), "rewound"),
        (json!({"cursor": {"gen": 1, "seq": last + 1}}), "rewound"),
    ];
    for (subscribe, reason) in cases {
        let mut socket = app.watch(&ada, &id, subscribe).await;
        let snapshot = socket.next_main().await;
        assert_eq!(
            (&snapshot["type"], &snapshot["reason"], &snapshot["seq"]),
            (&json!("snapshot"), &json!(reason), &json!(last))
        );
    }
}

#[tokio::test]
async fn a_filtered_view_has_its_own_prev_and_is_told_its_position() {
    for ring_events in [6, 512] {
        let app = TestApp::with(|o| o.limits.ring_events = ring_events).await;
        let ada = app.person("ada", Role::Researcher).await;
        let id = app.session(&ada, 2).await;
        let log = app.talk(&ada, &id).await;
        let words: Vec<&Value> = log.iter().filter(|e| e["type"] == "agent_message").collect();
        let wish = json!({"events": ["agent_message"], "cursor": {"gen": 1, "seq": 0}, "deltas": false});
        let mut socket = app.watch(&ada, &id, wish).await;
        let frames = socket.until(|f| f["type"] == "position").await;
        let events = stored(&frames);
        assert_eq!(seqs(&events), seqs(&words));
        is_chain(&events, 0);
        assert_eq!(frames.last().unwrap()["seq"], log.len());
        assert!(frames.iter().all(|f| f["type"] != "system_status"), "not asked for");

        // From the middle: `prev` is the view's, not the cursor.
        let after = words[4]["seq"].as_u64().unwrap() + 1;
        let wish = json!({"events": ["agent_message"], "cursor": {"gen": 1, "seq": after}});
        let mut socket = app.watch(&ada, &id, wish).await;
        let frames = socket.until(|f| f["seq"] == words[9]["seq"]).await;
        is_chain(&stored(&frames), words[4]["seq"].as_u64().unwrap());

        // Replaced on the same socket.
        socket.say(json!({"type": "subscribe", "events": ["turn_committed"], "cursor": {"gen": 1, "seq": 0}})).await;
        let frames = socket.until(|f| f["type"] == "turn_committed" && f["turn"] == 10).await;
        let ends: Vec<_> = stored(&frames).into_iter().filter(|f| f["type"] == "turn_committed").collect();
        assert_eq!(ends.len(), 10);
        is_chain(&ends, 0);
        socket.say(json!({"type": "subscribe", "id": "s", "events": ["nonsense"]})).await;
        let error = socket.until(|f| f["type"] == "error").await.pop().unwrap();
        assert_eq!((&error["id"], &error["code"]), (&json!("s"), &json!("invalid")));
    }
}

#[tokio::test]
async fn nothing_is_told_to_those_who_may_not_know() {
    let app = TestApp::with(|o| o.limits.auth_timeout = Duration::from_millis(50)).await;
    let ada = app.person("ada", Role::Researcher).await;
    let eve = app.person("eve", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let auth = |token: &str| json!({"type": "auth", "token": token});
    let none = "00000000-0000-7000-8000-000000000000";
    let cases = [
        (format!("/ws/{id}"), Some(auth("nonsense")), 4001),
        (format!("/ws/{id}"), Some(json!({"type": "ping"})), 4001),
        (format!("/ws/{id}"), None, 4008),
        (format!("/ws/{id}"), Some(auth(&eve.token)), 4004),
        (format!("/ws/{none}"), Some(auth(&ada.token)), 4004),
        ("/ws/unreal".to_owned(), Some(auth(&ada.token)), 4004),
        ("/ws/system".to_owned(), Some(auth(&ada.token)), 4003),
    ];
    for (path, first, code) in cases {
        let mut socket = app.socket(&path).await;
        if let Some(first) = first {
            socket.say(first).await;
        }
        let bye = socket.next().await;
        assert_eq!((&bye["type"], &bye["code"], &bye["cursor"]), (&json!("bye"), &json!(code), &json!(null)), "{path}");
    }
    let foreign = app.socket_with(&format!("/ws/{id}"), &[("Origin", "http://evil.example")]).await;
    assert_eq!(foreign.err(), Some(403));
    app.socket_with(&format!("/ws/{id}"), &[("Origin", app.base.as_str())]).await.unwrap_or_else(|s| panic!("{s}"));
}

#[tokio::test]
async fn the_other_ways_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let protocols = format!("psyche.v1, psyche.bearer.{}", URL_SAFE_NO_PAD.encode(&ada.token));
    let path = format!("/ws/{id}?gen=1&after=0&events=session_created&deltas=false");
    let mut socket = app.socket_with(&path, &[("Sec-WebSocket-Protocol", &protocols)]).await.unwrap();
    assert_eq!(socket.next().await["type"], "auth_ok");
    assert_eq!(socket.next_main().await["type"], "resume");
    assert_eq!(socket.next_main().await["type"], "session_created");

    let ticket = app.post("/ws/ticket", Some(&ada), json!({})).await.expect(200)["ticket"].as_str().unwrap().to_owned();
    let path = format!("/ws/{id}?ticket={ticket}");
    assert_eq!(app.socket(&path).await.next().await["type"], "auth_ok");
    assert_eq!(app.socket(&path).await.farewell().await["code"], 4001, "a ticket is for one use");
    let late = app.post("/ws/ticket", Some(&ada), json!({})).await.expect(200)["ticket"].as_str().unwrap().to_owned();
    app.clock.advance(Duration::from_secs(31));
    assert_eq!(app.socket(&format!("/ws/{id}?ticket={late}")).await.farewell().await["code"], 4001);

    let path = format!("/ws/{id}?token={}", ada.token);
    let mut ignored = app.socket(&path).await;
    ignored.say(json!({"type": "ping"})).await;
    assert_eq!(ignored.farewell().await["code"], 4001, "url_tokens is off");
    let app = TestApp::with(|o| o.url_tokens = true).await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    assert_eq!(app.socket(&format!("/ws/{id}?token={}", ada.token)).await.next().await["type"], "auth_ok");
}

#[tokio::test]
async fn a_sign_in_that_ends_takes_its_sockets_with_it() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    let ada = app.person("ada", Role::Researcher).await;
    let bob = app.person("bob", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let began = tokio::time::Instant::now();
    let mut socket = app.watch(&ada, &id, json!({})).await;
    app.post("/auth/logout", Some(&ada), json!({})).await.expect(200);
    let bye = socket.farewell().await;
    assert_eq!((&bye["code"], &bye["cursor"]), (&json!(4001), &json!({"gen": 1, "seq": 2})));

    let ada = app.sign_in("ada", ada.id).await;
    let mut socket = app.watch(&ada, &id, json!({})).await;
    app.patch(&format!("/users/{}", ada.id), Some(&root), json!({"status": "disabled"})).await.expect(200);
    assert_eq!(socket.farewell().await["code"], 4001);

    let id = app.session(&root, 1).await;
    let path = format!("/sessions/{id}/participants/{}", bob.id);
    app.put(&path, Some(&root), json!({"relation": "viewer"})).await.expect(200);
    let mut socket = app.watch(&bob, &id, json!({})).await;
    app.delete(&path, Some(&root)).await.expect(204);
    assert_eq!(socket.farewell().await["code"], 4004);
    assert!(began.elapsed() < Duration::from_secs(4), "the hint was not heard: {:?}", began.elapsed());

    let mut socket = app.watch(&root, &id, json!({})).await;
    app.delete(&format!("/sessions/{id}"), Some(&root)).await.expect(204);
    assert_eq!(socket.farewell().await["code"], 4004);
}

#[tokio::test]
async fn a_token_is_renewed_in_time_or_the_socket_ends() {
    let app = TestApp::with(|o| o.access_token_life = Duration::from_secs(2)).await;
    let ada = app.person("ada", Role::Researcher).await;
    let bob = app.person("bob", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let mut socket = app.watch(&ada, &id, json!({})).await;
    let mut foreign = app.watch(&ada, &id, json!({})).await;
    socket.until(|f| f["type"] == "auth_required").await;
    let fresh = app.sign_in("ada", ada.id).await;
    socket.say(json!({"type": "auth", "id": "again", "token": fresh.token})).await;
    let ok = socket.until(|f| f["type"] == "auth_ok").await.pop().unwrap();
    assert_eq!(ok["id"], "again");
    foreign.say(json!({"type": "auth", "token": bob.token})).await;
    assert_eq!(foreign.farewell().await["code"], 4001, "another person's token");
    assert_eq!(socket.farewell().await["code"], 4001);
}

#[tokio::test]
async fn bad_input_is_answered_and_too_much_of_it_ends() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let olga = app.person("olga", Role::Observer).await;
    let id = app.session(&ada, 1).await;
    app.put(&format!("/sessions/{id}/participants/{}", olga.id), Some(&ada), json!({"relation": "participant"}))
        .await
        .expect(200);
    let mut socket = app.watch(&ada, &id, json!({})).await;
    let cases = [
        ("{".to_owned(), json!(null), "bad_request"),
        (r#"{"type":"jump","id":"a"}"#.to_owned(), json!("a"), "invalid"),
        (r#"{"type":"ping","id":"b","more":1}"#.to_owned(), json!("b"), "invalid"),
        (r#"{"type":"agent_command","id":"c","command":"pause"}"#.to_owned(), json!("c"), "conflict"),
        (
            r#"{"type":"agent_command","id":"d","command":"change_settings","args":{}}"#.to_owned(),
            json!("d"),
            "invalid",
        ),
        (
            r#"{"type":"ui_interaction","id":"e","action":"annotate","data":{"seq":9}}"#.to_owned(),
            json!("e"),
            "invalid",
        ),
    ];
    for (text, id, code) in cases {
        socket.say_text(text.clone()).await;
        let error = socket.until(|f| f["type"] == "error").await.pop().unwrap();
        assert_eq!((&error["code"], error.get("id").unwrap_or(&json!(null))), (&json!(code), &id), "{text}");
    }
    socket.say(json!({"type": "ping", "id": "p"})).await;
    assert_eq!(socket.until(|f| f["type"] == "pong").await.pop().unwrap()["id"], "p");
    socket
        .say(json!({"type": "ui_interaction", "id": "n", "action": "annotate", "data": {"seq": 1, "text": "A note."}}))
        .await;
    assert_eq!(socket.until(|f| f["type"] == "ack").await.pop().unwrap()["id"], "n");

    // Each message is allowed or not by itself.
    let mut watcher = app.watch(&olga, &id, json!({})).await;
    watcher.say(json!({"type": "agent_command", "id": "x", "command": "start"})).await;
    let error = watcher.until(|f| f["type"] == "error").await.pop().unwrap();
    assert_eq!((&error["id"], &error["code"]), (&json!("x"), &json!("forbidden")));
    watcher
        .say(
            json!({"type": "ui_interaction", "id": "y", "action": "annotate", "data": {"seq": 1, "text": "Mine too."}}),
        )
        .await;
    assert_eq!(watcher.until(|f| f["type"] == "ack").await.pop().unwrap()["id"], "y");

    watcher.say_text(format!("{{\"type\":\"ping\",\"id\":\"{}\"}}", "x".repeat(70_000))).await;
    assert_eq!(watcher.farewell().await["code"], 1009);
    for _ in 0..31 {
        socket.say(json!({"type": "ping"})).await;
    }
    assert_eq!(socket.farewell().await["code"], 4029);
}

#[tokio::test]
async fn those_who_watch_see_each_other() {
    let app = TestApp::with(|o| o.limits.sockets_per_user = 2).await;
    let ada = app.person("ada", Role::Researcher).await;
    let olga = app.person("olga", Role::Observer).await;
    let id = app.session(&ada, 1).await;
    app.put(&format!("/sessions/{id}/participants/{}", olga.id), Some(&ada), json!({"relation": "viewer"}))
        .await
        .expect(200);
    let mut first = app.watch(&ada, &id, json!({})).await;
    let second = app.watch(&olga, &id, json!({})).await;
    let names = |f: &Value| f["users"].as_array().map(|u| u.iter().map(|u| u["username"].clone()).collect::<Vec<_>>());
    first.until(|f| names(f) == Some(vec![json!("ada"), json!("olga")])).await;
    drop(second);
    first.until(|f| names(f) == Some(vec![json!("ada")])).await;
    let _also = app.watch(&ada, &id, json!({})).await;
    let mut third = app.socket(&format!("/ws/{id}")).await;
    third.say(json!({"type": "auth", "token": ada.token})).await;
    assert_eq!(third.farewell().await["code"], 1013);
}

#[tokio::test]
async fn admins_see_sign_ins_on_the_system_socket() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    let mut socket = app.socket("/ws/system").await;
    socket.say(json!({"type": "auth", "token": root.token})).await;
    socket.until(|f| f["type"] == "system_status").await;
    let ada = app.person("ada", Role::Researcher).await;
    let login = socket.until(|f| f["type"] == "user_auth").await.pop().unwrap();
    assert_eq!(
        (&login["action"], &login["username"], &login["success"]),
        (&json!("login"), &json!("ada"), &json!(true))
    );
    app.post("/auth/logout", Some(&ada), json!({})).await.expect(200);
    assert_eq!(socket.until(|f| f["type"] == "user_auth").await.pop().unwrap()["action"], "logout");
    socket.say(json!({"type": "agent_command", "id": "x", "command": "start"})).await;
    assert_eq!(socket.until(|f| f["type"] == "error").await.pop().unwrap()["code"], "invalid");
}

#[tokio::test]
async fn leaving_says_goodbye_to_everybody_and_ends() {
    let mut app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(app.watch(&ada, &id, json!({})).await);
    }
    let mut silent = app.socket(&format!("/ws/{id}")).await;
    app.token.cancel();
    let mut waits = Vec::new();
    for socket in &mut sockets {
        let bye = socket.farewell().await;
        assert_eq!((&bye["code"], &bye["cursor"]), (&json!(1012), &json!({"gen": 1, "seq": 2})));
        waits.push(bye["retry_after_ms"].as_u64().unwrap());
    }
    assert!(waits.iter().all(|w| *w < 10_000) && waits.iter().any(|w| *w != waits[0]), "{waits:?}");
    assert_eq!(silent.farewell().await["code"], 1012);
    tokio::time::timeout(Duration::from_secs(15), &mut app.run).await.expect("it ends").unwrap().unwrap();
    assert_eq!(app.server.sockets(), 0);
}

/// Notes so long that sockets fill up soon.
async fn notes(app: &TestApp, person: &Person, session: &str, count: usize) {
    for n in 0..count {
        let text = format!("{n} {}", "x".repeat(8_000));
        app.post(&format!("/sessions/{session}/annotations"), Some(person), json!({"seq": 1, "text": text}))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off_with_its_cursor_and_nobody_waits_for_it() {
    let app = TestApp::with(|o| {
        (o.limits.stall, o.limits.ring_events) = (Duration::from_millis(200), 16);
        o.metrics_token = Some("scrape-me".to_owned());
    })
    .await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let from_start = json!({"cursor": {"gen": 1, "seq": 0}});
    let mut stalled = app.watch(&ada, &id, from_start.clone()).await;
    let mut other = app.watch(&ada, &id, from_start).await;
    // More than the kernel keeps for a socket, and one at a time: the other reader reads along.
    let mut seen = Vec::new();
    for n in 1..=1500_u64 {
        notes(&app, &ada, &id, 1).await;
        seen.extend(other.until(|f| f["seq"] == 2 + 2 * n).await);
    }
    let last = 3002;
    is_chain(&stored(&seen), 0);
    let cut = async {
        let metrics = || async {
            let scrape = app.http.get(format!("{}/metrics", app.base)).bearer_auth("scrape-me").send().await;
            scrape.unwrap().text().await.unwrap()
        };
        while !metrics().await.contains("slow_readers_cut_total 1\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cut).await.expect("it is cut off");
    let frames = stalled.until(|f| f["type"] == "bye").await;
    let (bye, frames) = frames.split_last().unwrap();
    let seen = stored(frames);
    is_chain(&seen, 0);
    assert_eq!((&bye["code"], &bye["cursor"]["seq"]), (&json!(4010), &seen.last().unwrap()["seq"]));
    assert!(seen.len() < last as usize, "it was cut before it had everything");
    // It comes back with the cursor and misses nothing.
    let mut back = app.watch(&ada, &id, json!({"cursor": bye["cursor"]})).await;
    let rest = back.until(|f| f["seq"] == last).await;
    is_chain(&stored(&rest), bye["cursor"]["seq"].as_u64().unwrap());
}

#[tokio::test]
async fn a_slow_reader_that_reads_in_time_gets_everything() {
    let app = TestApp::with(|o| o.limits.ring_events = 4).await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let mut slow = app.watch(&ada, &id, json!({"cursor": {"gen": 1, "seq": 0}})).await;
    notes(&app, &ada, &id, 120).await;
    let last = app.events(&ada, &id).await.len() as u64;
    let seen = slow.until(|f| f["seq"] == last).await;
    let seen = stored(&seen);
    is_chain(&seen, 0);
    assert_eq!(seen.len() as u64, last);
}

#[tokio::test]
async fn a_subscription_replaced_while_they_talk_misses_and_repeats_nothing() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 30).await;
    let mut socket = app.watch(&ada, &id, json!({"cursor": {"gen": 1, "seq": 0}})).await;
    socket.say(json!({"type": "agent_command", "command": "start"})).await;
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..20 {
        let frames = socket.until(|f| f["type"] == "turn_committed").await;
        socket.say(json!({"type": "subscribe"})).await;
        seen.extend(stored(&frames).into_iter().cloned());
    }
    let frames = socket.until(|f| f["reason"] == "max_rounds").await;
    seen.extend(stored(&frames).into_iter().cloned());
    is_chain(&seen.iter().collect::<Vec<_>>(), 0);
    assert_eq!(seqs(&seen.iter().collect::<Vec<_>>()), (1..=seen.len() as u64).collect::<Vec<_>>());
}

/// A socket without a library: what it sends is what it is given.
async fn raw(app: &TestApp, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(app.base.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: psyche\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Frames of the server as (opcode, payload), up to its close.
async fn until_close(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    loop {
        let opcode = stream.read_u8().await.unwrap() & 0x0f;
        let length = match stream.read_u8().await.unwrap() {
            126 => u64::from(stream.read_u16().await.unwrap()),
            127 => stream.read_u64().await.unwrap(),
            short => short.into(),
        };
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        frames.push((opcode, payload));
        if opcode == 8 {
            return frames;
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_frames_are_answered_with_the_codes_of_the_standard() {
    let app = TestApp::start().await;
    // A mask of zeros changes nothing.
    let mask = [0_u8; 4];
    let frame = |first: u8, payload: &[u8]| [&[first, 0x80 | payload.len() as u8], &mask[..], payload].concat();
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (vec![0x81, 1, b'x'], 1002),
        (frame(0xc1, b"x"), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x82, b"x"), 1003),
        (frame(0x81, &[0xff]), 1007),
        ([&[0x81, 0xff], &(1_u64 << 40).to_be_bytes()[..], &mask].concat(), 1009),
        (frame(0x81, b"hello"), 4001),
    ];
    for (bytes, code) in cases {
        let (mut stream, _) = raw(&app, "/ws/system", UPGRADE).await;
        stream.write_all(&bytes).await.unwrap();
        let frames = until_close(&mut stream).await;
        let [.., (1, bye), (8, close)] = &frames[..] else { panic!("{frames:?}") };
        let bye: Value = serde_json::from_slice(bye).unwrap();
        assert_eq!((bye["code"].clone(), u16::from_be_bytes([close[0], close[1]])), (json!(code), code), "{bytes:?}");
    }
    // Pings are answered with their words, before sign-in too, and a close with its code; then the connection ends.
    let (mut stream, _) = raw(&app, "/ws/system", UPGRADE).await;
    stream.write_all(&[frame(0x89, b"are you there"), frame(0x88, &1000_u16.to_be_bytes())].concat()).await.unwrap();
    let frames = until_close(&mut stream).await;
    assert_eq!(frames[0], (10, b"are you there".to_vec()));
    assert_eq!(frames[1].1[..2], 1000_u16.to_be_bytes());
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_comes_with_the_handshake_is_not_lost() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let auth = json!({"type": "auth", "token": ada.token}).to_string();
    let head = [&[0x81, 0xfe][..], &(auth.len() as u16).to_be_bytes(), &[0; 4]].concat();
    let mut stream = TcpStream::connect(app.base.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET /ws/{id} HTTP/1.1\r\nHost: psyche\r\n{UPGRADE}\r\n");
    stream.write_all(&[request.as_bytes(), &head, auth.as_bytes()].concat()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("\"snapshot\"") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_told_what_is_missing() {
    let app = TestApp::start().await;
    let good = raw(&app, "/ws/system", UPGRADE).await.1;
    assert!(good.starts_with("HTTP/1.1 101") && good.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{good}");
    for (changed, status, header) in [
        (UPGRADE.replace("websocket", "h2c"), "426", "upgrade: websocket"),
        (UPGRADE.replace("13", "8"), "426", "sec-websocket-version: 13"),
        (UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "400", ""),
    ] {
        let head = raw(&app, "/ws/system", &changed).await.1;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")) && head.contains(header), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_talks_through_its_goodbye_is_hung_up_on() {
    let app = TestApp::start().await;
    let (mut stream, _) = raw(&app, "/ws/system", UPGRADE).await;
    let not_auth = [&[0x81, 0x82][..], &[0; 4], b"hi"].concat();
    stream.write_all(&not_auth).await.unwrap();
    let close = until_close(&mut stream).await.pop().unwrap().1;
    assert_eq!(u16::from_be_bytes([close[0], close[1]]), 4001);
    // Pongs without end and without a close: a megabyte and more, as fast as they are taken.
    let pongs = [0x8a, 0x80, 0, 0, 0, 0].repeat(1000);
    let flood = async { while stream.write_all(&pongs).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(4), flood).await.expect("the server ends it");
}

#[tokio::test]
async fn pongs_nobody_asked_for_count_as_messages() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let mut socket = app.watch(&ada, &id, json!({})).await;
    for _ in 0..40 {
        socket.stream.send(Message::Pong(Vec::new().into())).await.unwrap();
    }
    assert_eq!(socket.farewell().await["code"], 4029);
}
