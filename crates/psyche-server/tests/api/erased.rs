//! Whoever watches a session when words in it are erased sees it without them.

use psyche_core::port::Role;
use psyche_core::words::Subject;
use serde_json::json;

use crate::support::TestApp;

const CANARY: &str = "CANARY my grandmother kept a lighthouse near Trieste";

#[tokio::test]
async fn readers_get_a_snapshot_without_the_erased_words() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    app.patch(&format!("/sessions/{id}"), Some(&ada), json!({"name": CANARY, "situation": CANARY, "tags": ["CANARY"]}))
        .await
        .expect(200);
    let mut watching = app.watch(&ada, &id, json!({})).await;
    let snapshot = watching.next_main().await;
    assert!(snapshot.to_string().contains(CANARY) && snapshot["gen"] == 1);
    watching.say(json!({"type": "agent_command", "id": "say", "command": "speak", "args": {"text": CANARY}})).await;
    watching.until(|f| f["type"] == "agent_message").await;

    let touched = app.engine.erase(None, Subject::User(ada.id)).await.unwrap();
    assert_eq!(touched.len(), 1);

    let seen = watching.until(|f| f["type"] == "snapshot").await;
    let snapshot = seen.last().unwrap();
    assert_eq!((&snapshot["gen"], &snapshot["reason"]), (&json!(2), &json!("rewound")));
    assert_eq!(snapshot["session"]["name"], "[erased]");
    assert!(!snapshot.to_string().contains("CANARY"), "{snapshot}");

    // From the ring, from the log, and over HTTP.
    let mut later = app.watch(&ada, &id, json!({"cursor": {"gen": 2, "seq": 0}})).await;
    let last = snapshot["seq"].as_u64().unwrap();
    let frames = later.until(|f| f["seq"] == last && f["type"] != "resume").await;
    assert!(frames.len() > 3 && !json!(frames).to_string().contains("CANARY"), "{frames:?}");
    for path in ["", "/events", "/messages", "/state"] {
        let answer = app.get(&format!("/sessions/{id}{path}"), Some(&ada)).await.expect(200).to_string();
        assert!(answer.contains("[erased]") && !answer.contains("CANARY"), "{path}: {answer}");
    }
}
