//! What keeps strangers out: equal answers, lockout, forged tokens, stolen tokens, limits, blocks, the audit trail.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use psyche_core::audit::AuditType;
use psyche_core::port::{AuditFilter, AuditLog as _, Directory as _, Role};
use psyche_core::{TenantId, Timestamp};
use psyche_server::{Rate, TrustedProxies};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{PASSWORD, Person, TestApp, send};

/// Tries that do not run into the lockout.
const MANY: u64 = 1_000_000;

async fn login(app: &TestApp, from: &str, name: &str, password: &str) -> crate::support::Reply {
    let body = json!({"username": name, "password": password});
    let request = app.request(reqwest::Method::POST, "/auth/login", None).json(&body);
    send(request.header("x-forwarded-for", from)).await
}

/// Clients of their own: the peer is a trusted proxy.
async fn behind_a_proxy(change: impl FnOnce(&mut psyche_server::ServerOptions)) -> TestApp {
    TestApp::with(|o| {
        o.trusted_proxies = TrustedProxies::parse(&["127.0.0.1".into()]).unwrap();
        change(o);
    })
    .await
}

async fn types(app: &TestApp) -> Vec<AuditType> {
    let rows = app.store.rows(TenantId::DEFAULT, AuditFilter::default(), 1000).await.unwrap();
    rows.into_iter().map(|row| row.event_type).collect()
}

/// AUTH-03.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_sign_ins_take_the_same_time() {
    let app = TestApp::with(|o| {
        o.limits.sign_in_tries = MANY;
        o.block_addresses = false;
    })
    .await;
    let admin = app.person("root", Role::Admin).await;
    let mut said = Vec::new();
    // A busy machine gets a second and a third try, with names of their own: a hundred failures of one name slow it down.
    for round in 0..3 {
        let names = ["ada", "nobody", "off"].map(|name| format!("{name}-{round}"));
        app.account(&names[0], Role::Researcher).await;
        let off = app.account(&names[2], Role::Researcher).await;
        app.patch(&format!("/users/{off}"), Some(&admin), json!({"status": "disabled"})).await.expect(200);
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        // Interleaved, so that whatever else the machine does meets all alike.
        for _ in 0..40 {
            for ((name, password), times) in names.iter().zip(["not the password", PASSWORD, PASSWORD]).zip(&mut times)
            {
                let began = Instant::now();
                app.post("/auth/login", None, json!({"username": name, "password": password})).await.expect(401);
                times.push(began.elapsed().as_secs_f64());
            }
        }
        let medians = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });
        let least = medians.iter().copied().fold(f64::MAX, f64::min);
        if medians.iter().all(|median| median / least <= 1.15) {
            return;
        }
        said.push(medians);
    }
    panic!("medians differ by more than 15 %: {said:?}");
}

/// AUTH-04.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_guesses_at_once_look_at_five_passwords_and_the_owner_gets_in_elsewhere() {
    let app = behind_a_proxy(|o| o.block_addresses = false).await;
    app.account("ada", Role::Researcher).await;
    for name in ["ada", "nobody"] {
        let before = app.server.password_checks();
        let guesses = (0..50).map(|_| login(&app, "203.0.113.7", name, "a wrong guess"));
        let replies = futures_util::future::join_all(guesses).await;
        assert!(app.server.password_checks() - before <= 5, "{name}");
        let refused = replies.iter().filter(|reply| reply.status == 429).count();
        assert!(refused >= 45, "{name}: {refused}");
        let waits: Vec<u64> = replies.iter().filter_map(|r| r.header("retry-after").parse().ok()).collect();
        assert!(waits.len() == refused && waits.iter().all(|s| (1..=900).contains(s)), "{waits:?}");
    }
    // Locked for this client, also with the right password; upper case and compatibility forms are the same name.
    login(&app, "203.0.113.7", "ADA", PASSWORD).await.expect(429);
    login(&app, "203.0.113.7", "ａｄａ", PASSWORD).await.expect(429);
    // From elsewhere the right password gets in.
    login(&app, "198.51.100.4", "ada", PASSWORD).await.expect(200);
    app.clock.advance(Duration::from_secs(901));
    login(&app, "203.0.113.7", "ada", PASSWORD).await.expect(200);
    // A success forgives what was tried before.
    for _ in 0..3 {
        for _ in 0..4 {
            login(&app, "203.0.113.9", "ada", "a wrong guess").await.expect(401);
        }
        login(&app, "203.0.113.9", "ada", PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn a_known_device_has_tries_of_its_own_and_an_admin_can_forgive() {
    let app = behind_a_proxy(|o| o.block_addresses = false).await;
    let admin = app.person("root", Role::Admin).await;
    let ada = app.account("ada", Role::Researcher).await;
    let body = json!({"username": "ada", "password": PASSWORD, "refresh": "cookie"});
    let reply = app.post("/auth/login", None, body.clone()).await;
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    let device =
        cookies.iter().find(|c| c.starts_with("psyche_device=")).unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..6 {
        app.post("/auth/login", None, json!({"username": "ada", "password": "a wrong guess"})).await;
    }
    app.post("/auth/login", None, body.clone()).await.expect(429);
    let from_device = |cookie: String| {
        let request = app.request(reqwest::Method::POST, "/auth/login", None).json(&body);
        send(request.header("cookie", cookie))
    };
    from_device(device.clone()).await.expect(200);
    // Somebody else's token, or a made-up one, is none.
    from_device(format!("{device}x")).await.expect(429);
    from_device(format!("psyche_device={}.AAAA", admin.id)).await.expect(429);
    let other = json!({"username": "root", "password": PASSWORD, "refresh": "cookie"});
    let other = app.post("/auth/login", None, other).await;
    let other = other
        .headers
        .get_all("set-cookie")
        .iter()
        .find_map(|v| v.to_str().ok().filter(|c| c.starts_with("psyche_device=")));
    from_device(other.unwrap().split(';').next().unwrap().to_owned()).await.expect(429);
    let elsewhere = || login(&app, "203.0.113.77", "ada", "a wrong guess");
    for _ in 0..6 {
        elsewhere().await;
    }
    assert_eq!(elsewhere().await.status, 429);
    app.post(&format!("/users/{ada}/unlock"), Some(&admin), json!({})).await.expect(200);
    app.post("/auth/login", None, body.clone()).await.expect(200);
    assert_eq!(elsewhere().await.status, 401, "forgiven where nobody had ever signed in, too");
}

/// IP-01.
#[tokio::test]
async fn an_address_that_fails_too_often_is_blocked_and_let_in_again() {
    let app = behind_a_proxy(|o| o.limits.sign_in_tries = MANY).await;
    let admin = app.person("root", Role::Admin).await;
    for n in 0..25 {
        login(&app, "203.0.113.7", &format!("name-{n}"), "a wrong guess").await.expect(401);
    }
    let refused = login(&app, "203.0.113.7", "root", PASSWORD).await.expect(403);
    assert_eq!(refused["error"]["kind"], "forbidden");
    login(&app, "203.0.113.8", "root", PASSWORD).await.expect(200);
    let list = app.get("/security/blocked-ips", Some(&admin)).await.expect(200);
    assert_eq!(list["items"][0]["ip"], "203.0.113.7");
    let alerts = app.get("/security/alerts", Some(&admin)).await.expect(200);
    let told = alerts["items"].as_array().unwrap().iter().any(|a| a["rule"] == "address_blocked");
    assert!(told, "{alerts}");
    app.delete("/security/blocked-ips/203.0.113.7", Some(&admin)).await.expect(200);
    login(&app, "203.0.113.7", "root", PASSWORD).await.expect(200);
    app.delete("/security/blocked-ips/203.0.113.7", Some(&admin)).await.expect(404);
    // The proxy itself is never blocked.
    for n in 0..30 {
        let body = json!({"username": format!("x-{n}"), "password": "a wrong guess"});
        app.post("/auth/login", None, body).await.expect(401);
    }
    app.sign_in("root", admin.id).await;
}

/// RATE-01.
#[tokio::test]
async fn requests_are_limited_and_told_so() {
    let app = TestApp::with(|o| {
        o.limits.anonymous = Rate { per_minute: 60.0, burst: 3.0 };
        o.limits.users = Rate { per_minute: 600.0, burst: 4.0 };
    })
    .await;
    let ada = app.person("ada", Role::Researcher).await;
    let answers = [app.get("/auth/me", Some(&ada)).await, app.get("/auth/me", Some(&ada)).await];
    assert_eq!(answers[0].header("ratelimit-limit"), "600");
    assert_eq!((answers[0].header("ratelimit-remaining"), answers[1].header("ratelimit-remaining")), ("3", "2"));
    app.get("/auth/me", Some(&ada)).await.expect(200);
    app.get("/auth/me", Some(&ada)).await.expect(200);
    let refused = app.get("/auth/me", Some(&ada)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    for _ in 0..3 {
        app.get("/sessions", None).await.expect(401);
    }
    app.get("/sessions", None).await.expect(429);
    app.get("/health", None).await.expect(200);
    let forged = Person { token: "a.b.c".into(), ..ada.clone() };
    app.get("/sessions", Some(&forged)).await.expect(429);
    app.clock.advance(Duration::from_secs(5));
    app.get("/auth/me", Some(&ada)).await.expect(200);
    assert!(types(&app).await.contains(&AuditType::RateLimit));
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// TOK-01, RFC 8725.
#[tokio::test]
async fn no_forged_token_opens_anything_and_none_makes_us_call_anybody() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.person("ada", Role::Researcher).await, app.person("bob", Role::Observer).await);
    let session = app.session(&ada, 1).await;
    // Whoever is named in a header would be called here.
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    let parts: Vec<&str> = ada.token.split('.').collect();
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (head, claims) = (read(parts[0]), read(parts[1]));
    let with = |value: &Value, name: &str, field: Value| {
        let mut changed = value.clone();
        changed[name] = field;
        changed
    };
    let sign = |head: &Value, claims: &Value, key: &[u8]| {
        let body = format!("{}.{}", encode(head), encode(claims));
        let mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
        let mac = hmac::Mac::chain_update(mac, body.as_bytes());
        let mac = hmac::Mac::finalize(mac).into_bytes();
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(mac))
    };
    let right: &[u8] = &[9; 32];
    assert_eq!(sign(&head, &claims, right).len(), ada.token.len());
    let again = Person { token: sign(&head, &claims, right), ..ada.clone() };
    app.get("/auth/me", Some(&again)).await.expect(200);
    let now = claims["iat"].as_i64().unwrap();
    let mut forged = vec![
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], bob.token.split('.').next_back().unwrap()),
        format!("{}.{}.{}", parts[0], encode(&with(&claims, "sub", json!(bob.id))), parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.", ada.token),
        String::new(),
        "a".repeat(10_000),
        sign(&head, &claims, &[8; 32]),
        sign(&head, &claims, b""),
    ];
    for alg in ["none", "None", "HS384", "HS512", "RS256", "ES256", "EdDSA", ""] {
        forged.push(sign(&with(&head, "alg", json!(alg)), &claims, right));
        forged.push(format!("{}.{}.", encode(&with(&head, "alg", json!(alg))), parts[1]));
    }
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", Value::Null),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", Value::Null),
        ("kid", json!(7)),
    ] {
        forged.push(sign(&with(&head, name, value), &claims, right));
    }
    for (name, value) in [
        ("iss", json!("somebody")),
        ("aud", json!("somebody")),
        ("aud", Value::Null),
        ("exp", json!(now - 1)),
        ("exp", Value::Null),
        ("nbf", json!(now + 3600)),
        ("sub", json!(bob.id)),
        ("sid", json!("00000000-0000-0000-0000-000000000000")),
        ("tenant", json!("00000000-0000-0000-0000-000000000007")),
    ] {
        forged.push(sign(&head, &with(&claims, name, value), right));
    }
    // Keys that a header brings or names are not read: signed with another key these are nothing.
    for name in ["jku", "x5u"] {
        forged.push(sign(&with(&head, name, json!(url)), &claims, &[8; 32]));
    }
    for name in ["jwk", "x5c"] {
        let key = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([8; 32])});
        forged.push(sign(&with(&head, name, key), &claims, &[8; 32]));
    }
    for token in forged {
        let person = Person { token: token.clone(), ..ada.clone() };
        let reply = app.get("/auth/me", Some(&person)).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer"), "{token}");
        let mut socket = app.socket(&format!("/ws/{session}")).await;
        socket.say(json!({"type": "auth", "token": token})).await;
        assert_eq!(socket.farewell().await["code"], 4001, "{token}");
    }
    let called = tokio::time::timeout(Duration::from_millis(200), trap.accept()).await;
    assert!(called.is_err(), "an outbound connection");
    assert!(types(&app).await.contains(&AuditType::InvalidToken));
}

/// TOK-02.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_refreshes_at_once_at_most_one_successor_lives() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let refresh = |token: String| app.post("/auth/refresh", None, json!({ "refresh_token": token }));
    let replies = futures_util::future::join_all((0..20).map(|_| refresh(ada.refresh.clone()))).await;
    let fresh: Vec<String> = replies
        .iter()
        .filter(|r| r.status == 200)
        .map(|r| r.json()["refresh_token"].as_str().unwrap().to_owned())
        .collect();
    assert!(!fresh.is_empty(), "a lost answer is answered again");
    let mut alive = 0;
    for token in fresh {
        alive += usize::from(refresh(token).await.status == 200);
    }
    assert!(alive <= 1, "{alive}");
}

#[tokio::test]
async fn a_stolen_refresh_token_alerts_and_a_lost_answer_does_not() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let ada = app.person("ada", Role::Researcher).await;
    let refresh = |token: &str| app.post("/auth/refresh", None, json!({ "refresh_token": token }));
    // The answer got lost; the client asks again.
    refresh(&ada.refresh).await.expect(200);
    let second = refresh(&ada.refresh).await.expect(200);
    let third = refresh(second["refresh_token"].as_str().unwrap()).await.expect(200);
    assert!(!types(&app).await.contains(&AuditType::TokenReuse));
    refresh(&ada.refresh).await.expect(401);
    refresh(third["refresh_token"].as_str().unwrap()).await.expect(401);
    let alerts = app.get("/security/alerts", Some(&admin)).await.expect(200);
    let alert = alerts["items"].as_array().unwrap().iter().find(|a| a["rule"] == "token_reuse").unwrap();
    assert_eq!((&alert["user_id"], &alert["severity"]), (&json!(ada.id), &json!("critical")));
}

/// TOK-03, TOK-04: each within a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_rights_acts_on_open_sockets_within_a_second() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let owner = app.person("owner", Role::Researcher).await;
    let session = app.session(&owner, 1).await;
    for (name, code) in [("logout", 4001), ("disabled", 4001), ("removed", 4004), ("erased", 4001), ("password", 4001)]
    {
        let person = app.person(name, Role::Researcher).await;
        let place = format!("/sessions/{session}/participants/{}", person.id);
        app.put(&place, Some(&owner), json!({"relation": "viewer"})).await.expect(200);
        let mut socket = app.watch(&person, &session, json!({})).await;
        let account = format!("/users/{}", person.id);
        let proof = json!({"password": PASSWORD});
        let began = Instant::now();
        match name {
            "logout" => app.post("/auth/logout", Some(&person), json!({})).await,
            "disabled" => app.patch(&account, Some(&admin), json!({"status": "disabled"})).await,
            "removed" => app.delete(&place, Some(&owner)).await,
            "erased" => app.post("/auth/erase", Some(&person), proof).await,
            _ => {
                let other = app.sign_in(name, person.id).await;
                let body = json!({"current_password": PASSWORD, "new_password": "quite another secret"});
                app.post("/auth/password", Some(&other), body).await
            }
        };
        assert_eq!(socket.farewell().await["code"], code, "{name}");
        // The password itself takes its time to be looked at.
        assert!(began.elapsed() < Duration::from_millis(1500), "{name}: {:?}", began.elapsed());
    }
    // A demoted admin's system socket closes; a participant's commands are refused from then on.
    let other = app.person("second-root", Role::Admin).await;
    let mut system = app.socket("/ws/system").await;
    system.say(json!({"type": "auth", "token": other.token})).await;
    assert_eq!(system.next().await["type"], "auth_ok");
    let began = Instant::now();
    app.patch(&format!("/users/{}", other.id), Some(&admin), json!({"role": "observer"})).await.expect(200);
    assert_eq!(system.farewell().await["code"], 4003);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn rights_an_admin_has_only_as_such_are_recorded_and_refusals_too() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let owner = app.person("owner", Role::Researcher).await;
    let stranger = app.person("stranger", Role::Researcher).await;
    let session = app.session(&owner, 1).await;
    app.get(&format!("/sessions/{session}"), Some(&owner)).await.expect(200);
    app.get(&format!("/sessions/{session}"), Some(&admin)).await.expect(200);
    app.get(&format!("/sessions/{session}"), Some(&stranger)).await.expect(404);
    app.get("/users", Some(&stranger)).await.expect(403);
    let _socket = app.watch(&admin, &session, json!({})).await;
    let rows = app.get("/audit?event_type=authz.access.granted,authz.access.denied", Some(&admin)).await.expect(200);
    let seen: Vec<_> =
        rows["items"].as_array().unwrap().iter().map(|r| (r["event_type"].clone(), r["username"].clone())).collect();
    let granted = json!("authz.access.granted");
    let denied = json!("authz.access.denied");
    let expected = [(&granted, "root"), (&denied, "stranger"), (&denied, "stranger"), (&granted, "root")];
    assert_eq!(seen, expected.map(|(kind, name)| (kind.clone(), json!(name))));
    for row in rows["items"].as_array().unwrap() {
        assert!(row["request_id"].as_str().unwrap().len() >= 8 && row["ip_address"] == "127.0.0.1", "{row}");
    }
    // The owner sees who came in.
    let seen = app.get(&format!("/sessions/{session}/accesses"), Some(&owner)).await.expect(200);
    assert_eq!((seen["items"].as_array().unwrap().len(), &seen["items"][0]["username"]), (2, &json!("root")));
    let check = app.get("/audit/verify", Some(&admin)).await.expect(200);
    assert_eq!((&check["whole"], &check["problems"]), (&json!(true), &json!([])));
    app.get("/audit", Some(&owner)).await.expect(403);
    app.get("/audit?event_type=made.up", Some(&admin)).await.expect(422);
}

#[tokio::test]
async fn admins_follow_the_trail_live() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let mut system = app.socket("/ws/system").await;
    system.say(json!({"type": "auth", "token": admin.token})).await;
    assert_eq!(system.next().await["type"], "auth_ok");
    app.account("ada", Role::Researcher).await;
    // The first look only learns where the trail ends.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let wrong = json!({"username": "ada", "password": "a wrong guess"});
    app.post("/auth/login", None, wrong).await.expect(401);
    let frames = tokio::time::timeout(Duration::from_secs(10), system.until(|f| f["type"] == "audit")).await.unwrap();
    let row = frames.last().unwrap();
    assert_eq!((&row["event_type"], &row["outcome"]), (&json!("auth.login.failure"), &json!("failure")));
    assert_eq!(row["username"], Value::Null, "what was typed as a name may be a password");
}

/// LIM-01 for rows that have had their time.
#[tokio::test]
async fn old_rows_go_and_the_trail_stays_whole() {
    let app = TestApp::start().await;
    let admin = app.person("root", Role::Admin).await;
    let before = Timestamp(app.store.rows(TenantId::DEFAULT, AuditFilter::default(), 1).await.unwrap()[0].at.0 + 1);
    app.store.prune(before).await.unwrap();
    let check = app.get("/audit/verify", Some(&admin)).await.expect(200);
    assert_eq!(check["whole"], true);
    let status = app.get("/system/status", Some(&admin)).await.expect(200);
    assert!(status["jobs"].as_array().unwrap().iter().any(|job| job["name"] == "audit"), "{status}");
    assert!(app.store.has_admin(TenantId::DEFAULT).await.unwrap());
}

#[tokio::test]
async fn sessions_are_kept_as_long_as_the_operator_says() {
    let app = TestApp::with(|o| o.session_retention = Some(Duration::from_hours(24))).await;
    let admin = app.person("root", Role::Admin).await;
    let old = app.session(&admin, 1).await;
    app.clock.advance(Duration::from_hours(20));
    let young = app.session(&app.sign_in("root", admin.id).await, 1).await;
    app.clock.advance(Duration::from_hours(5));
    app.server.sweep().await;
    let admin = app.sign_in("root", admin.id).await;
    app.get(&format!("/sessions/{old}"), Some(&admin)).await.expect(404);
    app.get(&format!("/sessions/{young}"), Some(&admin)).await.expect(200);
    assert!(types(&app).await.contains(&AuditType::SessionTerminated));
}
