//! The second factor, registration, and what belongs to a person: taken along, erased.

use std::io::Read as _;
use std::time::Duration;

use psyche_core::port::{Directory as _, Role};
use psyche_server::Rate;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Person, TestApp, send};

/// A code of an authenticator app, from the secret that was shown (RFC 6238).
fn code(secret: &str, second: i64) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: Vec<usize> =
        secret.chars().flat_map(|c| (0..5).rev().map(move |n| letters.find(c).unwrap() >> n & 1)).collect();
    let key: Vec<u8> = bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | *bit as u8)).collect();
    let mac = <hmac::Hmac<sha1::Sha1> as hmac::KeyInit>::new_from_slice(&key).unwrap();
    let mac = hmac::Mac::chain_update(mac, (second / 30).to_be_bytes());
    let digest = hmac::Mac::finalize(mac).into_bytes();
    let at = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn second(app: &TestApp) -> i64 {
    use psyche_core::port::Clock as _;
    app.clock.now().micros() / 1_000_000
}

async fn with_factor(app: &TestApp, person: &Person) -> (String, Vec<Value>) {
    let wrong = app.post("/auth/mfa/enrol", Some(person), json!({"password": "a wrong guess"})).await;
    assert_eq!(wrong.expect(422)["error"]["details"][0]["field"], "password");
    let begun = app.post("/auth/mfa/enrol", Some(person), json!({"password": PASSWORD})).await.expect(200);
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(begun["otpauth_url"].as_str().unwrap().contains(&format!("secret={secret}")));
    app.post("/auth/mfa/confirm", Some(person), json!({"otp": "000000"})).await.expect(422);
    let otp = code(&secret, second(app));
    let done = app.post("/auth/mfa/confirm", Some(person), json!({ "otp": otp })).await.expect(200);
    (secret, done["recovery_codes"].as_array().unwrap().clone())
}

/// MFA-01.
#[tokio::test]
async fn a_second_factor_is_asked_for_and_lost_ones_have_a_way_back() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let (secret, recovery) = with_factor(&app, &ada).await;
    assert_eq!(recovery.len(), 10);
    let me = app.get("/auth/me", Some(&ada)).await.expect(200);
    assert_eq!(me["mfa"], json!({"enabled": true, "required": false, "recovery_codes_left": 10}));
    let login = |otp: Option<Value>| {
        let mut body = json!({"username": "ada", "password": PASSWORD});
        if let Some(otp) = otp {
            body["otp"] = otp;
        }
        app.post("/auth/login", None, body)
    };
    let asked = login(None).await.expect(401);
    assert_eq!(asked["error"]["details"][0]["field"], "otp");
    // The code of the confirmation was used.
    let used = login(Some(json!(code(&secret, second(&app))))).await.expect(401);
    assert_eq!(used["error"]["details"][0]["field"], "otp");
    app.clock.advance(Duration::from_secs(31));
    login(Some(json!(code(&secret, second(&app))))).await.expect(200);
    login(Some(recovery[0].clone())).await.expect(200);
    login(Some(recovery[0].clone())).await.expect(401);
    app.post("/auth/mfa/enrol", Some(&ada), json!({"password": PASSWORD})).await.expect(409);
    // A wrong password does not tell that there is a factor.
    let wrong =
        app.post("/auth/login", None, json!({"username": "ada", "password": "a wrong guess"})).await.expect(401);
    assert!(wrong["error"].get("details").is_none());
    let proof = json!({"password": PASSWORD, "otp": recovery[1]});
    app.post("/auth/mfa/disable", Some(&ada), proof).await.expect(200);
    login(None).await.expect(200);
}

#[tokio::test]
async fn codes_cannot_be_guessed_one_after_the_other() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    with_factor(&app, &ada).await;
    let mut statuses = Vec::new();
    for n in 0..12 {
        // Asking without a code in between forgives nothing.
        let otp = if n % 3 == 2 { Value::Null } else { json!(format!("{n:06}")) };
        let body = json!({"username": "ada", "password": PASSWORD, "otp": otp});
        statuses.push(app.post("/auth/login", None, body).await.status);
    }
    assert_eq!(statuses.iter().filter(|s| **s == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 429).count(), 7, "{statuses:?}");
}

#[tokio::test]
async fn a_role_may_demand_a_second_factor() {
    let app = TestApp::with(|o| o.second_factor_roles = vec![Role::Admin]).await;
    let root = app.person("root", Role::Admin).await;
    app.get("/users", Some(&root)).await.expect(403);
    let ada = app.person("ada", Role::Researcher).await;
    let others = app.session(&ada, 1).await;
    app.get(&format!("/sessions/{others}"), Some(&root)).await.expect(403);
    let session = app.post("/sessions", Some(&root), json!({"session_type": "shared"})).await;
    session.expect(403);
    let mut system = app.socket("/ws/system").await;
    system.say(json!({"type": "auth", "token": root.token})).await;
    assert_eq!(system.farewell().await["code"], 4003);
    assert_eq!(app.get("/auth/me", Some(&root)).await.expect(200)["mfa"]["required"], true);
    with_factor(&app, &root).await;
    app.get("/users", Some(&root)).await.expect(200);
}

#[tokio::test]
async fn people_register_where_an_admin_lets_them_and_agree_to_something() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    let draft = json!({"username": "eve", "email": "eve@example.org", "password": PASSWORD, "consent": true});
    app.post("/auth/register", None, draft.clone()).await.expect(403);
    app.patch("/system/configuration", Some(&root), json!({"registration": "maybe"})).await.expect(422);
    app.patch("/system/configuration", Some(&root), json!({"registration": "open"})).await.expect(200);
    assert_eq!(app.get("/setup", None).await.expect(200)["registration"], "open");
    let made = app.post("/auth/register", None, draft).await.expect(201);
    assert_eq!(made["role"], "observer");
    let eve = app.sign_in("eve", made["user_id"].as_str().unwrap().parse().unwrap()).await;
    let me = app.get("/auth/me", Some(&eve)).await.expect(200);
    assert_eq!(me["consents"][0]["version"], "1");
    app.patch("/auth/me", Some(&eve), json!({"consent": "0"})).await.expect(422);
    app.patch("/auth/me", Some(&eve), json!({"consent": "1"})).await.expect(200);
    app.patch("/system/configuration", Some(&eve), json!({"registration": "closed"})).await.expect(403);
    assert_eq!(app.store.setting("registration").await.unwrap().unwrap(), b"\"open\"");
}

const MINE: &str = "the tin lighthouse of my childhood";
const THEIRS: &str = "somebody else's orchard";

/// GDPR-01.
#[tokio::test]
async fn ones_data_can_be_taken_along_and_others_words_are_not_in_it() {
    let app = TestApp::with(|options| options.limits.exports = Rate { per_minute: 5.0 / 60.0, burst: 5.0 }).await;
    let (ada, bob) = (app.person("ada", Role::Researcher).await, app.person("bob", Role::Researcher).await);
    let session = app.session(&ada, 1).await;
    let share = json!({"relation": "participant"});
    app.put(&format!("/sessions/{session}/participants/{}", bob.id), Some(&ada), share).await.expect(200);
    for (person, words) in [(&ada, MINE), (&bob, THEIRS)] {
        let note = json!({"seq": 1, "text": words});
        app.post(&format!("/sessions/{session}/annotations"), Some(person), note).await.expect(201);
    }
    app.post("/auth/export", Some(&ada), json!({"password": "a wrong guess"})).await.expect(422);
    let request = app.request(reqwest::Method::POST, "/auth/export", Some(&ada)).json(&json!({"password": PASSWORD}));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/zip");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.bytes().await.unwrap())).unwrap();
    let mut all = String::new();
    for n in 0..zip.len() {
        zip.by_index(n).unwrap().read_to_string(&mut all).unwrap();
    }
    assert!(all.contains(MINE) && all.contains("ada@example.org") && all.contains("auth.login.success"), "{all}");
    assert!(!all.contains(THEIRS) && !all.contains("bob") && !all.contains("argon2"), "{all}");
    for _ in 0..4 {
        app.post("/auth/export", Some(&ada), json!({"password": PASSWORD})).await;
    }
    app.post("/auth/export", Some(&ada), json!({"password": PASSWORD})).await.expect(429);
}

/// GDPR-02 as its owner sees it; the store's own tests look into the files.
#[tokio::test]
async fn an_erased_person_is_gone_and_others_keep_what_is_theirs() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    let (ada, bob) = (app.person("ada", Role::Researcher).await, app.person("bob", Role::Researcher).await);
    let (shared, alone) = (app.session(&ada, 1).await, app.session(&ada, 1).await);
    let share = json!({"relation": "participant"});
    app.put(&format!("/sessions/{shared}/participants/{}", bob.id), Some(&ada), share).await.expect(200);
    for (person, words) in [(&ada, MINE), (&bob, THEIRS)] {
        let note = json!({"seq": 1, "text": words});
        app.post(&format!("/sessions/{shared}/annotations"), Some(person), note).await.expect(201);
    }
    app.post("/auth/erase", Some(&root), json!({"password": PASSWORD})).await.expect(409);
    app.get("/auth/me", Some(&root)).await.expect(200);
    app.post("/auth/erase", Some(&ada), json!({"password": PASSWORD})).await.expect(200);
    app.get("/auth/me", Some(&ada)).await.expect(401);
    app.post("/auth/login", None, json!({"username": "ada", "password": PASSWORD})).await.expect(401);
    app.get(&format!("/users/{}", ada.id), Some(&root)).await.expect(404);
    app.get(&format!("/sessions/{alone}"), Some(&root)).await.expect(404);
    let events = app.events(&bob, &shared).await;
    let notes: Vec<_> = events.iter().filter(|e| e["type"] == "annotation").map(|e| e["text"].clone()).collect();
    assert_eq!(notes, [json!("[erased]"), json!(THEIRS)]);
    assert!(!json!(events).to_string().contains(MINE));
    let audit = app.get("/audit?limit=200", Some(&root)).await.expect(200);
    assert!(!audit.to_string().contains("\"ada\""), "{audit}");
    let check = app.get("/audit/verify", Some(&root)).await.expect(200);
    assert_eq!(check["whole"], true, "{check}");
    // An admin erases somebody too; the name is free again.
    app.delete(&format!("/users/{}", bob.id), Some(&root)).await.expect(200);
    app.account("bob", Role::Observer).await;
    let _ = send(app.request(reqwest::Method::GET, "/health", None)).await;
}
