//! Every kind of failure wears the envelope.

use psyche_core::port::{
    Determinism, GenerateRequest, LanguageModel, ModelCard, ModelError, ModelStream, Price, PromptStyle, Role,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, send};

#[track_caller]
fn is_envelope(reply: &Reply, status: u16, kind: &str, path: &str) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text);
    let body = reply.json();
    let error = &body["error"];
    assert_eq!(error["code"], status);
    assert_eq!(error["kind"], kind, "{}", reply.text);
    assert_eq!(error["path"], path);
    assert_eq!(error["request_id"], reply.header("x-request-id"));
    assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()));
    assert!(error["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(reply.header("x-process-time").parse::<f64>().unwrap() >= 0.0);
    assert!(reply.header("content-type").starts_with("application/json"));
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    error.clone()
}

#[tokio::test]
async fn every_kind() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let observer = app.person("olga", Role::Observer).await;
    let sessions = "/api/v1/sessions";

    is_envelope(&app.get("/nothing", None).await, 404, "not_found", "/api/v1/nothing");
    is_envelope(
        &app.get("/sessions/unreal?token=secret", Some(&ada)).await,
        404,
        "not_found",
        "/api/v1/sessions/unreal",
    );
    let reply = app.get("/sessions", None).await;
    is_envelope(&reply, 401, "unauthenticated", sessions);
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    is_envelope(&app.post("/sessions", Some(&observer), json!({})).await, 403, "forbidden", sessions);
    let reply = app.delete("/sessions", Some(&ada)).await;
    is_envelope(&reply, 405, "method_not_allowed", sessions);
    assert!(reply.header("allow").contains("GET"), "{:?}", reply.headers);

    let with = |content_type: &'static str, body: &str| {
        let request = app.request(Method::POST, "/sessions", Some(&ada)).header("Content-Type", content_type);
        send(request.body(body.to_owned()))
    };
    is_envelope(&with("text/plain", "{}").await, 415, "unsupported_media_type", sessions);
    is_envelope(&with("application/json", "{broken").await, 400, "bad_request", sessions);
    is_envelope(&with("application/json", &" ".repeat(2 << 20)).await, 413, "payload_too_large", sessions);
    let cases = [
        (json!({}), "session_type"),
        (json!({"session_type": "shared", "oops": 1}), "oops"),
        (json!({"session_type": "secret-word"}), "session_type"),
        (json!({"session_type": "shared", "seed": "secret-word"}), "seed"),
        (json!({"session_type": "shared", "max_rounds": 0}), "max_rounds"),
        (json!({"session_type": "shared", "max_rounds": 1_u64 << 63}), "max_rounds"),
        (json!({"session_type": "shared", "cast_id": "secret-word"}), "cast_id"),
        (json!({"session_type": "shared", "budget": {"tokens": -1}}), "budget.tokens"),
        (json!({"session_type": "shared", "budget": {"tokens": 1_u64 << 63}}), "budget.tokens"),
        (json!({"session_type": "shared", "budget": {"cost": -0.5}}), "budget.cost"),
        (json!({"session_type": "shared", "tags": [""]}), "tags"),
    ];
    for (body, field) in cases {
        let reply = with("application/json", &body.to_string()).await;
        let error = is_envelope(&reply, 422, "invalid", sessions);
        assert_eq!(error["details"][0]["field"], field, "{}", reply.text);
        assert!(!reply.text.contains("secret-word"), "{}", reply.text);
    }
    for limit in ["0", "201", "-1", "many"] {
        let error =
            is_envelope(&app.get(&format!("/sessions?limit={limit}"), Some(&ada)).await, 422, "invalid", sessions);
        assert_eq!(error["details"][0]["field"], "limit");
    }
    let id = app.session(&ada, 1).await;
    let commands = format!("/api/v1/sessions/{id}/commands");
    let reply = app.post(&format!("/sessions/{id}/commands"), Some(&ada), json!({"command": "pause"})).await;
    is_envelope(&reply, 409, "conflict", &commands);
    assert!(reply.text.contains("created"), "the status is named: {}", reply.text);
}

#[tokio::test]
async fn what_takes_memory_is_refused_while_it_is_short() {
    let app = TestApp::with(|o| o.metrics_token = Some("scrape".into())).await;
    let mira = app.person("mira", Role::Admin).await;
    let id = app.session(&mira, 1).await;
    app.talk(&mira, &id).await;
    let asleep = format!("/sessions/{}/commands", app.session(&mira, 1).await);
    app.engine.short_of_memory(true);

    let session = format!("/sessions/{id}");
    let of = |rest: &str| format!("{session}{rest}");
    let heavy = [
        (Method::POST, "/sessions".to_owned()),
        (Method::GET, "/sessions/compare".to_owned()),
        (Method::POST, "/sessions/import".to_owned()),
        (Method::POST, of("/fork")),
        (Method::GET, of("/timeline")),
        (Method::GET, of("/state")),
        (Method::GET, of("/utterances/9/context")),
        (Method::GET, of("/analysis")),
        (Method::POST, of("/analysis/judge")),
        (Method::GET, of("/export")),
        (Method::POST, "/analysis/history".to_owned()),
        (Method::POST, "/auth/export".to_owned()),
    ];
    for (method, path) in heavy {
        let reply = send(app.request(method.clone(), &path, Some(&mira))).await;
        is_envelope(&reply, 503, "unavailable", &format!("/api/v1{path}"));
        assert_eq!(reply.header("retry-after"), "5", "{method} {path}");
        assert!(reply.text.contains("short of memory"), "{}", reply.text);
    }
    for path in [format!("/ws/{id}"), "/ws/system".to_owned()] {
        assert_eq!(app.socket_with(&path, &[]).await.err(), Some(503), "{path}");
    }
    // A session that nobody has in memory is not brought there, and nobody is let in past the sign-in.
    let reply = app.post(&asleep, Some(&mira), json!({"command": "start"})).await;
    is_envelope(&reply, 503, "unavailable", &format!("/api/v1{asleep}"));

    // What helps to get out of it goes on, and so do sessions that are there.
    app.post(&of("/commands"), Some(&mira), json!({"command": "reset"})).await.expect(200);
    for path in ["/ready", "/sessions", &session, &of("/messages"), "/system/status", "/auth/me"] {
        app.get(path, Some(&mira)).await.expect(200);
    }
    app.person("olga", Role::Observer).await;
    let metrics = send(app.request(Method::GET, "//metrics", None).bearer_auth("scrape")).await.text;
    assert!(metrics.contains("\npsyche_short_of_memory 1\n"), "{metrics}");

    app.engine.short_of_memory(false);
    app.post(&asleep, Some(&mira), json!({"command": "start"})).await.expect(200);
    app.socket(&format!("/ws/{id}")).await;
}

#[tokio::test]
async fn request_ids_are_taken_when_harmless_and_made_otherwise() {
    let app = TestApp::start().await;
    for (sent, taken) in [("abcd-1234", true), ("short", false), ("has spaces in it", false), (&"x".repeat(65), false)]
    {
        let reply = send(app.request(Method::GET, "/live", None).header("X-Request-ID", sent)).await;
        assert_eq!(reply.header("x-request-id") == sent, taken, "{sent}");
        assert!(!reply.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn cors_is_by_exact_match() {
    let app = TestApp::with(|o| o.cors_allowed_origins = vec!["https://lab.example".into()]).await;
    for (origin, allowed) in [("https://lab.example", true), ("https://lab.example.evil", false), ("null", false)] {
        let reply = send(app.request(Method::GET, "/live", None).header("Origin", origin)).await;
        assert_eq!(reply.header("access-control-allow-origin") == origin, allowed, "{origin}");
        let preflight = app.request(Method::OPTIONS, "/sessions", None).header("Origin", origin);
        let reply = send(preflight.header("Access-Control-Request-Method", "POST")).await;
        assert_eq!(reply.status == 204, allowed, "{origin}: {}", reply.text);
    }
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_answer() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let create = |key: &'static str, name: &'static str| {
        let body = json!({"session_type": "shared", "name": name});
        send(app.request(Method::POST, "/sessions", Some(&ada)).header("Idempotency-Key", key).json(&body))
    };
    let first = create("k1", "one").await.expect(201);
    let again = create("k1", "one").await.expect(201);
    assert_eq!(first["session_id"], again["session_id"]);
    assert_eq!(create("k1", "two").await.expect(409)["error"]["kind"], "conflict");
    let other = create("k2", "one").await.expect(201);
    assert_ne!(first["session_id"], other["session_id"]);
    let count = app.get("/sessions", Some(&ada)).await.expect(200)["items"].as_array().unwrap().len();
    assert_eq!(count, 2);
    app.clock.advance(std::time::Duration::from_mins(24 * 60 - 1));
    let ada = app.sign_in("ada", ada.id).await;
    let body = json!({"session_type": "shared", "name": "one"});
    let late = send(app.request(Method::POST, "/sessions", Some(&ada)).header("Idempotency-Key", "k1").json(&body));
    assert_eq!(late.await.expect(201)["session_id"], first["session_id"]);
}

/// A part of the program with a bug in it.
struct Panics(ModelCard);

#[async_trait::async_trait]
impl LanguageModel for Panics {
    fn card(&self) -> &ModelCard {
        &self.0
    }
    async fn generate(&self, _: GenerateRequest) -> Result<ModelStream, ModelError> {
        panic!("a secret of the inside")
    }
}

#[tokio::test]
async fn a_panic_is_a_500_with_its_request_id_and_nothing_of_the_inside() {
    let card = ModelCard {
        id: "scripted".into(),
        provider: "test".into(),
        name: "panics".into(),
        context: 1,
        price: Price::default(),
        determinism: Determinism::Tape,
        prompt_style: PromptStyle::Full,
    };
    let app = TestApp::with_model(|_| (), Panics(card)).await;
    let ada = app.person("ada", Role::Researcher).await;
    let reply = app.post("/models/scripted/test", Some(&ada), json!({})).await;
    is_envelope(&reply, 500, "internal", "/api/v1/models/scripted/test");
    assert!(!reply.text.contains("secret"), "{}", reply.text);
    app.get("/models", Some(&ada)).await.expect(200);
}
