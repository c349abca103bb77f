//! Sessions over REST: life, history, sharing, system.

use psyche_core::port::Role;
use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn a_session_is_made_changed_found_and_removed() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let body = json!({"session_type": "shared", "name": "Dreams of Water", "tags": ["night"], "seed": 5, "situation": "A lake.", "turn_order": "simultaneous", "budget": {"tokens": 1000}});
    let made = app.post("/sessions", Some(&ada), body).await.expect(201);
    assert_eq!(
        (&made["status"], &made["relation"], &made["seq"], &made["gen"]),
        (&json!("created"), &json!("owner"), &json!(2), &json!(1))
    );
    assert_eq!(
        (&made["seed"], &made["turn_order"], &made["determinism"]),
        (&json!(5), &json!("simultaneous"), &json!("tape"))
    );
    let id = made["session_id"].as_str().unwrap();
    let path = format!("/sessions/{id}");

    let patch = json!({"name": "Rivers", "pacing_ms": 10, "max_rounds": 3, "situation": "A river.", "tags": ["day"]});
    let changed = app.patch(&path, Some(&ada), patch).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["max_rounds"], &changed["situation"]),
        (&json!("Rivers"), &json!(3), &json!("A river."))
    );
    let lifted = app.patch(&path, Some(&ada), json!({"max_rounds": null})).await.expect(200);
    assert!(lifted.get("max_rounds").is_none(), "{lifted}");
    app.patch(&path, Some(&ada), json!({"owner": "x"})).await.expect(422);
    app.patch(&path, Some(&ada), json!({"pacing_ms": 10_000_000})).await.expect(422);
    app.patch(&path, Some(&ada), json!({"max_rounds": 1_u64 << 63})).await.expect(422);
    app.patch(&path, Some(&ada), json!({"budget": {"cost": -1}})).await.expect(422);

    let agent = |change: Value| app.patch_agent(&ada, id, "shadow", change);
    agent(json!({"temperature": 1.5, "muted": true})).await.expect(200);
    let state = app.get(&format!("{path}/state"), Some(&ada)).await.expect(200);
    assert_eq!(
        (&state["agents"]["shadow"]["temperature"], &state["agents"]["shadow"]["muted"]),
        (&json!(1.5), &json!(true))
    );
    assert_eq!(agent(json!({"temperature": 2.5})).await.expect(422)["error"]["details"][0]["field"], "temperature");
    assert_eq!(agent(json!({"model": "none"})).await.expect(422)["error"]["details"][0]["field"], "model");
    app.patch_agent(&ada, id, "nobody", json!({"muted": true})).await.expect(404);
    let paths = json!({"paths": [{"from": "ego", "to": "self"}]});
    app.put(&format!("{path}/paths"), Some(&ada), paths).await.expect(200);
    app.put(&format!("{path}/paths"), Some(&ada), json!({"paths": [{"from": "ego", "to": "nobody"}]}))
        .await
        .expect(422);

    for (query, found) in [
        ("?q=river", 1),
        ("?q=lake", 0),
        ("?tag=day", 1),
        ("?tag=night", 0),
        ("?status=created", 1),
        ("?status=running", 0),
    ] {
        let items = app.get(&format!("/sessions{query}"), Some(&ada)).await.expect(200)["items"].clone();
        assert_eq!(items.as_array().unwrap().len(), found, "{query}");
    }
    app.get("/sessions?status=asleep", Some(&ada)).await.expect(422);
    app.delete(&path, Some(&ada)).await.expect(204);
    app.get(&path, Some(&ada)).await.expect(404);
}

impl TestApp {
    async fn patch_agent(
        &self,
        person: &crate::support::Person,
        id: &str,
        agent: &str,
        change: Value,
    ) -> crate::support::Reply {
        self.patch(&format!("/sessions/{id}/agents/{agent}"), Some(person), change).await
    }
}

#[tokio::test]
async fn commands_are_checked_stored_and_done_once() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let command = |body: Value| {
        let path = format!("/sessions/{id}/commands");
        let (app, ada) = (&app, &ada);
        async move { app.post(&path, Some(ada), body).await }
    };
    let first = command(
        json!({"command_id": "c1", "command": "inject_stimulus", "args": {"kind": "custom", "text": "A bell rings."}}),
    )
    .await
    .expect(200);
    let again = command(
        json!({"command_id": "c1", "command": "inject_stimulus", "args": {"kind": "custom", "text": "A bell rings."}}),
    )
    .await
    .expect(200);
    assert_eq!(first["seq"], again["seq"]);
    let stimuli = app.get(&format!("/sessions/{id}/events?type=stimulus_injected"), Some(&ada)).await.expect(200);
    assert_eq!(stimuli["items"].as_array().unwrap().len(), 1);
    for (body, field) in [
        (json!({"command": "dance"}), "command"),
        (json!({"command": "inject_stimulus", "args": {"kind": "secret-word"}}), "args"),
        (
            json!({"command": "inject_stimulus", "args": {"kind": "custom", "text": "x", "target": "nobody"}}),
            "args.target",
        ),
        (json!({"command": "step", "args": {"unit": "day"}}), "args"),
        (json!({"command": "start", "command_id": ""}), "command_id"),
    ] {
        let answer = command(body.clone()).await.expect(422);
        assert_eq!(answer["error"]["details"][0]["field"], field, "{body}");
        assert!(!answer.to_string().contains("secret-word"));
    }
}

#[tokio::test]
async fn the_past_can_be_read_in_every_way() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 2).await;
    let events = app.talk(&ada, &id).await;
    let seqs: Vec<_> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(events.iter().all(|e| e["prev"].as_u64().unwrap() == e["seq"].as_u64().unwrap() - 1));

    let messages = app.get(&format!("/sessions/{id}/messages?limit=4"), Some(&ada)).await.expect(200);
    let cursor = messages["next_cursor"].as_str().unwrap().to_owned();
    let rest = app.get(&format!("/sessions/{id}/messages?cursor={cursor}"), Some(&ada)).await.expect(200);
    assert_eq!((messages["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (4, 6));
    assert_eq!(rest["items"][0]["prev"], messages["items"][3]["seq"]);
    assert!(rest["next_cursor"].is_null());

    let of = |query: &str| {
        let path = format!("/sessions/{id}/events?limit=200&{query}");
        let (app, ada) = (&app, &ada);
        async move { app.get(&path, Some(ada)).await.expect(200)["items"].as_array().unwrap().clone() }
    };
    assert_eq!(of("type=agent_message&agent_id=ego").await.len(), 2);
    assert_eq!(of("type=agent_message,turn_started").await.len(), 20);
    let middle = events[events.len() / 2]["timestamp"].as_str().unwrap().to_owned();
    let (before, since) = (of(&format!("end_time={middle}")).await, of(&format!("start_time={middle}")).await);
    assert!(before.iter().all(|e| e["timestamp"].as_str().unwrap() <= middle.as_str()));
    assert!(since.iter().all(|e| e["timestamp"].as_str().unwrap() >= middle.as_str()));
    assert!(before.len() + since.len() >= events.len());
    app.get(&format!("/sessions/{id}/events?type=nonsense"), Some(&ada)).await.expect(422);
    app.get(&format!("/sessions/{id}/events?start_time=yesterday"), Some(&ada)).await.expect(422);

    let first_words = events.iter().find(|e| e["type"] == "agent_message").unwrap();
    let seq = first_words["seq"].as_u64().unwrap();
    let at = |seq: u64| {
        let path = format!("/sessions/{id}/state?at_seq={seq}");
        let (app, ada) = (&app, &ada);
        async move { app.get(&path, Some(ada)).await }
    };
    let speaker = first_words["agent_id"].as_str().unwrap();
    assert_eq!(at(seq - 1).await.expect(200)["agents"][speaker]["utterances"], 0);
    assert_eq!(at(seq).await.expect(200)["agents"][speaker]["utterances"], 1);
    at(0).await.expect(422);
    at(seqs.len() as u64 + 1).await.expect(422);
    let now = app.get(&format!("/sessions/{id}/state"), Some(&ada)).await.expect(200);
    assert_eq!(now["participants"][0]["username"], "ada");

    let context = app.get(&format!("/sessions/{id}/utterances/{seq}/context"), Some(&ada)).await.expect(200);
    assert_eq!(context["messages"][0]["role"], "system");
    app.get(&format!("/sessions/{id}/utterances/1/context"), Some(&ada)).await.expect(404);
}

#[tokio::test]
async fn sharing_and_notes() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let olga = app.person("olga", Role::Observer).await;
    let id = app.session(&ada, 1).await;
    let path = format!("/sessions/{id}/participants/{}", olga.id);
    app.get(&format!("/sessions/{id}"), Some(&olga)).await.expect(404);
    app.get(&path, Some(&ada)).await.expect(404);
    assert_eq!(app.put(&path, Some(&ada), json!({"relation": "viewer"})).await.expect(200)["relation"], "viewer");
    assert_eq!(app.get(&format!("/sessions/{id}"), Some(&olga)).await.expect(200)["relation"], "viewer");
    assert_eq!(app.get("/sessions", Some(&olga)).await.expect(200)["items"].as_array().unwrap().len(), 1);
    let note = json!({"seq": 1, "text": "Here it began.", "tags": ["start"]});
    app.post(&format!("/sessions/{id}/annotations"), Some(&olga), note.clone()).await.expect(403);
    app.put(&path, Some(&ada), json!({"relation": "participant"})).await.expect(200);
    app.post(&format!("/sessions/{id}/annotations"), Some(&olga), note).await.expect(201);
    let missing = json!({"seq": 999, "text": "x"});
    app.post(&format!("/sessions/{id}/annotations"), Some(&ada), missing).await.expect(422);
    for relation in ["owner", "none"] {
        app.put(&path, Some(&ada), json!({"relation": relation})).await.expect(422);
    }
    app.put(&format!("/sessions/{id}/participants/{}", ada.id), Some(&ada), json!({"relation": "viewer"}))
        .await
        .expect(409);
    app.delete(&path, Some(&ada)).await.expect(204);
    app.get(&format!("/sessions/{id}"), Some(&olga)).await.expect(404);
}

#[tokio::test]
async fn the_system_tells_how_it_is() {
    let app = TestApp::with(|o| o.metrics_token = Some("scrape-me".into())).await;
    let root = app.person("root", Role::Admin).await;
    let id = app.session(&root, 1).await;
    app.talk(&root, &id).await;
    let _open = app.watch(&root, &id, json!({})).await;

    let open = app.get("//health", None).await.expect(200);
    assert_eq!(open["status"], "healthy");
    assert!(open.get("version").is_none() && open["components"]["websocket"].get("connections").is_none(), "{open}");
    let known = app.get("/health", Some(&root)).await.expect(200);
    assert_eq!(
        (&known["version"], &known["components"]["websocket"]["connections"]),
        (&json!("0.0.0-test"), &json!(1))
    );
    app.get("//live", None).await.expect(200);
    assert_eq!(app.get("//ready", None).await.expect(200)["ready"], true);

    let status = app.get("/system/status", Some(&root)).await.expect(200);
    assert_eq!(status["websocket_connections"], 1);
    assert!(status["resource_usage"]["memory_mb"].as_f64().unwrap() > 1.0, "{status}");
    let sums = app.get("/system/statistics", Some(&root)).await.expect(200);
    assert_eq!((&sums["sessions"], &sums["turns"]), (&json!(1), &json!(5)));

    app.get("//metrics", None).await.expect(401);
    let scrape = |token: &str| app.http.get(format!("{}/metrics", app.base)).bearer_auth(token).send();
    assert_eq!(scrape("wrong").await.unwrap().status(), 403);
    let text = scrape("scrape-me").await.unwrap().text().await.unwrap();
    assert!(text.contains("\npsyche_websocket_connections 1\n"), "{text}");
    assert!(text.contains("\npsyche_sessions_running "), "{text}");
    assert!(
        text.contains(
            "psyche_http_requests_total{method=\"POST\",route=\"/api/v1/sessions/{id}/commands\",status=\"200\"} 1"
        ),
        "{text}"
    );
    assert!(!text.contains(&id), "raw paths are no labels");
}
