//! Set-up, sign-in, refresh, logout, roles at request time.

use std::time::Duration;

use psyche_core::port::Role;
use psyche_server::{Registration, TrustedProxies};
use reqwest::Method;
use serde_json::json;

use crate::support::{PASSWORD, Person, TestApp, send};

#[tokio::test]
async fn the_code_makes_one_admin_and_then_the_door_is_gone() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/setup", None).await.expect(200)["needed"], true);
    let body = |code: &str, name: &str, password: &str| json!({"setup_code": code, "username": name, "email": "r@example.org", "password": password});
    let wrong = app.post("/setup", None, body("guess", "root", PASSWORD)).await.expect(403);
    assert_eq!(wrong["error"]["details"][0]["field"], "setup_code");
    let weak = app.post("/setup", None, body("the-setup-code", "root", "short")).await.expect(422);
    assert_eq!(weak["error"]["details"][0]["field"], "password");
    // Two at once: one admin.
    let (one, two) = tokio::join!(
        app.post("/setup", None, body("the-setup-code", "root", PASSWORD)),
        app.post("/setup", None, body("the-setup-code", "toor", PASSWORD)),
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404], "{} {}", one.text, two.text);
    let admin = if one.status == 201 { one } else { two }.json();
    assert_eq!(admin["role"], "admin");
    assert!(admin.get("password_hash").is_none());
    assert_eq!(app.get("/setup", None).await.expect(200)["needed"], false);
    app.post("/setup", None, body("the-setup-code", "third", PASSWORD)).await.expect(404);
}

#[tokio::test]
async fn every_failed_sign_in_reads_the_same() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let ada = app.account("ada", Role::Researcher).await;
    let off = app.account("off", Role::Researcher).await;
    app.patch(&format!("/users/{off}"), Some(&admin), json!({"status": "disabled"})).await.expect(200);
    let mut answers = Vec::new();
    for (name, password) in
        [("ada", "not the password"), ("nobody", PASSWORD), ("off", PASSWORD), ("ada", &"x".repeat(5000))]
    {
        let reply = app.post("/auth/login", None, json!({"username": name, "password": password})).await;
        let mut body = reply.expect(401);
        for field in ["timestamp", "request_id"] {
            body["error"][field] = json!(null);
        }
        answers.push(body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
    app.sign_in("ADA", ada).await;
}

#[tokio::test]
async fn tokens_end_with_their_time_and_with_logout() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let me = app.get("/auth/me", Some(&ada)).await.expect(200);
    assert_eq!((&me["username"], &me["role"]), (&json!("ada"), &json!("researcher")));
    assert!(me["permissions"].as_array().unwrap().contains(&json!("session:create")));

    let done = app.post("/auth/logout", Some(&ada), json!({})).await.expect(200);
    assert_eq!(done, json!({"status": "success", "message": "Logged out successfully"}));
    app.get("/auth/me", Some(&ada)).await.expect(401);
    app.post("/auth/refresh", None, json!({"refresh_token": ada.refresh})).await.expect(401);

    let again = app.sign_in("ada", ada.id).await;
    app.clock.advance(Duration::from_secs(24 * 3600 + 1));
    app.get("/auth/me", Some(&again)).await.expect(401);
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_its_theft_ends_the_sign_in() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let refresh = |token: String| {
        let app = &app;
        async move { app.post("/auth/refresh", None, json!({ "refresh_token": token })).await }
    };
    let second = refresh(ada.refresh.clone()).await.expect(200);
    assert_eq!(second["token_type"], "bearer");
    let third = refresh(second["refresh_token"].as_str().unwrap().into()).await.expect(200);
    let person = Person { token: third["access_token"].as_str().unwrap().into(), ..ada.clone() };
    app.get("/auth/me", Some(&person)).await.expect(200);
    // The first one comes back although its successor was used.
    refresh(ada.refresh.clone()).await.expect(401);
    app.get("/auth/me", Some(&person)).await.expect(401);
    refresh(third["refresh_token"].as_str().unwrap().into()).await.expect(401);
    refresh("nonsense".into()).await.expect(401);
}

#[tokio::test]
async fn a_sign_in_does_not_outlive_its_absolute_end() {
    let app = TestApp::with(|o| o.refresh_absolute = Duration::from_hours(30)).await;
    let ada = app.person("ada", Role::Researcher).await;
    let mut token = ada.refresh;
    for hours in [20, 20] {
        app.clock.advance(Duration::from_hours(hours));
        let reply = app.post("/auth/refresh", None, json!({ "refresh_token": token })).await;
        if reply.status == 401 {
            return;
        }
        token = reply.expect(200)["refresh_token"].as_str().unwrap().to_owned();
    }
    panic!("still alive after 40 hours");
}

#[tokio::test]
async fn the_cookie_carries_the_refresh_token_out_of_scripts_reach() {
    let app = TestApp::start().await;
    app.account("ada", Role::Researcher).await;
    let body = json!({"username": "ada", "password": PASSWORD, "refresh": "cookie"});
    let reply = app.post("/auth/login", None, body).await;
    let cookie = reply.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("psyche_refresh=") && cookie.contains("; Path=/api/v1/auth; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "a browser drops it on plain http: {cookie}");
    assert!(reply.json()["refresh_token"].is_null());

    let pair = cookie.split(';').next().unwrap();
    let refresh = |origin: Option<String>| {
        let request = app.request(Method::POST, "/auth/refresh", None).header("Cookie", pair).json(&json!({}));
        send(match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        })
    };
    assert_eq!(refresh(Some("http://evil.example".into())).await.status, 403);
    let renewed = refresh(Some(app.base.clone())).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    assert!(renewed.header("set-cookie").starts_with("psyche_refresh="));
    assert_ne!(renewed.header("set-cookie"), cookie);

    // A proxy does TLS here.
    let app = TestApp::with(|o| {
        o.public_url = Some("https://psyche.example".into());
        o.trusted_proxies = TrustedProxies::parse(&["127.0.0.1".into()]).unwrap();
    })
    .await;
    app.account("ada", Role::Researcher).await;
    let body = json!({"username": "ada", "password": PASSWORD, "refresh": "cookie"});
    let request = app.request(Method::POST, "/auth/login", None).header("X-Forwarded-Proto", "https");
    let reply = send(request.json(&body)).await;
    let cookie = reply.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-psyche_refresh=") && cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert!(reply.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn rights_are_the_servers_at_request_time() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let ada = app.person("ada", Role::Researcher).await;
    app.get("/users", Some(&ada)).await.expect(403);
    let path = format!("/users/{}", ada.id);
    app.patch(&path, Some(&admin), json!({"role": "admin"})).await.expect(200);
    app.get("/users", Some(&ada)).await.expect(200);
    app.patch(&path, Some(&admin), json!({"role": "observer"})).await.expect(200);
    app.get("/users", Some(&ada)).await.expect(403);
    app.patch(&path, Some(&admin), json!({"status": "disabled"})).await.expect(200);
    app.get("/auth/me", Some(&ada)).await.expect(401);
}

#[tokio::test]
async fn the_sixth_sign_in_ends_the_least_recent() {
    let app = TestApp::start().await;
    let first = app.person("ada", Role::Researcher).await;
    for _ in 0..5 {
        app.clock.advance(Duration::from_secs(2));
        app.sign_in("ada", first.id).await;
    }
    app.get("/auth/me", Some(&first)).await.expect(401);
}

#[tokio::test]
async fn registration_is_closed_unless_opened() {
    let body = json!({"username": "new", "email": "new@example.org", "password": PASSWORD, "consent": true});
    let closed = TestApp::start().await;
    closed.post("/auth/register", None, body.clone()).await.expect(403);
    let open = TestApp::with(|o| o.registration = Registration::Open).await;
    let mut without = body.clone();
    without["consent"] = json!(false);
    open.post("/auth/register", None, without).await.expect(422);
    assert_eq!(open.post("/auth/register", None, body.clone()).await.expect(201)["role"], "observer");
    open.post("/auth/register", None, body).await.expect(409);
}
