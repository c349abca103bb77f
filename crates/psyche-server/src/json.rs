//! Strict reading of bodies and queries: what is wrong is named by field, what was sent is never repeated.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query as AxumQuery, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use psyche_core::objects::Objects;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::Shared;
use crate::error::{Answer, ApiError, Detail, ErrorKind};

pub const API_BODY: usize = 1 << 20;
/// How deep a body may be nested (LIM-01).
const DEPTH: usize = 64;
pub const SIGN_IN_BODY: usize = 16 << 10;

/// A JSON body of at most `MAX` bytes, and a JSON answer.
#[derive(Debug)]
pub struct Json<T, const MAX: usize = API_BODY>(pub T);

/// For sign-in and everything near it.
pub type SmallJson<T> = Json<T, SIGN_IN_BODY>;

impl<T: DeserializeOwned, const MAX: usize> FromRequest<Shared> for Json<T, MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Answer<Self> {
        if media_type(request.headers()) != Some("application/json") {
            return Err(ApiError::new(ErrorKind::UnsupportedMediaType, "Send `Content-Type: application/json`."));
        }
        let bytes = read_body(request.into_body(), MAX, app.options.limits.body_timeout).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize, const MAX: usize> IntoResponse for Json<T, MAX> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The content type without its parameters.
pub fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}

pub async fn read_body(body: Body, max: usize, timeout: Duration) -> Answer<Bytes> {
    match tokio::time::timeout(timeout, axum::body::to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => {
            Err(ApiError::new(ErrorKind::PayloadTooLarge, format!("The body has more than {max} bytes.")))
        }
        Ok(Err(_)) => Err(ApiError::new(ErrorKind::BadRequest, "The body could not be read to its end.")),
        Err(_) => Err(ApiError::new(ErrorKind::BadRequest, "The body did not arrive in time.")),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}

/// Malformed JSON is 400, wrong types, values and fields are 422.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    if is_too_deep(bytes) {
        let message = format!("The body is nested more than {DEPTH} levels deep.");
        return Err(ApiError::new(ErrorKind::BadRequest, message));
    }
    let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Objects(&mut reader)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // It calls some wrong values, such as `null` for a name, breaks of the syntax.
        if inner.is_data() || is_json().is_ok() {
            ApiError::invalid_fields(vec![detail(&path, &inner.to_string())])
        } else {
            malformed(&inner)
        }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Whether brackets are nested deeper than [`DEPTH`]. What is within strings does not count.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return true;
        }
    }
    false
}

fn malformed(error: &serde_json::Error) -> ApiError {
    let place = format!("The body is not JSON: it breaks at line {}, column {}.", error.line(), error.column());
    ApiError::new(ErrorKind::BadRequest, place)
}

/// A parser's complaint as a detail. Parsers quote what they met; only what they expected is passed on.
fn detail(path: &str, complaint: &str) -> Detail {
    let quoted = complaint.split('`').nth(1);
    let (name, message) = if complaint.starts_with("missing field") {
        (quoted, "is needed".to_owned())
    } else if complaint.starts_with("unknown field") {
        // serde_path_to_error has put the unknown field's name into the path already.
        (None, "is not known here".to_owned())
    } else if complaint.starts_with("duplicate field") {
        (quoted, "is given twice".to_owned())
    } else {
        let expected = complaint.rsplit_once(", expected ").map(|(_, e)| e.split(" at line ").next().unwrap_or(e));
        // The library names the struct it wanted; people know objects.
        let expected = expected.map(|e| if e.starts_with("struct ") { "an object" } else { e });
        (None, expected.map_or_else(|| "has the wrong form".to_owned(), |e| format!("must be {e}")))
    };
    let path = if path == "." { "" } else { path };
    let field = match (path, name) {
        ("", Some(name)) => name.to_owned(),
        ("", None) => "body".to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    };
    Detail { field, message, line: None }
}

/// Query parameters; wrong ones are 422.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        match AxumQuery::<T>::try_from_uri(&parts.uri) {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(rejection) => {
                let source = std::error::Error::source(&rejection).map(ToString::to_string).unwrap_or_default();
                // One that is missing is named by the complaint alone.
                let nameless = if source.contains('`') { "" } else { "query" };
                let (field, complaint) = source.split_once(": ").unwrap_or((nameless, source.as_str()));
                Err(ApiError::invalid_fields(vec![detail(field, complaint)]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Body {
        name: String,
        inner: Option<Inner>,
    }
    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is tested")]
    struct Inner {
        count: u8,
    }

    #[test]
    fn faults_are_named_and_never_repeat_what_was_sent() {
        let cases = [
            (r#"{"name":"x","inner":{"count":"secret-word"}}"#, "inner.count", "must be u8"),
            (r#"{"name":"x","inner":{}}"#, "inner.count", "is needed"),
            (r#"{"name":"x","inner":{"count":1,"more":2}}"#, "inner.more", "is not known here"),
            (r#"{"inner":null}"#, "name", "is needed"),
            (r#"{"name":"x","extra":1}"#, "extra", "is not known here"),
            (r#"["secret-word"]"#, "body", "must be an object"),
            (r#"{"name":"x","inner":["secret-word"]}"#, "inner", "must be an object"),
            (r#"{"name":"x","inner":{"count":1e400}}"#, "inner.count", "has the wrong form"),
            (r#"{"name":"x","name":"secret-word"}"#, "name", "is given twice"),
        ];
        for (body, field, message) in cases {
            let error = parse::<Body>(body.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid, "{body}");
            let shown = format!("{:?} {}", error.details, error.message);
            assert!(!shown.contains("secret"), "{shown}");
            if !body.contains("1e400") {
                assert_eq!((error.details[0].field.as_str(), error.details[0].message.as_str()), (field, message));
            }
        }
        let deep = format!("{{\"name\":{}1{}}}", "[".repeat(64), "]".repeat(64));
        for body in ["", "{", "{\"name\":\"x\"} trailing", "nonsense", &deep] {
            assert_eq!(parse::<Body>(body.as_bytes()).unwrap_err().kind, ErrorKind::BadRequest, "{body}");
        }
    }
}
