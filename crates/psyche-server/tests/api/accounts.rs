//! Own account and other people's.

use psyche_core::port::Role;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn profile_and_preferences() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let change = json!({"display_name": "Ada L.", "preferences": {"theme": "dark"}});
    let me = app.patch("/auth/me", Some(&ada), change).await.expect(200);
    assert_eq!((&me["display_name"], &me["preferences"]["theme"]), (&json!("Ada L."), &json!("dark")));
    let big = json!({"preferences": {"x": "y".repeat(17_000)}});
    assert_eq!(app.patch("/auth/me", Some(&ada), big).await.expect(422)["error"]["details"][0]["field"], "preferences");
    // Role and status are not one's own to change.
    for field in ["role", "status", "user_id"] {
        app.patch("/auth/me", Some(&ada), json!({ field: "admin" })).await.expect(422);
    }
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_other_sign_ins() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let other = app.sign_in("ada", ada.id).await;
    let new = "another long secret";
    let body = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    app.post("/auth/password", Some(&ada), body("wrong", new)).await.expect(422);
    app.post("/auth/password", Some(&ada), body(PASSWORD, "short")).await.expect(422);
    app.post("/auth/password", Some(&ada), body(PASSWORD, new)).await.expect(200);
    app.get("/auth/me", Some(&ada)).await.expect(200);
    app.get("/auth/me", Some(&other)).await.expect(401);
    app.post("/auth/login", None, json!({"username": "ada", "password": PASSWORD})).await.expect(401);
    app.post("/auth/login", None, json!({"username": "ada", "password": new})).await.expect(200);
}

#[tokio::test]
async fn devices_are_listed_and_ended() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let bob = app.person("bob", Role::Researcher).await;
    let other = app.sign_in("ada", ada.id).await;
    let devices = app.get("/auth/devices", Some(&ada)).await.expect(200)["items"].clone();
    assert_eq!(devices.as_array().unwrap().len(), 2);
    let foreign = devices.as_array().unwrap().iter().find(|d| d["current"] == false).unwrap();
    assert_eq!(foreign["ip"], "127.0.0.1");
    let path = format!("/auth/devices/{}", foreign["device_id"].as_str().unwrap());
    app.delete(&path, Some(&bob)).await.expect(404);
    app.delete(&path, Some(&ada)).await.expect(200);
    app.get("/auth/me", Some(&other)).await.expect(401);
    app.delete(&path, Some(&ada)).await.expect(404);
    app.delete("/auth/devices", Some(&ada)).await.expect(200);
    app.get("/auth/me", Some(&ada)).await.expect(401);
}

#[tokio::test]
async fn admins_keep_accounts_and_one_admin_stays() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    let draft = json!({"username": "ada", "email": "ada@example.org", "role": "researcher"});
    let made = app.post("/users", Some(&root), draft.clone()).await.expect(201);
    assert!(made["reset_token"].as_str().unwrap().len() > 30);
    app.post("/users", Some(&root), draft).await.expect(409);
    let bad = json!({"username": "a b", "email": "nowhere", "role": "researcher"});
    let faults = app.post("/users", Some(&root), bad).await.expect(422)["error"]["details"].clone();
    assert_eq!(faults.as_array().unwrap().len(), 2);

    let id = made["user"]["user_id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/users/{id}"), Some(&root)).await.expect(200)["username"], "ada");
    app.get("/users/nobody", Some(&root)).await.expect(404);
    let page = app.get("/users?limit=1", Some(&root)).await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = app.get(&format!("/users?limit=1&cursor={cursor}"), Some(&root)).await.expect(200);
    assert_ne!(page["items"][0]["user_id"], rest["items"][0]["user_id"]);

    let own = format!("/users/{}", root.id);
    for change in [json!({"role": "observer"}), json!({"status": "disabled"})] {
        app.patch(&own, Some(&root), change).await.expect(409);
    }
    app.patch(&own, Some(&root), json!({"password": "x"})).await.expect(422);
}

#[tokio::test]
async fn a_reset_token_sets_a_password_once_and_ends_all_sign_ins() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    let draft = json!({"username": "ada", "email": "ada@example.org", "role": "researcher"});
    let made = app.post("/users", Some(&root), draft).await.expect(201);
    let redeem = |token: &str, password: &str| json!({"token": token, "new_password": password});
    let token = made["reset_token"].as_str().unwrap();
    app.post("/auth/password-reset", None, redeem("guessed", "a calm and distant hill")).await.expect(422);
    app.post("/auth/password-reset", None, redeem(token, "short")).await.expect(422);
    app.post("/auth/password-reset", None, redeem(token, "a calm and distant hill")).await.expect(200);
    app.post("/auth/password-reset", None, redeem(token, "another quiet evening")).await.expect(422);
    let sign_in = json!({"username": "ada", "password": "a calm and distant hill"});
    let signed_in = app.post("/auth/login", None, sign_in).await.expect(200);

    let path = format!("/users/{}/password-reset", made["user"]["user_id"].as_str().unwrap());
    let again = app.post(&path, Some(&root), json!({})).await.expect(200);
    let token = again["reset_token"].as_str().unwrap();
    app.post("/auth/password-reset", None, redeem(token, "another quiet evening")).await.expect(200);
    let old = json!({"refresh_token": signed_in["refresh_token"]});
    app.post("/auth/refresh", None, old).await.expect(401);
    let gone = app.post("/users/nobody/password-reset", Some(&root), json!({})).await;
    gone.expect(404);
}
