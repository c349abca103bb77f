//! Analyses over REST: of one session and of many.

use psyche_core::port::Role;
use psyche_core::words::Subject;
use serde_json::{Value, json};

use crate::support::{Person, TestApp};

#[tokio::test]
async fn a_session_is_analysed_for_those_who_may_read_it() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let ben = app.person("ben", Role::Researcher).await;
    let id = app.session(&ada, 6).await;
    let path = format!("/sessions/{id}/analysis");
    let nothing = app.get(&path, Some(&ada)).await.expect(200);
    assert_eq!((&nothing["utterances"], &nothing["measures"]["stagnation"]["value"]), (&json!(0), &Value::Null));

    let stimulus = json!({"command": "inject_stimulus", "args": {"kind": "memory", "text": "A lighthouse."}});
    app.post(&format!("/sessions/{id}/commands"), Some(&ada), stimulus).await.expect(200);
    let events = app.talk(&ada, &id).await;
    let analysis = app.get(&path, Some(&ada)).await.expect(200);
    let messages = events.iter().filter(|event| event["type"] == "agent_message").count();
    assert_eq!((&analysis["utterances"], &analysis["gen"]), (&json!(messages), &json!(1)));
    assert_eq!(analysis["to"], events.last().unwrap()["seq"]);
    assert!(analysis["measures"]["stagnation"]["value"].is_number(), "{}", analysis["measures"]);
    assert_eq!(analysis["interventions"][0]["kind"], "stimulus");
    assert_eq!(analysis["shares"]["speakers"][0]["utterances"], 6);
    assert_eq!(analysis["agents"][0]["latency"]["n"], 6);
    assert!(!analysis.to_string().contains("lighthouse"), "the document holds no words");

    // Made once: the same bytes again; another range is another document.
    let again = app.get(&path, Some(&ada)).await;
    assert_eq!(again.json(), analysis);
    let middle = events[events.len() / 2]["seq"].as_u64().unwrap();
    let part = app.get(&format!("{path}?from={middle}"), Some(&ada)).await.expect(200);
    assert_eq!(part["from"], middle);
    assert!(part["utterances"].as_u64().unwrap() < messages as u64);

    app.get(&path, Some(&ben)).await.expect(404);
    app.get(&path, None).await.expect(401);
    let beyond = events.len() + 1;
    for (query, field) in [
        ("from=0".to_owned(), "from"),
        (format!("from={beyond}"), "from"),
        (format!("to={beyond}"), "to"),
        ("from=9&to=8".to_owned(), "to"),
    ] {
        let refused = app.get(&format!("{path}?{query}"), Some(&ada)).await.expect(422);
        assert_eq!(refused["error"]["details"][0]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn erased_words_leave_the_analysis() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let id = app.session(&ada, 1).await;
    let say = json!({"command": "speak", "args": {"text": "I remember the wonderful lighthouse."}});
    app.post(&format!("/sessions/{id}/commands"), Some(&ada), say).await.expect(200);
    let path = format!("/sessions/{id}/analysis");
    let words = |analysis: &Value| {
        let speakers = analysis["shares"]["speakers"].as_array().unwrap();
        speakers.iter().find(|speaker| speaker["agent_id"] == "user").unwrap()["words"].clone()
    };
    let before = app.get(&path, Some(&ada)).await.expect(200);
    assert_eq!((words(&before), &before["erased"]), (json!(5), &json!(0)));
    app.engine.erase(None, Subject::User(ada.id)).await.unwrap();
    let after = app.get(&path, Some(&ada)).await.expect(200);
    assert_eq!((words(&after), &after["erased"], &after["gen"]), (json!(0), &json!(1), &json!(2)));
}

/// Waits for a history to be done.
async fn done(app: &TestApp, person: &Person, id: &str) -> Value {
    loop {
        let job = app.get(&format!("/analysis/history/{id}"), Some(person)).await.expect(200);
        match job["status"].as_str() {
            Some("running") => tokio::task::yield_now().await,
            Some("done") => return job,
            _ => panic!("{job}"),
        }
    }
}

async fn begun(app: &TestApp, person: &Person, request: Value) -> Value {
    let job = app.post("/analysis/history", Some(person), request).await.expect(202);
    done(app, person, job["history_id"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_history_counts_runs_and_makes_only_what_changed() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let ben = app.person("ben", Role::Researcher).await;
    let root = app.person("root", Role::Admin).await;
    let mut ids = Vec::new();
    for (condition, seed) in [("calm", 1), ("calm", 2), ("calm", 3), ("wild", 1), ("wild", 2), ("wild", 3)] {
        let body = json!({"session_type": "shared", "name": "A run", "max_rounds": 2, "seed": seed, "tags": [condition, "study"]});
        let id = app.post("/sessions", Some(&ada), body).await.expect(201)["session_id"].as_str().unwrap().to_owned();
        app.talk(&ada, &id).await;
        ids.push(id);
    }
    app.session(&ada, 1).await;
    let request = json!({"tags": ["study"], "compare": {"a": "calm", "b": "wild"}});
    let job = begun(&app, &ada, request.clone()).await;
    assert_eq!((&job["done"], &job["total"], &job["analysed"]), (&json!(6), &json!(6), &json!(6)));
    let history = &job["history"];
    assert_eq!((&history["n"], &history["distributions"]["words"]["n"]), (&json!(6), &json!(6)));
    let comparison = &history["comparison"];
    assert_eq!((&comparison["paired"], &comparison["n_a"], &comparison["n_b"]), (&json!(true), &json!(3), &json!(3)));
    let words = comparison["measures"].as_array().unwrap().iter().find(|m| m["measure"] == "words").unwrap();
    assert!(words["n_a"] == 3 && words["difference"].is_number(), "{words}");

    // Nothing changed: nothing is made again. One changed: one is.
    assert_eq!(begun(&app, &ada, request.clone()).await["analysed"], 0);
    let note = json!({"seq": 1, "text": "x"});
    app.post(&format!("/sessions/{}/annotations", ids[0]), Some(&ada), note).await.expect(201);
    assert_eq!(begun(&app, &ada, request.clone()).await["analysed"], 1);

    // It is the caller's own, and of sessions they belong to: also an admin's.
    let path = format!("/analysis/history/{}", job["history_id"].as_str().unwrap());
    app.get(&path, Some(&ben)).await.expect(404);
    assert_eq!(begun(&app, &ben, json!({})).await["history"]["n"], 0);
    assert_eq!(begun(&app, &root, json!({})).await["history"]["n"], 0);
    app.put(&format!("/sessions/{}/participants/{}", ids[0], ben.id), Some(&ada), json!({"relation": "viewer"}))
        .await
        .expect(200);
    let bens = begun(&app, &ben, json!({})).await;
    assert_eq!(bens["history"]["n"], 1);
    // Who may no longer read a session gets a history without it, and so does everybody when it is gone.
    app.delete(&format!("/sessions/{}/participants/{}", ids[0], ben.id), Some(&ada)).await.expect(204);
    assert_eq!(done(&app, &ben, bens["history_id"].as_str().unwrap()).await["history"]["n"], 0);
    app.delete(&format!("/sessions/{}", ids[5]), Some(&ada)).await.expect(204);
    let without = done(&app, &ada, job["history_id"].as_str().unwrap()).await;
    assert_eq!((&without["history"]["n"], &without["history"]["comparison"]["paired"]), (&json!(5), &json!(false)));

    app.post("/analysis/history", Some(&ada), json!({"compare": {"a": "x", "b": "x"}})).await.expect(422);
    app.post("/analysis/history", Some(&ada), json!({"tag": "x"})).await.expect(422);
    let dates = json!({"start_time": "2026-02-01T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"});
    app.post("/analysis/history", Some(&ada), dates).await.expect(422);
}

#[tokio::test]
async fn the_canonical_transcripts_read_as_they_must() {
    let app = TestApp::start().await;
    let olga = app.person("olga", Role::Observer).await;
    let tests = app.get("/analysis/self-test", Some(&olga)).await.expect(200);
    assert_eq!((&tests["ok"], tests["rows"].as_array().unwrap().len()), (&json!(true), 60), "{tests}");
    app.get("/analysis/self-test", None).await.expect(401);
}

#[tokio::test]
async fn a_model_judges_a_sample_on_the_sessions_budget_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let ada = app.person("ada", Role::Researcher).await;
    let ben = app.person("ben", Role::Observer).await;
    let id = app.session(&ada, 3).await;
    let path = format!("/sessions/{id}/analysis/judge");
    app.post(&path, Some(&ada), json!({"question": "sentiment"})).await.expect(409);
    let events = app.talk(&ada, &id).await;
    app.put(&format!("/sessions/{id}/participants/{}", ben.id), Some(&ada), json!({"relation": "viewer"}))
        .await
        .expect(200);
    let events_now = app.events(&ada, &id).await.len();
    assert!(events_now >= events.len());

    // The scripted model talks and does not rate: every answer is a refusal, counted and not guessed at.
    let judged = app.post(&path, Some(&ada), json!({"question": "sentiment", "sample": 5})).await.expect(200);
    assert_eq!((&judged["asked"], &judged["refused"], &judged["mean"]), (&json!(5), &json!(5), &Value::Null));
    assert_eq!(judged["ratings"].as_array().unwrap().len(), 5);
    assert!(judged["ratings"][0]["rules"].is_number() && judged["ratings"][0]["judge"].is_null(), "{judged}");
    assert!(judged["spent"]["tokens"].as_u64().unwrap() > 0);
    assert_eq!(app.events(&ada, &id).await.len(), events_now, "nothing is stored");

    app.post(&path, Some(&ben), json!({"question": "sentiment"})).await.expect(403);
    for wrong in [
        json!({"question": "mood"}),
        json!({"question": "sentiment", "sample": 0}),
        json!({"question": "sentiment", "model": "none"}),
    ] {
        app.post(&path, Some(&ada), wrong).await.expect(422);
    }
    // Out of budget: no call is made.
    app.patch(&format!("/sessions/{id}"), Some(&ada), json!({"budget": {"tokens": 1}})).await.expect(200);
    app.post(&path, Some(&ada), json!({"question": "stance"})).await.expect(409);
}
