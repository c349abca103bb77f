//! The permission table over REST: role × relation × every route.

use std::collections::BTreeSet;

use psyche_core::permission::{Permission, Verdict, verdict};
use psyche_core::port::{Directory, Relation, Role};
use psyche_core::session::SessionType;
use reqwest::Method;
use serde_json::json;

use crate::support::{Person, TestApp, send};

const ROLES: [Role; 3] = [Role::Observer, Role::Researcher, Role::Admin];
const RELATIONS: [Relation; 4] = [Relation::None, Relation::Viewer, Relation::Participant, Relation::Owner];

/// What the guard said: handlers answer otherwise only for reasons of their own.
fn expected(verdict: Verdict, status: u16) -> bool {
    match verdict {
        Verdict::Allowed | Verdict::AllowedAudited => !matches!(status, 401 | 403),
        Verdict::Forbidden => status == 403,
        Verdict::Invisible => status == 404,
    }
}

async fn call(app: &TestApp, method: &str, path: &str, person: Option<&Person>) -> u16 {
    let method: Method = method.parse().unwrap();
    let path = path.strip_prefix("/api/v1").map_or_else(|| format!("/{path}"), str::to_owned);
    let request = app.request(method.clone(), &path, person);
    // A body that every handler refuses: only the guard's answer is asked for, and nothing is changed.
    let request = if matches!(method.as_str(), "POST" | "PUT" | "PATCH") { request.json(&json!([])) } else { request };
    send(request).await.status
}

#[tokio::test]
async fn every_session_route_for_every_role_and_relation() {
    let app = TestApp::start().await;
    let rows: Vec<_> =
        psyche_server::permission_table().into_iter().filter(|(_, _, p)| p.concerns_a_session()).collect();
    let permissions: BTreeSet<_> = rows.iter().map(|(_, _, p)| *p).collect();
    assert!(rows.len() >= 13, "{rows:?}");
    let mut asked = 0;
    for (kind, session_type) in [("shared", SessionType::Shared), ("observer_only", SessionType::ObserverOnly)] {
        for role in ROLES {
            for relation in RELATIONS {
                let name = format!("{kind}-{role:?}-{relation:?}").replace('_', "-");
                let owner = app.person(&format!("owner-{name}"), Role::Researcher).await;
                let other = app.person(&name, role).await;
                let made = app.post("/sessions", Some(&owner), json!({"session_type": kind})).await.expect(201);
                let id = made["session_id"].as_str().unwrap();
                let subject = if relation == Relation::Owner {
                    // Only who creates a session owns it; a role may change afterwards.
                    let patch = psyche_core::port::UserPatch { role: Some(role), ..Default::default() };
                    app.store.update_user(owner.id, patch).await.unwrap();
                    app.sign_in(&format!("owner-{name}"), owner.id).await
                } else {
                    app.store.set_relation(id.parse().unwrap(), other.id, relation).await.unwrap();
                    other.clone()
                };
                for (method, template, permission) in &rows {
                    // What would take the session away is asked last, below.
                    if *permission == Permission::SessionDelete {
                        continue;
                    }
                    let path = template
                        .replace("{id}", id)
                        .replace("{agent_id}", "ego")
                        .replace("{seq}", "1")
                        .replace("{user_id}", &owner.id.to_string());
                    let answer = verdict(Some(role), *permission, relation, session_type);
                    let status = call(&app, method, &path, Some(&subject)).await;
                    asked += 1;
                    // A real path with a refused body, or an event that is no utterance, may be missing to the allowed.
                    let own_reason = status == 404 && answer.is_allowed() && template.contains("context");
                    assert!(
                        expected(answer, status) && (status != 404 || answer == Verdict::Invisible || own_reason),
                        "{method} {template} for {role:?}, {relation:?}, {kind}: {status}, {answer:?}"
                    );
                }
                let answer = verdict(Some(role), Permission::SessionDelete, relation, session_type);
                let status = call(&app, "DELETE", &format!("/api/v1/sessions/{id}"), Some(&subject)).await;
                assert!(expected(answer, status), "DELETE for {role:?}, {relation:?}: {status}, {answer:?}");
            }
        }
    }
    assert!(asked > 250, "{asked}");
    for needed in [
        Permission::SessionRead,
        Permission::SessionFork,
        Permission::SessionControl,
        Permission::SessionAnnotate,
        Permission::SessionConfigure,
        Permission::SessionShare,
        Permission::SessionDelete,
    ] {
        assert!(permissions.contains(&needed), "{needed:?} guards nothing");
    }
}

#[tokio::test]
async fn every_other_route_for_every_role_and_nobody() {
    let app = TestApp::start().await;
    let mut people = Vec::new();
    for role in ROLES {
        people.push((role, app.person(&format!("{role:?}"), role).await));
    }
    let rows = psyche_server::permission_table().into_iter().filter(|(_, _, p)| !p.concerns_a_session());
    for (method, template, permission) in rows {
        // Sockets have their own test. Ending one's sign-ins would end the test's.
        let ends = template.ends_with("/logout") || (method == "DELETE" && template.ends_with("/devices"));
        if template.starts_with("/ws/") || ends {
            continue;
        }
        let path = template
            .replace("{cast_id}", "unknown")
            .replace("{model_id}", "unknown")
            .replace("{user_id}", "unknown")
            .replace("{device_id}", "unknown")
            .replace("{file}", "swagger-init.js");
        let nobody = call(&app, method, &path, None).await;
        let is_public = permission == Permission::Public && template != "/metrics";
        // Sign-in itself refuses with 401 or 403 for its own reasons.
        let own = template.contains("/auth/") || template.ends_with("/setup");
        assert!(is_public && (nobody != 401 || own) || !is_public && nobody == 401, "{method} {template}: {nobody}");
        if permission == Permission::Public {
            continue;
        }
        for (role, person) in &people {
            let answer = verdict(Some(*role), permission, Relation::None, SessionType::default());
            let status = call(&app, method, &path, Some(person)).await;
            assert!(expected(answer, status), "{method} {template} for {role:?}: {status}, {answer:?}");
        }
    }
}

#[test]
fn no_route_is_listed_twice_and_only_the_agreed_ones_are_open() {
    let table = psyche_server::permission_table();
    let unique: BTreeSet<_> = table.iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(unique.len(), table.len());
    let open: BTreeSet<_> =
        table.iter().filter(|(_, _, p)| *p == Permission::Public).map(|(m, p, _)| format!("{m} {p}")).collect();
    let agreed = [
        "GET /api/docs",
        "GET /api/openapi.json",
        "GET /api/redoc",
        "GET /api/v1/health",
        "GET /api/v1/live",
        "GET /api/v1/ready",
        "GET /api/v1/setup",
        "GET /api/viewers/{file}",
        "GET /health",
        "GET /live",
        "GET /metrics",
        "GET /ready",
        "GET /ws/system",
        "GET /ws/{session_id}",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/password-reset",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/register",
        "POST /api/v1/setup",
    ];
    assert_eq!(open, agreed.map(str::to_owned).into());
}

/// Every message a client can send, by the permission it needs. A new one fails to compile in `ClientMessage::permission`,
/// and has no words here.
const MESSAGES: [(&str, Permission); 5] = [
    (r#"{"type": "subscribe", "id": "m"}"#, Permission::SessionRead),
    (r#"{"type": "agent_command", "id": "m", "command": "dance", "args": {}}"#, Permission::SessionControl),
    (r#"{"type": "ui_interaction", "id": "m", "action": "annotate", "data": {}}"#, Permission::SessionAnnotate),
    (r#"{"type": "ui_interaction", "id": "m", "action": "select", "data": {}}"#, Permission::SessionRead),
    (r#"{"type": "ping", "id": "m"}"#, Permission::Public),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_for_every_role_and_relation() {
    let app = TestApp::start().await;
    for (kind, session_type) in [("shared", SessionType::Shared), ("observer_only", SessionType::ObserverOnly)] {
        for role in ROLES {
            for relation in RELATIONS {
                let name = format!("{kind}-{role:?}-{relation:?}").replace('_', "-");
                let owner = app.person(&format!("owner-{name}"), Role::Researcher).await;
                let made = app.post("/sessions", Some(&owner), json!({"session_type": kind})).await.expect(201);
                let id = made["session_id"].as_str().unwrap();
                let subject = if relation == Relation::Owner {
                    let patch = psyche_core::port::UserPatch { role: Some(role), ..Default::default() };
                    app.store.update_user(owner.id, patch).await.unwrap();
                    app.sign_in(&format!("owner-{name}"), owner.id).await
                } else {
                    let other = app.person(&name, role).await;
                    app.store.set_relation(id.parse().unwrap(), other.id, relation).await.unwrap();
                    other
                };
                let may = |permission| verdict(Some(role), permission, relation, session_type).is_allowed();
                let mut socket = app.socket(&format!("/ws/{id}")).await;
                socket.say(json!({"type": "auth", "token": subject.token})).await;
                if !may(Permission::SessionRead) {
                    assert_eq!(socket.farewell().await["code"], 4004, "{name}");
                    continue;
                }
                socket.until(|f| f["type"] == "snapshot").await;
                for (message, permission) in MESSAGES {
                    socket.say_text(message.to_owned()).await;
                    // The pong comes after the answer, if there is one.
                    socket.say(json!({"type": "ping", "id": "after"})).await;
                    let frames = socket.until(|f| f["type"] == "pong" && f["id"] == "after").await;
                    let answer = frames.iter().find(|f| f["id"] == "m" && f["type"] == "error");
                    let refused = answer.is_some_and(|f| f["code"] == "forbidden");
                    let allowed = permission == Permission::Public || may(permission);
                    assert_eq!(refused, !allowed, "{name}: {message}: {answer:?}");
                }
            }
        }
    }
}
