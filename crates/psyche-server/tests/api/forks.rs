//! Forks, interviews, comparisons and the timeline over REST and sockets.

use psyche_core::TenantId;
use psyche_core::port::{AuditFilter, AuditLog as _, Directory as _, Relation, Role};
use serde_json::{Value, json};

use crate::support::TestApp;

fn seqs(events: &[Value], kind: &str) -> Vec<u64> {
    events.iter().filter(|e| e["type"] == kind).map(|e| e["seq"].as_u64().unwrap()).collect()
}

/// The events without what names their session.
fn bare(events: &[Value]) -> Vec<Value> {
    let bare = |event: &Value| {
        let mut event = event.clone();
        event.as_object_mut().unwrap().remove("session_id");
        event
    };
    events.iter().map(bare).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_is_made_listed_and_goes_on() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 2).await;
    let events = app.talk(&ada, &id).await;
    let at = seqs(&events, "agent_message")[4];
    let body = json!({
        "at_seq": at, "name": "With a lamp",
        "changes": {"situation": "Somebody lights a lamp.", "agents": {"shadow": {"temperature": 0.2}}, "seed": 99},
    });
    let made = app.post(&format!("/sessions/{id}/fork"), Some(&ada), body).await.expect(201);
    assert_eq!(
        (&made["status"], &made["relation"], &made["name"]),
        (&json!("paused"), &json!("owner"), &json!("With a lamp"))
    );
    assert_eq!(made["parent"], json!({"session_id": id, "gen": 1, "seq": at}));
    assert_eq!(made["seed"], json!(99));
    let situation = made["situation"].as_str().unwrap();
    assert!(situation.starts_with("Somebody lights a lamp."), "{situation}");
    let fork = made["session_id"].as_str().unwrap().to_owned();
    let copied = app.events(&ada, &fork).await;
    assert_eq!(bare(&copied)[..at as usize], bare(&events)[..at as usize]);
    let forked = &copied[at as usize];
    assert_eq!((&forked["type"], &forked["seq"]), (&json!("forked"), &json!(at + 1)));
    assert_eq!(forked["changes"]["agents"]["shadow"], json!({"temperature": 0.2}));

    // Listed under its parent, counted there, and able to go on.
    let listed = app.get(&format!("/sessions?parent={id}"), Some(&ada)).await.expect(200);
    assert_eq!(
        listed["items"].as_array().unwrap().iter().map(|s| &s["session_id"]).collect::<Vec<_>>(),
        [&json!(fork)]
    );
    assert_eq!(app.get(&format!("/sessions/{id}"), Some(&ada)).await.expect(200)["branches"], 1);
    assert_eq!(app.get("/sessions", Some(&ada)).await.expect(200)["items"][1]["branches"], 1);
    app.get("/sessions?parent=everything", Some(&ada)).await.expect(422);
    let on = app.talk(&ada, &fork).await;
    assert_eq!(seqs(&on, "agent_message").len(), 10);
    assert_eq!(app.events(&ada, &id).await, events, "the parent is as it was");

    // The fork is audited as a session made.
    let rows = app.store.rows(TenantId::DEFAULT, AuditFilter::default(), 100).await.unwrap();
    let row = rows.iter().find(|row| row.session_id.map(|s| s.to_string()) == Some(fork.clone())).unwrap();
    assert_eq!(row.details, json!({"forked_from": id, "at_seq": at}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_can_be_forked_and_what_cannot_be_is_refused() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let ben = app.person("ben", Role::Researcher).await;
    let olga = app.person("olga", Role::Observer).await;
    let id = app.session(&ada, 1).await;
    let path = format!("/sessions/{id}/fork");
    app.post(&path, Some(&ben), json!({"at_seq": 1})).await.expect(404);
    for person in [&ben, &olga] {
        app.store.set_relation(id.parse().unwrap(), person.id, Relation::Viewer).await.unwrap();
    }
    let made = app.post(&path, Some(&ben), json!({"at_seq": 1})).await.expect(201);
    assert_eq!((&made["owner"], &made["name"]), (&json!(ben.id.to_string()), &json!("A talk")));
    app.post(&path, Some(&olga), json!({"at_seq": 1})).await.expect(403);
    // The fork is Ben's alone, and does not show among Ada's.
    app.get(&format!("/sessions/{}", made["session_id"].as_str().unwrap()), Some(&ada)).await.expect(404);
    assert_eq!(app.get(&format!("/sessions/{id}"), Some(&ada)).await.expect(200)["branches"], 0);
    assert_eq!(app.get(&format!("/sessions/{id}"), Some(&ben)).await.expect(200)["branches"], 1);

    for (body, field) in [
        (json!({"at_seq": 0}), "at_seq"),
        (json!({"at_seq": 99}), "at_seq"),
        (json!({"at_seq": 1, "name": ""}), "name"),
        (json!({"at_seq": 1, "changes": {"model": "none"}}), "changes.model"),
        (json!({"at_seq": 1, "changes": {"agents": {"nobody": {}}}}), "changes.agents"),
        (json!({"at_seq": 1, "changes": {"agents": {"ego": {"temperature": 3.0}}}}), "changes.agents"),
        (json!({"at_seq": 1, "changes": {"paths": [{"from": "ego", "to": "ego"}]}}), "changes.paths"),
        (json!({"at_seq": 1, "changes": {"seed": 9_007_199_254_740_992_u64}}), "changes.seed"),
    ] {
        let refused = app.post(&path, Some(&ada), body).await.expect(422);
        assert_eq!(refused["error"]["details"][0]["field"], field);
    }
    app.post(&path, Some(&ada), json!({})).await.expect(422);
    app.post(&path, Some(&ada), json!({"at_seq": 1, "changes": {"owner": "x"}})).await.expect(422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_interviewed_over_rest_and_on_the_socket() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let olga = app.person("olga", Role::Observer).await;
    let id = app.session(&ada, 1).await;
    let events = app.talk(&ada, &id).await;
    let path = format!("/sessions/{id}/commands");
    let body = json!({"command": "interview", "args": {"agent_id": "shadow", "question": "What do you want?"}});
    let answer = app.post(&path, Some(&ada), body.clone()).await.expect(200);
    let interview = &answer["interview"];
    assert_eq!(answer["seq"], json!(events.len()));
    assert!(!interview["answer"].as_str().unwrap().is_empty());
    assert!(interview["messages"].to_string().contains("What do you want?"));
    let mut socket = app.watch(&ada, &id, json!({})).await;
    socket.say(json!({"type": "agent_command", "id": "q1", "command": "interview", "args": body["args"]})).await;
    let ack = socket.until(|f| f["type"] == "ack").await.pop().unwrap();
    assert_eq!((&ack["id"], &ack["seq"]), (&json!("q1"), &answer["seq"]));
    assert_eq!(ack["interview"]["prompt_digest"], interview["prompt_digest"]);
    for args in
        [json!({}), json!({"agent_id": "nobody", "question": "Who?"}), json!({"agent_id": "ego", "question": ""})]
    {
        app.post(&path, Some(&ada), json!({"command": "interview", "args": args})).await.expect(422);
        socket.say(json!({"type": "agent_command", "id": "q2", "command": "interview", "args": args})).await;
        let error = socket.until(|f| f["type"] == "error").await.pop().unwrap();
        assert_eq!((&error["id"], &error["code"]), (&json!("q2"), &json!("invalid")), "{error}");
    }
    app.store.set_relation(id.parse().unwrap(), olga.id, Relation::Participant).await.unwrap();
    app.post(&path, Some(&olga), body).await.expect(403);
    assert_eq!(app.events(&ada, &id).await, events, "nothing of it is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_compared_from_where_their_common_past_ends() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let ben = app.person("ben", Role::Researcher).await;
    let id = app.session(&ada, 3).await;
    let events = app.talk(&ada, &id).await;
    let said = seqs(&events, "turn_committed");
    let fork = async |at: u64, situation: &str| {
        let body = json!({"at_seq": at, "changes": {"situation": situation}});
        let made = app.post(&format!("/sessions/{id}/fork"), Some(&ada), body).await.expect(201);
        made["session_id"].as_str().unwrap().to_owned()
    };
    let (early, late) = (fork(said[5], "A storm.").await, fork(said[9], "A calm.").await);
    for session in [&early, &late] {
        app.talk(&ada, session).await;
    }
    let speak = json!({"command": "speak", "args": {"text": "Enough for today."}});
    app.post(&format!("/sessions/{late}/commands"), Some(&ada), speak).await.expect(200);

    let ask = async |ids: &[&str], rest: &str, status| {
        app.get(&format!("/sessions/compare?ids={}{rest}", ids.join(",")), Some(&ada)).await.expect(status)
    };
    let answer = ask(&[&id, &early, &late], "", 200).await;
    assert_eq!(answer["common"], json!({"seq": said[5], "turn": 6, "round": 2}));
    let shared: Vec<_> =
        answer["runs"].as_array().unwrap().iter().map(|run| run["common_seq"].as_u64().unwrap()).collect();
    assert_eq!(shared, [events.len() as u64, said[5], said[9]]);
    let turns: Vec<_> = answer["items"].as_array().unwrap().iter().map(|row| row["turn"].as_u64().unwrap()).collect();
    assert_eq!(turns, (7..=16).collect::<Vec<_>>());
    assert!(answer["next_cursor"].is_null());
    for row in &answer["items"].as_array().unwrap()[..9] {
        let cells = row["cells"].as_array().unwrap();
        for cell in cells {
            assert_eq!(cell["message"]["metadata"]["turn"], row["turn"]);
            assert!(cell["gauges"]["stagnation"].is_object());
        }
        assert!(cells[0].get("deltas").is_none());
        // Where the late fork is still the first, it differs in nothing.
        let same = row["turn"].as_u64().unwrap() <= 10;
        if same {
            assert_eq!(cells[0]["message"]["content"], cells[2]["message"]["content"], "{row}");
            assert!(cells[2]["deltas"].as_object().is_none_or(|d| d.values().all(|v| v == &json!(0.0))), "{row}");
        }
    }
    let with_stagnation = |row: &Value| row["cells"][1]["deltas"]["stagnation"].is_number();
    let measured = |row: &&Value| row["cells"][0]["gauges"]["stagnation"]["standardised"].is_number();
    let items = answer["items"].as_array().unwrap();
    assert!(items.iter().filter(measured).all(with_stagnation));
    let kinds = |row: usize, run: usize| {
        let events = answer["items"][row]["cells"][run]["events"].as_array().unwrap();
        events.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(0, 1), ["forked"]);
    assert_eq!(kinds(4, 2), ["forked"]);
    assert_eq!(kinds(9, 2), ["agent_message"], "what came after the last words");

    // Page by page the same.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ask(&[&id, &early, &late], &format!("&limit=4{cursor}"), 200).await;
        assert!(page["items"].as_array().unwrap().len() <= 4);
        paged.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(paged), answer["items"]);

    // Strangers share nothing but turn numbers.
    let other = app.session(&ada, 1).await;
    app.talk(&ada, &other).await;
    let strangers = ask(&[&id, &other], "", 200).await;
    assert_eq!(strangers["common"], json!({"seq": 0, "turn": 0, "round": 0}));
    assert_eq!(strangers["items"].as_array().unwrap().len(), 15);
    assert!(strangers["items"][14]["cells"][1].get("message").is_none());

    let (one, two) = (id.as_str(), other.as_str());
    for (ids, rest) in [
        (vec![one], ""),
        (vec![one, one], ""),
        (vec![one, "nonsense"], ""),
        (vec![one; 7], ""),
        (vec![one, two], "&limit=0"),
        (vec![one, two], "&cursor=4.5"),
    ] {
        ask(&ids, rest, 422).await;
    }
    // Each is asked for by itself.
    let both = format!("/sessions/compare?ids={id},{other}");
    app.get(&both, Some(&ben)).await.expect(404);
    app.store.set_relation(id.parse().unwrap(), ben.id, Relation::Viewer).await.unwrap();
    app.get(&both, Some(&ben)).await.expect(404);
    app.store.set_relation(other.parse().unwrap(), ben.id, Relation::Viewer).await.unwrap();
    app.get(&both, Some(&ben)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timeline_has_every_turn_and_no_words() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 2).await;
    let stimulus = json!({"command": "inject_stimulus", "args": {"kind": "custom", "text": "A bell rings."}});
    app.post(&format!("/sessions/{id}/commands"), Some(&ada), stimulus).await.expect(200);
    let events = app.talk(&ada, &id).await;
    let reply = app.get(&format!("/sessions/{id}/timeline"), Some(&ada)).await;
    assert!(!reply.text.contains("A bell rings."));
    let timeline = reply.expect(200);
    let said: Vec<_> = events.iter().filter(|e| e["type"] == "agent_message").collect();
    let column = |name: &str| timeline["turns"][name].as_array().unwrap().clone();
    assert_eq!(column("seq"), said.iter().map(|e| e["seq"].clone()).collect::<Vec<_>>());
    assert_eq!(column("agent_id"), said.iter().map(|e| e["agent_id"].clone()).collect::<Vec<_>>());
    assert_eq!(column("sentiment"), said.iter().map(|e| e["sentiment"]["score"].clone()).collect::<Vec<_>>());
    let health: Vec<_> = events.iter().filter(|e| e["type"] == "health_update").collect();
    for gauge in ["conflict", "engagement", "diversity", "repetition", "emotional_intensity", "stagnation"] {
        let expected: Vec<_> = health.iter().map(|e| e["gauges"][gauge]["standardised"].clone()).collect();
        assert_eq!(timeline["turns"]["gauges"][gauge], json!(expected), "{gauge}");
    }
    let marks = timeline["marks"].as_array().unwrap();
    assert_eq!(
        (&marks[0]["type"], &marks[0]["label"], &marks[0]["turn"]),
        (&json!("stimulus_injected"), &json!("custom"), &json!(0))
    );
    assert_eq!(marks.last().unwrap()["label"], "stopped");
    assert!(timeline["next_cursor"].is_null());
    // After an event: the rest alone.
    let after = said[6]["seq"].as_u64().unwrap() - 1;
    let rest = app.get(&format!("/sessions/{id}/timeline?after={after}"), Some(&ada)).await.expect(200);
    assert_eq!(rest["turns"]["seq"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_speaks_and_is_heard_as_that_person() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let ben = app.person("ben", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let path = format!("/sessions/{id}/commands");
    let speak = |args: Value| json!({"command": "speak", "args": args});
    app.store.set_relation(id.parse().unwrap(), ben.id, Relation::Viewer).await.unwrap();
    app.post(&path, Some(&ben), speak(json!({"text": "Hello."}))).await.expect(403);
    app.store.set_relation(id.parse().unwrap(), ben.id, Relation::Participant).await.unwrap();
    app.post(&path, Some(&ben), speak(json!({"text": "Hello, all of you."}))).await.expect(200);
    let mut socket = app.watch(&ada, &id, json!({})).await;
    let args = json!({"text": "And you, Shadow?", "to": "shadow"});
    socket.say(json!({"type": "agent_command", "id": "s1", "command": "speak", "args": args})).await;
    socket.until(|f| f["type"] == "ack" && f["id"] == "s1").await;
    for args in
        [json!({"text": ""}), json!({"text": "Hm?", "to": "nobody"}), json!({"text": "x".repeat(9_000)}), json!({})]
    {
        app.post(&path, Some(&ada), speak(args)).await.expect(422);
    }
    app.patch(&format!("/sessions/{id}/agents/anima"), Some(&ada), json!({"muted": true})).await.expect(200);
    app.post(&path, Some(&ada), speak(json!({"text": "Do you hear me?", "to": "anima"}))).await.expect(409);

    let events = app.talk(&ada, &id).await;
    let said: Vec<_> = events.iter().filter(|e| e["type"] == "agent_message" && e["agent_id"] == "user").collect();
    let told =
        |event: &Value| (event["metadata"]["user_id"].clone(), event["recipient"].clone(), event["content"].clone());
    let (ada, ben) = (json!(ada.id.to_string()), json!(ben.id.to_string()));
    assert_eq!(told(said[0]), (ben, json!("all"), json!("Hello, all of you.")));
    assert_eq!(told(said[1]), (ada, json!("shadow"), json!("And you, Shadow?")));
    // Those who were spoken to had it in their prompts, and nobody else.
    let started = events.iter().filter(|e| e["type"] == "turn_started");
    let heard = |event: &&Value, seq: &Value| event["event_seqs"].as_array().unwrap().contains(seq);
    let to_shadow: Vec<_> = started.filter(|e| heard(e, &said[1]["seq"])).map(|e| e["agent_id"].clone()).collect();
    assert_eq!(to_shadow, ["shadow"]);
}
