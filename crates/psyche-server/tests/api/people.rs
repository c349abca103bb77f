//! Who belongs to a session: by name, listed, and told in its log.

use psyche_core::port::{Directory as _, Relation, Role};
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

fn told(events: &[Value]) -> Vec<(String, String, u64)> {
    let of_people = events.iter().filter(|e| e["type"] == "user_session");
    let text = |e: &Value, name: &str| e[name].as_str().unwrap().to_owned();
    of_people.map(|e| (text(e, "action"), text(e, "username"), e["participant_count"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn the_log_tells_who_was_let_in_and_how_but_not_who_looked() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let bob = app.person("bob", Role::Observer).await;
    let session = app.session(&ada, 1).await;
    let path = format!("/sessions/{session}/participants/{}", bob.id);
    for relation in ["viewer", "viewer", "participant"] {
        app.put(&path, Some(&ada), json!({"relation": relation})).await.expect(200);
    }
    for _ in 0..3 {
        drop(app.watch(&bob, &session, json!({})).await);
    }
    app.delete(&path, Some(&ada)).await.expect(204);
    app.delete(&path, Some(&ada)).await.expect(204);
    let expected = [("created", "ada", 1), ("joined", "bob", 2), ("updated", "bob", 2), ("left", "bob", 1)];
    let events = app.events(&ada, &session).await;
    let seen = told(&events);
    assert_eq!(seen.iter().map(|(a, n, c)| (a.as_str(), n.as_str(), *c)).collect::<Vec<_>>(), expected);
    let joined = events.iter().find(|e| e["action"] == "joined").unwrap();
    assert_eq!(joined["metadata"], json!({"relation": "viewer", "by": ada.id.to_string()}));

    // Whoever reads is told of the end before it.
    let mut socket = app.watch(&ada, &session, json!({})).await;
    app.delete(&format!("/sessions/{session}"), Some(&ada)).await.expect(204);
    let frames = socket.until(|f| f["action"] == "terminated").await;
    assert_eq!(frames.last().unwrap()["username"], "ada");
    assert_eq!(socket.farewell().await["code"], 4004);
}

#[tokio::test]
async fn erasing_somebody_takes_the_name_out_of_others_logs() {
    let app = TestApp::start().await;
    app.person("root", Role::Admin).await;
    let ada = app.person("ada", Role::Researcher).await;
    let bob = app.person("bob-canary", Role::Observer).await;
    let session = app.session(&ada, 1).await;
    let path = format!("/sessions/{session}/participants/{}", bob.id);
    app.put(&path, Some(&ada), json!({"relation": "viewer"})).await.expect(200);
    app.post("/auth/erase", Some(&bob), json!({"password": PASSWORD})).await.expect(200);
    let events = app.events(&ada, &session).await;
    let seen = told(&events);
    let seen: Vec<_> = seen.iter().map(|(a, n, _)| (a.as_str(), n.as_str())).collect();
    assert_eq!(seen, [("created", "ada"), ("joined", "[erased]"), ("left", "[erased]")]);
    assert!(!json!(events).to_string().contains("bob-canary"));
}

#[tokio::test]
async fn a_session_is_shared_by_a_whole_name_and_names_cannot_be_listed() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let bob = app.person("Bob.Builder", Role::Observer).await;
    let gone = app.account("gone", Role::Observer).await;
    let disabled = psyche_core::port::UserPatch {
        status: Some(psyche_core::port::UserStatus::Disabled),
        ..psyche_core::port::UserPatch::default()
    };
    app.store.update_user(gone, disabled).await.unwrap();
    let session = app.session(&ada, 1).await;
    let path = format!("/sessions/{session}/participants");
    let invite = |name: &str| app.post(&path, Some(&ada), json!({"username": name, "relation": "participant"}));

    let answer = invite("bob.builder").await.expect(200);
    assert_eq!((&answer["user_id"], &answer["username"]), (&json!(bob.id.to_string()), &json!("Bob.Builder")));
    assert_eq!(app.store.relation(session.parse().unwrap(), bob.id).await.unwrap(), Relation::Participant);
    invite("ada").await.expect(409);
    // Parts of names, patterns and disabled people are nobody.
    for name in ["bob", "Bob.Builder ", "bob%", "*", "", "gone"] {
        invite(name).await.expect(404);
    }
    // Names that hit do not count, and those that miss are soon too many, however fast they come.
    for _ in 0..30 {
        invite("Bob.Builder").await.expect(200);
    }
    let guesses = futures_util::future::join_all((0..60).map(|n| {
        let body = json!({"username": format!("guess-{n}"), "relation": "viewer"});
        app.post(&path, Some(&ada), body)
    }));
    let missed = guesses.await.iter().filter(|reply| reply.status == 404).count();
    assert!(missed <= 14, "{missed} and the 6 from before are within 20");
    let refused = invite("Bob.Builder").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), "3600");
    let root = app.person("root", Role::Admin).await;
    let alerts = app.get("/security/alerts", Some(&root)).await.expect(200);
    assert!(alerts.to_string().contains("name_guessing"), "{alerts}");
    // Others are not concerned.
    let other = app.person("olga", Role::Researcher).await;
    let theirs = app.session(&other, 1).await;
    let body = json!({"username": "bob.builder", "relation": "viewer"});
    app.post(&format!("/sessions/{theirs}/participants"), Some(&other), body).await.expect(200);
}

#[tokio::test]
async fn participants_are_listed_beyond_the_first_hundred() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let session = app.session(&ada, 1).await;
    for n in 0..130 {
        let id = app.account(&format!("pupil-{n}"), Role::Observer).await;
        app.store.set_relation(session.parse().unwrap(), id, Relation::Viewer).await.unwrap();
    }
    let (mut names, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/sessions/{session}/participants?limit=50{cursor}");
        let page = app.get(&path, Some(&ada)).await.expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|p| p["username"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((pages, names[0].as_str()), (3, "ada"));
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 131);
    let wrong = app.get(&format!("/sessions/{session}/participants?cursor=x"), Some(&ada)).await.expect(422);
    assert_eq!(wrong["error"]["details"][0]["field"], "cursor");
}

#[tokio::test]
async fn admins_find_people_by_a_part_of_their_names() {
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    for name in ["anna", "Hannah", "bob"] {
        app.account(name, Role::Observer).await;
    }
    let found = async |q: &str| {
        let page = app.get(&format!("/users?q={q}"), Some(&root)).await.expect(200);
        let names = page["items"].as_array().unwrap().iter().map(|u| u["username"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(found("ANNA").await, ["Hannah", "anna"]);
    assert_eq!(found("bob%40example").await, ["bob"]);
    assert_eq!(found("nobody").await, [""; 0]);
    assert_eq!(found("").await.len(), 4);
}
