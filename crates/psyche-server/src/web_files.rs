//! The web app, embedded: pre-compressed files, validators, and `index.html` for every page of the app.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::{ApiError, ErrorKind};

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>psyche</title>\n<h1>The web app is not built</h1>\n<p>The server works, but it was built without its pages. Run <code>make web</code> in the project, then build and start the server again.</p>\n<p>The API is described at <a href=\"/api/docs\">/api/docs</a>.</p>\n</html>\n";

/// Everything that is no route: a file, a page of the app, or nothing.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let reserved = ["api", "ws", "metrics"].iter().any(|r| path == *r || path.starts_with(&format!("{r}/")));
    if reserved {
        return ApiError::not_found().into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let message = "Pages are read with GET.";
        return ApiError::new(ErrorKind::MethodNotAllowed, message).into_response();
    }
    if let Some(response) = file(path, request.headers()) {
        return response;
    }
    // A missing file is missing; a missing page is one the app knows.
    if path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return ApiError::not_found().into_response();
    }
    file("index.html", request.headers()).unwrap_or_else(not_built)
}

fn not_built() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, NOT_BUILT).into_response()
}

fn file(path: &str, asked: &HeaderMap) -> Option<Response> {
    if path.is_empty() || matches!(path.rsplit('.').next(), Some("br" | "gz")) {
        return None;
    }
    let original = Dist::get(path)?;
    let (encoding, served) = compressed(path, asked).unwrap_or((None, original));
    Some(answer(path, encoding, served, asked))
}

/// The best variant the client takes.
fn compressed(path: &str, asked: &HeaderMap) -> Option<(Option<&'static str>, EmbeddedFile)> {
    [("br", "br"), ("gz", "gzip")].into_iter().find_map(|(suffix, encoding)| {
        let wanted = accepts(asked, encoding);
        let file = wanted.then(|| Dist::get(&format!("{path}.{suffix}"))).flatten()?;
        Some((Some(encoding), file))
    })
}

/// Whether `Accept-Encoding` names the encoding without refusing it.
pub fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|part| {
        let mut pieces = part.split(';').map(str::trim);
        pieces.next() == Some(encoding) && !pieces.any(|q| matches!(q, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn answer(path: &str, encoding: Option<&'static str>, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let unchanged = asked.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        axum::body::Body::from(file.data.into_owned()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    // The web build puts a hash of the content into these names.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

pub fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
