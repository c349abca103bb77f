//! The OpenAPI 3.1 document: operations from the handlers, failures and rights from the permission table, frames of
//! the sockets as component schemas.

use psyche_core::permission::Permission;
use utoipa::OpenApi as _;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder, Schema};

use crate::envelope::ErrorEnvelope;
use crate::live::ClientMessage;
use crate::routes;
use crate::schema;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "psyche", license(name = "Apache-2.0", identifier = "Apache-2.0"),
        description = "Minds that talk: sessions, their events, and the people who watch them. Sockets live at `/ws/{session_id}` and `/ws/system` (sub-protocol `psyche.v1`); `ClientMessage` and `ServerFrame` describe what is said there."),
    components(schemas(ErrorEnvelope, ClientMessage, schema::frames::ServerFrame, schema::AuditOrder, schema::Severity, schema::ExportFormat)),
    tags(
        (name = "health"), (name = "identity"), (name = "users"), (name = "casts"), (name = "models"),
        (name = "sessions"), (name = "analysis"), (name = "live"), (name = "system"), (name = "security")
    )
)]
struct Base;

/// The whole document.
pub fn openapi() -> OpenApi {
    let (_, operations, rows) = routes::all().split();
    complete(operations, &rows)
}

/// Completes the operations of a router.
pub fn complete(operations: OpenApi, rows: &[routes::Row]) -> OpenApi {
    let mut document = Base::openapi();
    // The crate's version changes with releases; clients ask the server for it.
    "1".clone_into(&mut document.info.version);
    document.merge(operations);
    let rights = routes::by_operation(rows);
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
                let permission = rights.get(&(path.clone(), method.to_owned())).copied();
                widen(operation);
                describe_failures(path, operation, permission.unwrap_or(Permission::Public));
            }
        }
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}

/// Unsigned parameters get the formats of signed ones, which hold half as much.
fn widen(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            && schema.minimum.is_some()
        {
            schema.format = None;
        }
    }
}

/// A name for generated clients, unique as method and path are: `get_sessions_session_id_state`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(['/', '{', '}', '-', '.']).filter(|w| !matches!(*w, "" | "api" | "v1"));
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// Which failures a call can answer with follows from what it takes and needs.
fn describe_failures(path: &str, operation: &mut Operation, permission: Permission) {
    let mut failures = vec![
        ("403", "Not allowed; or the address failed to sign in too often and is blocked for a while."),
        ("429", "Too much at once; `Retry-After` says when to try again."),
        ("500", "The server failed."),
        ("503", "A dependency is away; `Retry-After` says when to try again."),
    ];
    let has_body = operation.request_body.is_some();
    if has_body {
        failures.extend([
            ("400", "The body is not JSON."),
            ("413", "The body is too large."),
            ("415", "The content type is not accepted."),
        ]);
    }
    if has_body || operation.parameters.is_some() {
        failures.push(("422", "Some values cannot be accepted; `details` names them."));
    }
    if permission != Permission::Public {
        operation.security = Some(vec![SecurityRequirement::new("bearer", [""; 0])]);
        operation.extensions = Some(ExtensionsBuilder::new().add("x-permission", permission_name(permission)).build());
        failures.push(("401", "Not signed in, or not any more."));
    }
    if path.contains('{') {
        failures.push(("404", "There is nothing here, or nothing you may see."));
    }
    if permission.concerns_a_session() {
        failures.push(("409", "The session's status forbids it now."));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in failures {
        let known = match responses.get(status) {
            // This answer has a body of its own.
            Some(RefOr::T(known)) if !known.content.is_empty() => continue,
            Some(RefOr::T(known)) if !known.description.is_empty() => known.description.clone(),
            _ => description.to_owned(),
        };
        let envelope = Content::new(Some(Ref::from_schema_name("ErrorEnvelope")));
        let answer = ResponseBuilder::new().description(known).content("application/json", envelope).build();
        responses.insert(status.to_owned(), answer.into());
    }
    // What a handler said of other failures wears the envelope too.
    for (status, answer) in responses.iter_mut() {
        if let RefOr::T(answer) = answer
            && status.starts_with(['4', '5'])
            && answer.content.is_empty()
        {
            let envelope = Content::new(Some(Ref::from_schema_name("ErrorEnvelope")));
            answer.content.insert("application/json".to_owned(), RefOr::T(envelope));
        }
    }
}

fn permission_name(permission: Permission) -> serde_json::Value {
    serde_json::to_value(permission).unwrap_or_default()
}
