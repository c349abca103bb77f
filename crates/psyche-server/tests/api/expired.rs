//! TOK-06b: a session that nobody touched is paused, its readers see it, and the audit trail names it.

use std::time::Duration;

use psyche_core::port::Role;
use psyche_engine::Options;
use psyche_llm::scripted::{Pace, ScriptedModel};
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn an_expired_session_is_paused_and_audited() {
    let model = ScriptedModel::new("scripted", Pace::InAll(Duration::from_mins(10)));
    let engine = Options {
        expire_after: Some(Duration::from_hours(24)),
        expire_every: Duration::from_millis(5),
        ..Options::default()
    };
    let app = TestApp::with_engine(|_| (), model, engine).await;
    let ada = app.person("ada", Role::Admin).await;
    let id = app.session(&ada, 3).await;
    let mut watching = app.watch(&ada, &id, json!({})).await;
    watching.say(json!({"type": "agent_command", "id": "go", "command": "start"})).await;
    watching.until(|f| f["type"] == "turn_started").await;
    app.clock.advance(Duration::from_hours(25));
    let seen = watching.until(|f| f["type"] == "session_status" && f["reason"] == "expired").await;
    let status = seen.last().unwrap();
    assert_eq!((&status["status"], &status["actor"]), (&json!("paused"), &json!("system")));

    // Written just after it is shown.
    let ada = app.sign_in("ada", ada.id).await;
    let row = loop {
        let rows = app.get("/audit?event_type=session.expired", Some(&ada)).await.expect(200);
        if let Some(row) = rows["items"].as_array().unwrap().first() {
            break row.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&row["session_id"], &row["user_id"], &row["severity"]), (&json!(id), &json!(ada.id), &json!("low")));
}
