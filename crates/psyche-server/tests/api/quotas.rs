//! LIM-01 and LIM-02 over HTTP.

use psyche_core::port::{Directory as _, Role};
use psyche_core::session::Budget;
use psyche_engine::Options;
use psyche_llm::scripted::{Pace, ScriptedModel};
use serde_json::{Value, json};

use crate::support::TestApp;

async fn app(engine: Options) -> TestApp {
    TestApp::with_engine(|o| o.limits.agents_per_cast = 4, ScriptedModel::new("scripted", Pace::AtOnce), engine).await
}

fn cast(agents: usize) -> Value {
    let agents: Vec<_> = (0..agents)
        .map(|n| json!({"id": format!("a{n}"), "name": format!("A {n}"), "system_prompt": "You are there."}))
        .collect();
    json!({"id": "crowd", "name": "A crowd", "agents": agents})
}

#[tokio::test]
async fn quotas_are_refused_with_a_sentence() {
    let app = app(Options { sessions_per_user: 2, ..Options::default() }).await;
    let ada = app.person("ada", Role::Researcher).await;
    let create = |body: Value| app.post("/sessions", Some(&ada), body);
    let own = |agents| json!({"session_type": "single_user", "cast": cast(agents)});
    let refused = create(own(5)).await.expect(422);
    assert_eq!(
        refused["error"]["details"][0],
        json!({"field": "cast.agents", "message": "has 5 agents, 4 are allowed here"})
    );
    app.post("/casts", Some(&ada), cast(5)).await.expect(422);
    // The built-in cast has five.
    let refused = create(json!({"session_type": "single_user"})).await.expect(422);
    assert_eq!(refused["error"]["details"][0]["field"], "cast_id");
    let first = create(own(4)).await.expect(201);
    create(own(2)).await.expect(201);
    let refused = create(own(1)).await.expect(409);
    assert!(refused["error"]["message"].as_str().unwrap().contains("You own 2 sessions"), "{refused}");
    let bob = app.person("bob", Role::Researcher).await;
    app.post("/sessions", Some(&bob), own(1)).await.expect(201);
    app.delete(&format!("/sessions/{}", first["session_id"].as_str().unwrap()), Some(&ada)).await.expect(204);
    create(own(1)).await.expect(201);
}

#[tokio::test]
async fn budgets_are_shown_and_set() {
    let user_budget = Budget { tokens: Some(8_000), cost: None };
    let app = TestApp::with_engine(
        |_| (),
        ScriptedModel::new("scripted", Pace::AtOnce),
        Options { user_budget, ..Options::default() },
    )
    .await;
    let ada = app.person("ada", Role::Researcher).await;
    let root = app.person("root", Role::Admin).await;
    let me = app.get("/auth/me", Some(&ada)).await.expect(200);
    assert_eq!((&me["budget"], &me["budget_in_force"]), (&Value::Null, &json!({"tokens": 8000})));
    assert_eq!(me["spent"], json!({"tokens": 0, "cost": 0.0}));

    let session = app.session(&ada, 50).await;
    let mut socket = app.watch(&ada, &session, json!({})).await;
    app.post(&format!("/sessions/{session}/commands"), Some(&ada), json!({"command": "start"})).await.expect(200);
    let frames = socket.until(|f| f["type"] == "session_status" && f["status"] == "paused").await;
    let paused = frames.last().unwrap();
    assert_eq!((&paused["reason"], &paused["budget"]), (&json!("budget_exceeded"), &json!("user")));
    let spent = app.get("/auth/me", Some(&ada)).await.expect(200)["spent"]["tokens"].as_u64().unwrap();
    assert!(spent > 0 && spent <= 8_000, "{spent}");
    let seen = app.get(&format!("/users/{}", ada.id), Some(&root)).await.expect(200);
    assert_eq!(seen["spent"]["tokens"], spent);

    let user = format!("/users/{}", ada.id);
    for (budget, status) in [
        (json!({"tokens": 1_000_000, "cost": 2.5}), 200),
        (json!({"cost": -1}), 422),
        (json!({"tokens": "many"}), 422),
        (json!([1, 2]), 422),
    ] {
        app.patch(&user, Some(&root), json!({"budget": budget})).await.expect(status);
    }
    let me = app.get("/auth/me", Some(&ada)).await.expect(200);
    assert_eq!(me["budget_in_force"], json!({"tokens": 1_000_000, "cost": 2.5}));
    app.patch(&user, Some(&root), json!({"display_name": "Ada"})).await.expect(200);
    assert_eq!(app.get("/auth/me", Some(&ada)).await.expect(200)["budget"]["cost"], 2.5, "left alone");
    let lifted = app.patch(&user, Some(&root), json!({"budget": null})).await.expect(200);
    assert_eq!(lifted["budget"], Value::Null);
    app.patch("/auth/me", Some(&ada), json!({"budget": {"tokens": 1}})).await.expect(422);

    let configuration = app.get("/system/configuration", Some(&root)).await.expect(200);
    assert_eq!((&configuration["budget"], &configuration["user_budget"]), (&json!({}), &json!({"tokens": 8000})));
    assert_eq!(configuration["spent"]["tokens"], spent);
    let set = json!({"budget": {"tokens": 9}});
    let changed = app.patch("/system/configuration", Some(&root), set).await.expect(200);
    assert_eq!((&changed["budget"], &changed["registration"]), (&json!({"tokens": 9}), &json!("closed")));
    assert_eq!(
        app.store.allowance(psyche_core::TenantId::DEFAULT, None).await.unwrap().budget.unwrap().tokens,
        Some(9)
    );
    let trail = app.get("/audit?event_type=system.config.changed", Some(&root)).await.expect(200);
    assert_eq!(trail["items"][0]["details"], json!({"budget": {"tokens": 9}}));
}
