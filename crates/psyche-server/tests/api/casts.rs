//! Casts and models.

use psyche_core::cast::JUNGIAN;
use psyche_core::port::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Person, Reply, TestApp, send};

async fn toml(app: &TestApp, method: Method, path: &str, person: &Person, text: &str) -> Reply {
    send(app.request(method, path, Some(person)).header("Content-Type", "application/toml").body(text.to_owned())).await
}

fn copy() -> String {
    JUNGIAN.replacen("id = \"jungian\"", "id = \"mine\"", 1)
}

#[tokio::test]
async fn casts_round_trip_in_both_languages_and_rise_in_version() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let built_in = app.get("/casts/jungian", Some(&ada)).await.expect(200);
    assert_eq!(built_in["agents"].as_array().unwrap().len(), 5);

    let made = toml(&app, Method::POST, "/casts", &ada, &copy()).await.expect(201);
    assert_eq!((&made["version"], &made["owner"]), (&json!(1), &json!(ada.id)));
    let text = send(app.request(Method::GET, "/casts/mine", Some(&ada)).header("Accept", "application/toml")).await;
    assert!(text.header("content-type").starts_with("application/toml"));
    let again = toml(&app, Method::PUT, "/casts/mine", &ada, &text.text).await.expect(200);
    assert_eq!(again["version"], 2);
    let mut json_again = app.get("/casts/mine", Some(&ada)).await.expect(200);
    assert_eq!(json_again["agents"], built_in["agents"]);
    json_again["name"] = json!("Renamed");
    // What the server decides is not taken from the body.
    json_again["owner"] = json!("somebody");
    json_again["version"] = json!(77);
    let third = app.put("/casts/mine", Some(&ada), json_again).await.expect(200);
    assert_eq!((&third["version"], &third["owner"]), (&json!(3), &json!(ada.id)));

    toml(&app, Method::POST, "/casts", &ada, &copy()).await.expect(409);
    let ids: Vec<_> = app.get("/casts", Some(&ada)).await.expect(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].clone())
        .collect();
    assert_eq!(ids, ["jungian", "mine"]);

    let bob = app.person("bob", Role::Researcher).await;
    app.delete("/casts/mine", Some(&bob)).await.expect(403);
    app.put("/casts/mine", Some(&bob), built_in.clone()).await.expect(403);
    app.put("/casts/jungian", Some(&ada), built_in.clone()).await.expect(403);
    app.delete("/casts/jungian", Some(&ada)).await.expect(403);
    app.post("/casts", Some(&ada), built_in).await.expect(409);
    app.delete("/casts/mine", Some(&ada)).await.expect(204);
    app.get("/casts/mine", Some(&ada)).await.expect(404);
}

#[tokio::test]
async fn a_bad_cast_is_refused_with_line_field_and_reason() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let bad = copy().replacen("temperature = 0.9", "temperature = 9.5", 1).replacen(
        "shape = \"diamond\"",
        "shape = \"blob\"",
        1,
    );
    let answer = toml(&app, Method::POST, "/casts", &ada, &bad).await.expect(422);
    let details = answer["error"]["details"].as_array().unwrap().clone();
    assert_eq!(details.len(), 2, "{details:?}");
    assert_eq!(details[0]["field"], "agents[1].temperature");
    assert!(details[0]["message"].as_str().unwrap().contains("between 0 and 2"));
    let line = usize::try_from(details[0]["line"].as_u64().unwrap()).unwrap();
    assert!(bad.lines().nth(line - 1).unwrap().contains("9.5"));

    let broken = send(
        app.request(Method::POST, "/casts", Some(&ada)).header("Content-Type", "application/json").body("{\"id\":"),
    );
    broken.await.expect(400);
    app.post("/casts", Some(&ada), json!({"id": "x", "name": "x", "agents": [], "what": 1})).await.expect(422);
    send(app.request(Method::POST, "/casts", Some(&ada)).body("id = 1")).await.expect(415);

    // The same inside a new session.
    let mut own: Value = app.get("/casts/jungian", Some(&ada)).await.expect(200);
    own["agents"][2]["temperature"] = json!(3);
    let answer = app.post("/sessions", Some(&ada), json!({"session_type": "shared", "cast": own})).await.expect(422);
    assert_eq!(answer["error"]["details"][0]["field"], "cast.agents[2].temperature");
    own["agents"][2]["temperature"] = json!(0.5);
    let body = json!({"session_type": "shared", "cast": own, "cast_id": "jungian"});
    assert_eq!(app.post("/sessions", Some(&ada), body).await.expect(422)["error"]["details"][0]["field"], "cast");
    own["id"] = json!("own");
    let made = app.post("/sessions", Some(&ada), json!({"session_type": "shared", "cast": own})).await.expect(201);
    assert_eq!(made["cast_id"], "own");
}

#[tokio::test]
async fn models_tell_their_state_and_speak_when_asked() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let models = app.get("/models", Some(&ada)).await.expect(200)["items"].clone();
    assert_eq!(models[0]["id"], "scripted");
    assert_eq!((&models[0]["status"], &models[0]["circuit"]), (&json!("ready"), &json!("closed")));
    assert_eq!((&models[0]["in_use"], &models[0]["default"]), (&json!(false), &json!(true)));
    let test = app.post("/models/scripted/test", Some(&ada), json!({})).await.expect(200);
    assert_eq!(test["ok"], true, "{test}");
    assert!(!test["text"].as_str().unwrap().is_empty());
    app.post("/models/unknown/test", Some(&ada), json!({})).await.expect(404);
}
