//! The OpenAPI 3.1 document: operations from the handlers, failures and rights from the permission table, frames of
//! the sockets as component schemas.

use psyche_core::permission::Permission;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{OpenApi as _, openapi};

use crate::envelope::ErrorEnvelope;
use crate::live::ClientMessage;
use crate::routes;
use crate::schema;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "psyche", license(name = "Apache-2.0", identifier = "Apache-2.0"),
        description = "Minds that talk: sessions, their events, and the people who watch them. Sockets live at `/ws/{session_id}` and `/ws/system` (sub-protocol `psyche.v1`); `ClientMessage` and `ServerFrame` describe what is said there."),
    components(schemas(ErrorEnvelope, ClientMessage, schema::frames::ServerFrame)),
    tags(
        (name = "health"), (name = "identity"), (name = "users"), (name = "casts"), (name = "models"),
        (name = "sessions"), (name = "live"), (name = "system")
    )
)]
struct Base;

/// The whole document.
pub fn openapi() -> OpenApi {
    let (_, operations, rows) = routes::all().split();
    complete(operations, &rows)
}

/// Completes the operations of a router.
pub fn complete(operations: openapi::OpenApi, rows: &[routes::Row]) -> OpenApi {
    let mut document = Base::openapi();
    // The crate's version changes with releases; clients ask the server for it.
    document.info.version = "1".to_owned();
    document.merge(operations);
    let Ok(mut value) = serde_json::to_value(&document) else { return document };
    let rights = routes::by_operation(rows);
    if let Some(paths) = value["paths"].as_object_mut() {
        for (path, item) in paths {
            let Some(item) = item.as_object_mut() else { continue };
            for (method, operation) in item {
                let permission = rights.get(&(path.clone(), method.clone())).copied();
                describe_failures(path, operation, permission.unwrap_or(Permission::Public));
            }
        }
    }
    value["components"]["securitySchemes"] =
        json!({"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}});
    serde_json::from_value(value).unwrap_or(document)
}

/// Which failures a call can answer with follows from what it takes and needs.
fn describe_failures(path: &str, operation: &mut Value, permission: Permission) {
    let Some(operation) = operation.as_object_mut() else { return };
    let mut failures =
        vec![("500", "The server failed."), ("503", "A dependency is away; `Retry-After` says when to try again.")];
    let has_body = operation.contains_key("requestBody");
    if has_body {
        failures.extend([
            ("400", "The body is not JSON."),
            ("413", "The body is too large."),
            ("415", "The content type is not accepted."),
        ]);
    }
    if has_body || operation.contains_key("parameters") {
        failures.push(("422", "Some values cannot be accepted; `details` names them."));
    }
    if permission != Permission::Public {
        operation.insert("security".to_owned(), json!([{"bearer": []}]));
        operation.insert("x-permission".to_owned(), json!(permission));
        failures.extend([("401", "Not signed in, or not any more."), ("403", "Not allowed.")]);
    }
    if path.contains('{') {
        failures.push(("404", "There is nothing here, or nothing you may see."));
    }
    if permission.concerns_a_session() {
        failures.push(("409", "The session's status forbids it now."));
        failures.push(("429", "Too much at once."));
    }
    let responses = operation.entry("responses").or_insert_with(|| Value::Object(Map::new()));
    if let Some(responses) = responses.as_object_mut() {
        for (status, description) in failures {
            let known = responses.get(status).and_then(|r| r["description"].as_str()).filter(|d| !d.is_empty());
            let has_content = responses.get(status).is_some_and(|r| r.get("content").is_some());
            if has_content {
                continue;
            }
            let answer = json!({
                "description": known.unwrap_or(description),
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorEnvelope"}}},
            });
            responses.insert(status.to_owned(), answer);
        }
    }
}
