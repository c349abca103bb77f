//! The API's document and two viewers of it. Their files are ours; nothing is loaded from elsewhere.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use crate::app::Shared;
use crate::error::{Answer, ApiError};
use crate::web_files::{accepts, content_type};

/// Gzip files of swagger-ui-dist and redoc, with their licences; see `assets/README.md`.
#[derive(RustEmbed)]
#[folder = "assets"]
struct Viewers;

/// The viewers style elements at run time and one of them uses a worker from a blob; scripts stay ours.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     font-src 'self'; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action 'self'";

const SWAGGER: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>psyche API</title>\n<link rel=\"stylesheet\" href=\"/api/viewers/swagger-ui.css\"></head>\n<body><div id=\"viewer\"></div>\n<script src=\"/api/viewers/swagger-ui-bundle.js\"></script><script src=\"/api/viewers/swagger-init.js\"></script></body></html>\n";

const REDOC: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>psyche API</title></head>\n<body><div id=\"viewer\"></div>\n<script src=\"/api/viewers/redoc.standalone.js\"></script><script src=\"/api/viewers/redoc-init.js\"></script></body></html>\n";

pub async fn document(State(app): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.document.clone()).into_response()
}

pub async fn swagger() -> Response {
    page(SWAGGER)
}

pub async fn redoc() -> Response {
    page(REDOC)
}

fn page(html: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CSP),
    ];
    (headers, html).into_response()
}

/// A viewer's file. The large ones are stored compressed only; every browser takes gzip.
pub async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Answer<Response> {
    let cache = (header::CACHE_CONTROL, "public, max-age=3600");
    let kind = (header::CONTENT_TYPE, content_type(&file));
    if let Some(plain) = Viewers::get(&file).filter(|_| matches!(file.rsplit('.').next(), Some("js" | "css"))) {
        return Ok(([cache, kind], plain.data.into_owned()).into_response());
    }
    let packed = Viewers::get(&format!("{file}.gz")).ok_or_else(ApiError::not_found)?;
    if !accepts(&headers, "gzip") {
        return Err(ApiError::new(crate::error::ErrorKind::BadRequest, "This file is sent with gzip only."));
    }
    Ok(([cache, kind, (header::CONTENT_ENCODING, "gzip")], packed.data.into_owned()).into_response())
}
