//! The OpenAPI document: committed, complete, and true of real answers and frames.

use std::collections::BTreeSet;

use psyche_core::event::Payload;
use psyche_core::permission::Permission;
use psyche_core::port::Role;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp};

fn document() -> Value {
    serde_json::to_value(psyche_server::openapi()).unwrap()
}

#[test]
fn the_committed_document_is_fresh() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json")).unwrap();
    let fresh = psyche_server::openapi().to_pretty_json().unwrap() + "\n";
    assert!(committed == fresh, "openapi.json is stale: run `cargo xtask codegen`");
}

#[test]
fn every_route_is_described_with_its_right_and_its_failures() {
    let document = document();
    for (method, path, permission) in psyche_server::permission_table() {
        let viewers = path.starts_with("/api/viewers")
            || ["/api/docs", "/api/redoc", "/api/openapi.json"].contains(&path.as_str());
        if viewers || ["/health", "/live", "/ready"].contains(&path.as_str()) {
            continue;
        }
        let operation = &document["paths"][&path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not described");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["500", "503"] {
            assert!(responses.contains_key(status), "{method} {path}: {status}");
        }
        assert_eq!(
            permission != Permission::Public,
            responses.contains_key("401") && operation.get("security").is_some(),
            "{method} {path}"
        );
        if operation.get("requestBody").is_some() {
            for status in ["400", "413", "415", "422"] {
                assert!(responses.contains_key(status), "{method} {path}: {status}");
            }
        }
    }
}

#[test]
fn every_event_type_and_reference_exists() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is referred to and missing");
    }
    let described = document["components"]["schemas"]["StoredEvent"].to_string();
    for kind in Payload::KINDS {
        assert!(described.contains(&format!("\"{kind}\"")), "{kind} is not described");
    }
}

/// Holds a value against a schema: types, required fields, no field that is not described.
struct Checker<'a> {
    document: &'a Value,
}

impl Checker<'_> {
    fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let name = reference.rsplit('/').next().unwrap();
                self.resolve(&self.document["components"]["schemas"][name])
            }
            None => schema,
        }
    }

    /// The first thing that is wrong.
    fn fault(&self, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let schema = self.resolve(schema);
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema.get(key).and_then(Value::as_array) {
                let faults: Vec<_> = choices.iter().map(|choice| self.fault(choice, value, at)).collect();
                return if faults.iter().any(Option::is_none) { None } else { Some(format!("{at}: {faults:?}")) };
            }
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            return (!allowed.contains(value)).then(|| format!("{at}: {value} is not one of {allowed:?}"));
        }
        let (properties, required) = self.fields(schema);
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ if !properties.is_empty() => vec!["object"],
            _ => return None,
        };
        let actual = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Number(n) if n.is_f64() => "number",
            Value::Number(_) => "integer",
        };
        if !(types.contains(&actual) || actual == "integer" && types.contains(&"number")) {
            return Some(format!("{at}: is {actual}, described as {types:?}"));
        }
        if let Value::Array(items) = value {
            return items
                .iter()
                .enumerate()
                .find_map(|(i, item)| self.fault(&schema["items"], item, &format!("{at}[{i}]")));
        }
        let Value::Object(fields) = value else { return None };
        if let Some(missing) = required.iter().find(|name| !fields.contains_key(**name)) {
            return Some(format!("{at}: {missing} is missing"));
        }
        let free = schema.get("additionalProperties").or_else(|| (properties.is_empty()).then_some(&Value::Null));
        fields.iter().find_map(|(name, field)| match properties.iter().find(|(n, _)| *n == name) {
            Some((_, schema)) => self.fault(schema, field, &format!("{at}.{name}")),
            None => match free {
                Some(Value::Object(rest)) => self.fault(&Value::Object(rest.clone()), field, &format!("{at}.{name}")),
                Some(_) => None,
                None => Some(format!("{at}: {name} is not described")),
            },
        })
    }

    /// Properties and required names, those of `allOf` with them.
    fn fields<'s>(&'s self, schema: &'s Value) -> (Vec<(&'s String, &'s Value)>, BTreeSet<&'s str>) {
        let mut properties: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        let mut required: BTreeSet<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let (more, needed) = self.fields(self.resolve(part));
            properties.extend(more);
            required.extend(needed);
        }
        (properties, required)
    }

    #[track_caller]
    fn check(&self, name: &str, value: &Value) {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        if let Some(fault) = self.fault(&schema, value, name) {
            panic!("{fault}\n{value:#}");
        }
    }

    /// A stored frame: the envelope's own fields, and one of the described events.
    #[track_caller]
    fn check_stored(&self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        let variants = self.document["components"]["schemas"]["StoredEvent"]["oneOf"].as_array().unwrap();
        let marker = format!("\"{kind}\"");
        let names = |v: &&Value| {
            self.fields(self.resolve(v)).0.iter().any(|(n, s)| *n == "type" && s.to_string().contains(&marker))
        };
        let variant = variants.iter().find(names).unwrap_or_else(|| panic!("{kind} is not described"));
        let mut event = frame.clone();
        for field in ["session_id", "gen", "seq", "prev", "timestamp"] {
            assert!(event.as_object_mut().unwrap().remove(field).is_some(), "{field} is missing: {frame}");
        }
        if let Some(fault) = self.fault(variant, &event, kind) {
            panic!("{fault}\n{frame:#}");
        }
    }
}

#[tokio::test]
async fn real_answers_and_frames_are_as_described() {
    let document = document();
    let checker = Checker { document: &document };
    let app = TestApp::start().await;
    let root = app.person("root", Role::Admin).await;
    checker.check(
        "TokenAnswer",
        &app.post("/auth/login", None, json!({"username": "root", "password": PASSWORD})).await.expect(200),
    );
    checker.check("ErrorEnvelope", &app.get("/sessions?limit=0", Some(&root)).await.expect(422));
    checker.check("Profile", &app.get("/auth/me", Some(&root)).await.expect(200));
    checker.check("User", &app.get(&format!("/users/{}", root.id), Some(&root)).await.expect(200));
    checker.check("Cast", &app.get("/casts/jungian", Some(&root)).await.expect(200));
    checker.check("Model", &app.get("/models", Some(&root)).await.expect(200)["items"][0]);
    checker.check("ModelTest", &app.post("/models/scripted/test", Some(&root), json!({})).await.expect(200));
    checker.check("Health", &app.get("/health", Some(&root)).await.expect(200));
    checker.check("SystemStatus", &app.get("/system/status", Some(&root)).await.expect(200));
    checker.check("Statistics", &app.get("/system/statistics", Some(&root)).await.expect(200));

    let id = app.session(&root, 2).await;
    let mut socket = app.watch(&root, &id, json!({})).await;
    let start = json!({"type": "agent_command", "id": "go", "command": "start"});
    socket.say(start.clone()).await;
    socket.say(json!({"type": "agent_command", "id": "x", "command": "reset"})).await;
    let mut frames = socket.until(|f| f["type"] == "session_status" && f["reason"] == "max_rounds").await;
    frames.extend(socket.until(|f| f["type"] == "system_status").await);
    app.patch(&format!("/sessions/{id}"), Some(&root), json!({"name": "x", "situation": "y"})).await.expect(200);
    app.post(&format!("/sessions/{id}/annotations"), Some(&root), json!({"seq": 1, "text": "x"})).await.expect(201);
    socket
        .say(json!({"type": "agent_command", "id": "s", "command": "inject_stimulus", "args": {"kind": "random"}}))
        .await;
    frames.extend(socket.until(|f| f["type"] == "ack" && f["id"] == "s").await);
    let mut kinds = BTreeSet::new();
    for frame in frames.iter().chain(&app.events(&root, &id).await) {
        kinds.insert(frame["type"].as_str().unwrap().to_owned());
        if frame.get("prev").is_some() {
            checker.check_stored(frame);
        } else {
            checker.check("ControlFrame", frame);
        }
    }
    for needed in [
        "snapshot",
        "ack",
        "presence",
        "system_status",
        "delta",
        "agent_message",
        "turn_committed",
        "health_update",
        "network_update",
        "annotation",
        "settings_changed",
        "stimulus_injected",
    ] {
        assert!(kinds.contains(needed), "{needed} was not seen: {kinds:?}");
    }
    checker.check("Session", &app.get(&format!("/sessions/{id}"), Some(&root)).await.expect(200));
    checker.check("State", &app.get(&format!("/sessions/{id}/state"), Some(&root)).await.expect(200));
    checker.check("Analysis", &app.get(&format!("/sessions/{id}/analysis"), Some(&root)).await.expect(200));
    let path = format!("/sessions/{id}/analysis/judge");
    let judged = app.post(&path, Some(&root), json!({"question": "sentiment"})).await;
    checker.check("Judgement", &judged.expect(200));
    checker.check("SelfTests", &app.get("/analysis/self-test", Some(&root)).await.expect(200));
    let begun = app.post("/analysis/history", Some(&root), json!({})).await.expect(202);
    checker.check("HistoryJob", &begun);
    let seq = frames.iter().find(|f| f["type"] == "agent_message").unwrap()["seq"].clone();
    checker.check(
        "UtteranceContext",
        &app.get(&format!("/sessions/{id}/utterances/{seq}/context"), Some(&root)).await.expect(200),
    );
}
