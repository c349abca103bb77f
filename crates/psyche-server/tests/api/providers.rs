//! SEC-01 and SSRF-01: models that admins define while the program runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use psyche_core::TenantId;
use psyche_core::port::{Directory as _, LanguageModel, ModelCatalog, ProviderDefinition, Role};
use psyche_llm::registry::{Deps, Models};
use serde_json::{Value, json};

use crate::support::TestApp;

#[path = "../../../psyche-llm/src/testing/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests of models need more of it")]
mod testing;

use testing::{Behaviour, FixedClock, MockServer};

/// The real registry, which remembers the keys it was given.
struct Catalog(Models, Mutex<Vec<Option<String>>>);

impl ModelCatalog for Catalog {
    fn model(&self, id: &str) -> Option<Arc<dyn LanguageModel>> {
        self.0.get(id)
    }
    fn models(&self) -> Vec<Arc<dyn LanguageModel>> {
        self.0.list()
    }
    fn default_model(&self) -> &str {
        self.0.default_id()
    }
    fn check(&self, id: &str, definition: &ProviderDefinition, key: Option<&str>) -> Result<(), String> {
        self.0.check(id, definition, key)
    }
    fn define(&self, id: &str, definition: &ProviderDefinition, key: Option<&str>) -> Result<(), String> {
        self.1.lock().unwrap().push(key.map(str::to_owned));
        self.0.define(id, definition, key)
    }
    fn remove(&self, id: &str) {
        self.0.remove(id);
    }
}

fn catalog(hosts: &[&str]) -> Arc<Catalog> {
    let deps = Deps {
        clock: Arc::new(FixedClock::default()),
        models_dir: "no/such/dir".into(),
        resolver: None,
        provider_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
    };
    Arc::new(Catalog(Models::from_config(BTreeMap::new(), Some("scripted"), &deps).unwrap(), Mutex::default()))
}

fn draft(base_url: &str) -> Value {
    json!({"base_url": base_url, "model": "small", "price": {"input": 1.0, "output": 2.0}})
}

fn with(mut draft: Value, key: &Value) -> Value {
    draft["api_key"] = key.clone();
    draft
}

#[tokio::test]
async fn a_key_is_written_bound_to_its_address_and_never_shown() {
    const KEY: &str = "sk-canary-key";
    let catalog = catalog(&[]);
    let app = TestApp::with_models(catalog.clone()).await;
    let root = app.person("root", Role::Admin).await;
    let put = async |body: Value| {
        let view = app.put("/providers/cloud", Some(&root), body).await.expect(200);
        (view["has_key"].as_bool().unwrap(), catalog.1.lock().unwrap().last().cloned().unwrap())
    };
    let kept = || (true, Some(KEY.to_owned()));
    assert_eq!(put(with(draft("https://a.example/v1"), &json!(KEY))).await, kept());
    assert_eq!(put(draft("https://a.example/v1")).await, kept(), "left alone, it stays");
    assert_eq!(put(draft("https://b.example/v1")).await, (false, None), "another address never gets it");
    assert_eq!(put(draft("https://a.example/v1")).await, (false, None), "and it does not come back");
    assert_eq!(put(with(draft("https://a.example/v1"), &json!(KEY))).await, kept());
    assert_eq!(put(with(draft("https://a.example/v1"), &Value::Null)).await, (false, None));
    assert_eq!(put(with(draft("https://a.example/v1"), &json!(KEY))).await, kept());

    let everything = [
        app.get("/providers", Some(&root)).await.text,
        app.get("/models", Some(&root)).await.text,
        app.get("/audit?limit=200", Some(&root)).await.text,
    ];
    assert!(everything.iter().all(|text| text.contains("cloud") && !text.contains(KEY)), "{everything:?}");
    assert!(everything[2].contains("system.config.changed"));
    // What was put is what is kept, for the next start.
    let sealed = app.store.sealed(TenantId::DEFAULT, "provider").await.unwrap();
    assert!(String::from_utf8_lossy(&sealed[0].1).contains(KEY));
    let fresh = self::catalog(&[]);
    psyche_server::define_stored(app.store.as_ref(), fresh.as_ref()).await.unwrap();
    assert_eq!(fresh.model("cloud").unwrap().card().price.output, 2.0);
    assert_eq!(fresh.1.lock().unwrap().clone(), [Some(KEY.to_owned())]);

    app.delete("/providers/cloud", Some(&root)).await.expect(204);
    app.delete("/providers/cloud", Some(&root)).await.expect(404);
    assert!(catalog.model("cloud").is_none());
    assert_eq!(app.store.sealed(TenantId::DEFAULT, "provider").await.unwrap(), []);
}

#[tokio::test]
async fn a_model_defined_now_speaks_now() {
    let server = MockServer::start(vec![Behaviour::speaks("I am here.")]).await.unwrap();
    let base_url = server.config().base_url.unwrap();
    let host = base_url.split("//").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let app = TestApp::with_models(catalog(&[&host])).await;
    let root = app.person("root", Role::Admin).await;
    let ada = app.person("ada", Role::Researcher).await;
    app.put("/providers/here", Some(&root), draft(&base_url)).await.expect(200);
    let test = app.post("/models/here/test", Some(&ada), json!({})).await.expect(200);
    assert_eq!((&test["ok"], &test["text"]), (&json!(true), &json!("I am here.")));
    let body = json!({"session_type": "single_user", "model": "here"});
    app.post("/sessions", Some(&ada), body).await.expect(201);
}

#[tokio::test]
async fn addresses_are_judged_as_in_the_configuration_file() {
    let app = TestApp::with_models(catalog(&["127.0.0.1:1"])).await;
    let root = app.person("root", Role::Admin).await;
    let ada = app.person("ada", Role::Researcher).await;
    for base_url in [
        "http://169.254.169.254/latest",
        "https://169.254.169.254/v1",
        "https://10.0.0.1/v1",
        "https://[::1]/v1",
        "http://internal.example/v1",
        "http://127.0.0.1:2/v1",
        "file:///etc/passwd",
        "https://user:secret-word@h/v1",
        "nonsense",
    ] {
        let refused = app.put("/providers/p", Some(&root), draft(base_url)).await.expect(422);
        assert_eq!(refused["error"]["details"][0]["field"], "base_url", "{refused}");
        assert!(!refused.to_string().contains("secret-word"), "{refused}");
    }
    for (change, field) in [
        (json!({"model": " "}), "model"),
        (json!({"api_key": "a\nb"}), "api_key"),
        (json!({"price": {"input": -1.0, "output": 0.0}}), "price"),
        (json!({"price": [1.0, 2.0]}), "price"),
        (json!({"context": 0}), "context"),
        (json!({"allow_http_hosts": ["10.0.0.1"]}), "allow_http_hosts"),
        (json!({"path": "/etc/passwd"}), "path"),
    ] {
        let mut body = draft("https://h/v1");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = app.put("/providers/p", Some(&root), body).await.expect(422);
        assert_eq!(refused["error"]["details"][0]["field"], field, "{refused}");
    }
    app.put("/providers/a%20b", Some(&root), draft("https://h/v1")).await.expect(422);
    // Those of the configuration file are shown, and stay as they are.
    app.put("/providers/scripted", Some(&root), draft("https://h/v1")).await.expect(422);
    app.delete("/providers/scripted", Some(&root)).await.expect(409);
    let all = app.get("/providers", Some(&root)).await.expect(200);
    assert!(all["items"].as_array().unwrap().iter().all(|p| p["source"] == "configuration" && p["has_key"] == false));
    // Only `system:config` sees and defines them.
    app.get("/providers", Some(&ada)).await.expect(403);
    app.put("/providers/p", Some(&ada), draft("https://h/v1")).await.expect(403);
    app.delete("/providers/scripted", Some(&ada)).await.expect(403);
}
