//! Sessions as files: who may have them, what is recorded, and back again.

use psyche_core::audit::AuditType;
use psyche_core::port::{AuditFilter, AuditLog, Directory, Relation, Role};
use psyche_core::words::Subject;
use psyche_core::{SessionId, TenantId};
use psyche_server::Rate;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Reply, TestApp, send};

async fn import(app: &TestApp, person: &Person, file: String) -> Reply {
    let request = app.request(Method::POST, "/sessions/import", Some(person));
    send(request.header("content-type", "application/jsonl").body(file)).await
}

async fn rows(app: &TestApp, kind: AuditType) -> Vec<psyche_core::audit::AuditRow> {
    let filter = AuditFilter { event_types: vec![kind], ..AuditFilter::default() };
    app.store.rows(TenantId::DEFAULT, filter, 100).await.unwrap()
}

#[tokio::test]
async fn a_session_goes_out_and_comes_back_the_same() {
    let app = TestApp::start().await;
    let owner = app.person("ada", Role::Researcher).await;
    let other = app.person("ben", Role::Researcher).await;
    let id = app.session(&owner, 2).await;
    let events = app.talk(&owner, &id).await;
    let file = app.get(&format!("/sessions/{id}/export?format=jsonl"), Some(&owner)).await;
    assert_eq!(file.status, 200, "{}", file.text);
    assert_eq!(file.header("content-type"), "application/jsonl");
    assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"psyche-{id}.jsonl\""));
    assert_eq!(file.header("x-export-events"), events.len().to_string());
    let exported = rows(&app, AuditType::DataExported).await;
    assert_eq!(exported.len(), 1);
    assert_eq!(exported[0].details["format"], "jsonl");

    let made = import(&app, &other, file.text.clone()).await.expect(201);
    let back = made["session_id"].as_str().unwrap();
    assert_ne!(back, id);
    assert_eq!((made["owner"].as_str(), &made["relation"]), (Some(other.id.to_string().as_str()), &json!("owner")));
    let same = |mut frame: Value| {
        frame["session_id"] = Value::Null;
        frame
    };
    let again: Vec<Value> = app.events(&other, back).await.into_iter().map(same).collect();
    assert_eq!(again, events.into_iter().map(same).collect::<Vec<_>>());
    let second = app.get(&format!("/sessions/{back}/export?format=jsonl"), Some(&other)).await;
    assert_eq!(second.text.split_once('\n').unwrap().1, file.text.split_once('\n').unwrap().1);

    // Whoever made the log where it comes from has no rights here, and none come with what is said afterwards.
    assert_eq!(app.get(&format!("/sessions/{back}"), Some(&owner)).await.status, 404);
    let note = json!({"seq": 2, "text": "Mine now."});
    app.post(&format!("/sessions/{back}/annotations"), Some(&other), note).await.expect(201);
    assert_eq!(app.get(&format!("/sessions/{back}"), Some(&owner)).await.status, 404);
    let view = app.get(&format!("/sessions/{back}"), Some(&other)).await.expect(200);
    assert_eq!(view["owner"], other.id.to_string());
    let state = app.get(&format!("/sessions/{back}/state"), Some(&other)).await.expect(200);
    assert_eq!(state["participants"][0]["user_id"], other.id.to_string());
}

#[tokio::test]
async fn the_formats_are_what_they_say() {
    let app = TestApp::with(|options| options.limits.exports.burst = 100.0).await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    app.talk(&owner, &id).await;
    for (format, kind, begins) in [
        ("json", "application/json", "{\"provenance\":{\"program_version\":\"0.0.0-test\""),
        ("csv", "text/csv; charset=utf-8; header=present", "seq,timestamp,round,"),
        ("markdown", "text/markdown; charset=utf-8", "---\ntitle: \"A talk\"\n"),
        ("html", "text/html; charset=utf-8", "<!doctype html>"),
        ("parquet", "application/vnd.apache.parquet", "PAR1"),
        ("pdf", "application/pdf", "%PDF-1."),
    ] {
        let file = app.get(&format!("/sessions/{id}/export?format={format}"), Some(&owner)).await;
        assert_eq!((file.status, file.header("content-type")), (200, kind));
        assert!(file.text.starts_with(begins), "{format}");
    }
    for (query, field) in [
        ("format=exe", "format"),
        ("", "format"),
        ("format=csv&from=0", "from"),
        ("format=csv&to=99999", "to"),
        ("format=csv&redact=faces", "redact"),
        ("format=jsonl&redact=names", "redact"),
        ("format=csv&limit=51", "limit"),
    ] {
        let refused = app.get(&format!("/sessions/{id}/export?{query}"), Some(&owner)).await.expect(422);
        assert_eq!(refused["error"]["details"][0]["field"], field, "{query}");
    }
}

/// Whoever has the files of a session and of its fork can tell them apart; and what was not measured has no level.
#[tokio::test]
async fn a_fork_says_what_it_is_and_whose_past_it_has() {
    let app = TestApp::start().await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    app.talk(&owner, &id).await;
    let draft = json!({"at_seq": 3, "name": "The other way"});
    let fork = app.post(&format!("/sessions/{id}/fork"), Some(&owner), draft).await.expect(201);
    let fork = fork["session_id"].as_str().unwrap().to_owned();
    let html = app.get(&format!("/sessions/{fork}/export?format=html"), Some(&owner)).await.text;
    assert!(html.contains("<title>The other way</title>"), "{html}");
    assert!(html.contains(&format!("<dt>fork of</dt><dd>session {id}, event 3</dd>")), "{html}");

    let csv = app.get(&format!("/sessions/{id}/export?format=csv"), Some(&owner)).await.text;
    let columns: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let place = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    // No words with commas come before these, seen from the end.
    let from_end = |row: &str, name: &str| row.rsplit(',').nth(columns.len() - 1 - place(name)).unwrap().to_owned();
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!(from_end(row, "forked_from"), "");
        assert_eq!(from_end(row, "stagnation").is_empty(), from_end(row, "stagnation_level").is_empty(), "{row}");
    }
}

#[tokio::test]
async fn exports_are_counted_by_the_hour_and_looks_are_not() {
    let app = TestApp::with(|options| options.limits.exports = Rate { per_minute: 5.0 / 60.0, burst: 5.0 }).await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    app.talk(&owner, &id).await;
    let path = format!("/sessions/{id}/export?format=csv");
    for _ in 0..7 {
        let look = app.get(&format!("{path}&limit=2"), Some(&owner)).await;
        assert_eq!((look.status, look.text.lines().count()), (200, 3));
        assert_eq!(look.header("content-disposition"), "");
    }
    assert!(rows(&app, AuditType::DataExported).await.is_empty());
    for _ in 0..5 {
        assert_eq!(app.get(&path, Some(&owner)).await.status, 200);
    }
    let refused = app.get(&path, Some(&owner)).await;
    assert_eq!(refused.status, 429);
    assert_ne!(refused.header("retry-after"), "");
    assert_eq!(rows(&app, AuditType::DataExported).await.len(), 5);
}

#[tokio::test]
async fn who_may_not_have_it_does_not_get_it() {
    let app = TestApp::start().await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    let session: SessionId = id.parse().unwrap();
    let path = format!("/sessions/{id}/export?format=jsonl");
    for (name, role, relation, status) in [
        ("viewer", Role::Researcher, Relation::Viewer, 403),
        ("observer", Role::Observer, Relation::Participant, 403),
        ("stranger", Role::Researcher, Relation::None, 404),
        ("participant", Role::Researcher, Relation::Participant, 200),
        ("admin", Role::Admin, Relation::None, 200),
    ] {
        let person = app.person(name, role).await;
        app.store.set_relation(session, person.id, relation).await.unwrap();
        assert_eq!(app.get(&path, Some(&person)).await.status, status, "{name}");
    }
    let observer = app.person("onlooker", Role::Observer).await;
    assert_eq!(import(&app, &observer, String::new()).await.status, 403);
}

#[tokio::test]
async fn a_file_with_a_fault_leaves_nothing_behind() {
    let app = TestApp::with(|options| options.limits.import_bytes = 100_000).await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    app.talk(&owner, &id).await;
    let file = app.get(&format!("/sessions/{id}/export?format=jsonl"), Some(&owner)).await.text;
    let damaged = file.replacen("\"round\":1", "\"round\":2", 1);
    let refused = import(&app, &owner, damaged).await.expect(422);
    let detail = &refused["error"]["details"][0];
    assert_eq!(detail["field"], "file");
    assert!(detail["line"].as_u64().unwrap() > 1 && detail["message"].as_str().unwrap().contains("hash"), "{detail}");
    let large = format!("{file}{}", "x".repeat(100_000));
    assert_eq!(import(&app, &owner, large).await.status, 413);
    let typed = send(app.request(Method::POST, "/sessions/import", Some(&owner)).json(&json!({}))).await;
    assert_eq!(typed.status, 415);
    let listed = app.get("/sessions", Some(&owner)).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn gdpr_02_a_file_brings_nobodys_words_back() {
    let app = TestApp::start().await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    app.talk(&owner, &id).await;
    let said = json!({"command": "speak", "args": {"text": "Only I would say heliotrope."}});
    app.post(&format!("/sessions/{id}/commands"), Some(&owner), said).await.expect(200);
    let file = app.get(&format!("/sessions/{id}/export?format=jsonl"), Some(&owner)).await.text;
    assert!(file.contains("heliotrope"));
    app.engine.erase(None, Subject::User(owner.id)).await.unwrap();
    let other = app.person("ben", Role::Researcher).await;
    let made = import(&app, &other, file).await.expect(201);
    let back = made["session_id"].as_str().unwrap();
    assert_eq!(made["name"], "[erased]");
    let events = app.events(&other, back).await;
    assert!(!json!(events).to_string().contains("heliotrope"));
}

#[tokio::test]
async fn an_import_larger_than_other_bodies_may_have_a_key() {
    let app = TestApp::start().await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 50).await;
    app.talk(&owner, &id).await;
    let file = app.get(&format!("/sessions/{id}/export?format=jsonl"), Some(&owner)).await.text;
    assert!(file.len() > 1 << 20, "{} bytes", file.len());
    let mut made = Vec::new();
    for _ in 0..2 {
        let request = app.request(Method::POST, "/sessions/import", Some(&owner)).header("idempotency-key", "once");
        let reply = send(request.header("content-type", "application/jsonl").body(file.clone())).await;
        made.push(reply.expect(201)["session_id"].clone());
    }
    assert_eq!(made[0], made[1]);
    let listed = app.get("/sessions", Some(&owner)).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn exports_and_imports_at_once_have_so_many_places() {
    let app = TestApp::with(|options| options.limits.exports_at_once = 0).await;
    let owner = app.person("ada", Role::Researcher).await;
    let id = app.session(&owner, 1).await;
    let export = app.get(&format!("/sessions/{id}/export?format=csv"), Some(&owner)).await;
    assert_eq!((export.status, export.header("retry-after")), (503, "5"));
    assert_eq!(import(&app, &owner, "{}".to_owned()).await.status, 503);
    let request = app.request(Method::POST, "/sessions/import", Some(&owner)).header("idempotency-key", "once");
    let keyed = send(request.header("content-type", "application/jsonl").body("{}")).await;
    assert_eq!(keyed.status, 503);
}
