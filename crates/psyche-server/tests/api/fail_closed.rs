//! ERR-01: what decides who gets in, and what they may do, fails closed; what merely shows fails soft.

use psyche_core::port::{Directory as _, Relation, Role};
use reqwest::Method;
use serde_json::{Value, json};

use crate::gates::Gate;
use crate::support::{PASSWORD, Person, Reply, TestApp, send};

#[track_caller]
fn unavailable(what: &str, reply: &Reply) {
    assert_eq!(reply.status, 503, "{what}: {}", reply.text);
    assert_eq!((reply.json()["error"]["kind"].as_str(), reply.header("retry-after")), (Some("unavailable"), "1"));
    assert!(!reply.text.contains("taken away"), "{what}: the cause is ours to know: {}", reply.text);
}

async fn sign_in(app: &TestApp, password: &str) -> Reply {
    app.post("/auth/login", None, json!({"username": "ada", "password": password})).await
}

struct World {
    app: TestApp,
    ada: Person,
    root: Person,
    session: String,
}

async fn world() -> World {
    let app = TestApp::with(|options| options.metrics_token = Some("the scraper".to_owned())).await;
    let ada = app.person("ada", Role::Researcher).await;
    let root = app.person("root", Role::Admin).await;
    let session = app.session(&ada, 1).await;
    World { app, ada, root, session }
}

async fn with_closed<T>(gate: &Gate, work: impl Future<Output = T>) -> T {
    gate.close(true);
    let done = work.await;
    gate.close(false);
    done
}

#[tokio::test]
async fn without_the_directory_nobody_is_let_in_and_nothing_is_changed() {
    let World { app, ada, root, session } = world().await;
    let gate = app.gates.directory.clone();
    let path = format!("/sessions/{session}");
    let somebody = format!("{path}/participants/{}", root.id);
    with_closed(&gate, async {
        for password in [PASSWORD, "a wrong guess"] {
            unavailable("sign-in", &sign_in(&app, password).await);
        }
        let refresh = json!({"refresh_token": ada.refresh});
        unavailable("refresh", &app.post("/auth/refresh", None, refresh).await);
        unavailable("authorisation", &app.get(&path, Some(&ada)).await);
        unavailable("sharing", &app.put(&somebody, Some(&ada), json!({"relation": "viewer"})).await);
        unavailable("sign-out", &app.post("/auth/logout", Some(&ada), json!({})).await);
        unavailable("ending sign-ins", &app.delete("/auth/devices", Some(&ada)).await);
        let disable = json!({"status": "disabled"});
        unavailable("disabling", &app.patch(&format!("/users/{}", ada.id), Some(&root), disable).await);
        // What only shows goes on, and says that something is wrong where it knows.
        app.get("/live", None).await.expect(200);
        app.get("/health", None).await.expect(200);
        let metrics = app.request(Method::GET, "//metrics", None).bearer_auth("the scraper");
        let metrics = send(metrics).await;
        assert!(metrics.status == 200 && metrics.text.contains("psyche_"), "{} {}", metrics.status, metrics.text);
    })
    .await;
    assert_eq!(app.store.relation(session.parse().unwrap(), root.id).await.unwrap(), Relation::None);
    // Nothing was changed by what was refused: everybody is as signed in as before.
    app.get(&path, Some(&ada)).await.expect(200);
    app.post("/auth/refresh", None, json!({"refresh_token": ada.refresh})).await.expect(200);
}

#[tokio::test]
async fn a_socket_is_not_let_in_without_the_directory() {
    let World { app, ada, session, .. } = world().await;
    // Nobody is remembered from before.
    app.patch("/auth/me", Some(&ada), json!({"display_name": "Ada"})).await.expect(200);
    let mut socket = app.socket(&format!("/ws/{session}")).await;
    let gate = app.gates.directory.clone();
    let bye = with_closed(&gate, async {
        socket.say(json!({"type": "auth", "token": ada.token})).await;
        socket.farewell().await
    })
    .await;
    assert_eq!(bye["code"], 1013, "{bye}");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let World { app, ada, root, session } = world().await;
    let gate = app.gates.audit.clone();
    let path = format!("/sessions/{session}");
    with_closed(&gate, async {
        unavailable("sign-in", &sign_in(&app, PASSWORD).await);
        unavailable("a failed sign-in", &sign_in(&app, "a wrong guess").await);
        unavailable("an admin's look", &app.get(&path, Some(&root)).await);
        unavailable("a refusal", &app.get("/users", Some(&ada)).await);
        unavailable("deleting", &app.delete(&path, Some(&ada)).await);
        unavailable("exporting", &app.post("/auth/export", Some(&ada), json!({"password": PASSWORD})).await);
        unavailable("erasing", &app.post("/auth/erase", Some(&ada), json!({"password": PASSWORD})).await);
        let demote = json!({"role": "observer"});
        unavailable("a role", &app.patch(&format!("/users/{}", ada.id), Some(&root), demote).await);
        let budget = json!({"budget": {"tokens": 1}});
        unavailable("a budget", &app.patch(&format!("/users/{}", ada.id), Some(&root), budget).await);
        let open = json!({"registration": "open"});
        unavailable("the configuration", &app.patch("/system/configuration", Some(&root), open).await);
    })
    .await;
    app.get(&path, Some(&ada)).await.expect(200);
    let account = app.get(&format!("/users/{}", ada.id), Some(&root)).await.expect(200);
    assert_eq!((&account["role"], &account["status"]), (&json!("researcher"), &json!("active")));
    assert_eq!(account["budget"], Value::Null);
    assert_eq!(app.get("/system/configuration", Some(&root)).await.expect(200)["registration"], "closed");
}

#[tokio::test]
async fn without_counters_no_password_is_looked_at_and_no_name_is_told() {
    let World { app, ada, session, .. } = world().await;
    let gate = app.gates.counters.clone();
    with_closed(&gate, async {
        for password in [PASSWORD, "a wrong guess"] {
            unavailable("sign-in", &sign_in(&app, password).await);
        }
        let change = json!({"current_password": PASSWORD, "new_password": "another long secret"});
        unavailable("a password change", &app.post("/auth/password", Some(&ada), change).await);
        let invitation = json!({"username": "root", "relation": "viewer"});
        let path = format!("/sessions/{session}/participants");
        unavailable("a name", &app.post(&path, Some(&ada), invitation).await);
    })
    .await;
    sign_in(&app, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn without_expiring_values_no_ticket_is_given_and_no_key_is_ignored() {
    let World { app, ada, .. } = world().await;
    let gate = app.gates.ephemeral.clone();
    with_closed(&gate, async {
        unavailable("a ticket", &app.post("/ws/ticket", Some(&ada), json!({})).await);
        let create = app.request(Method::POST, "/sessions", Some(&ada)).header("Idempotency-Key", "once");
        unavailable("once only", &send(create.json(&json!({"session_type": "single_user"}))).await);
    })
    .await;
    assert_eq!(app.get("/sessions", Some(&ada)).await.expect(200)["items"].as_array().unwrap().len(), 1);
}
