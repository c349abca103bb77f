//! Which pages may open sockets or use the cookie: those we served ourselves, by exact match (WEB-03).

use axum::http::{HeaderMap, header};

use crate::options::ServerOptions;

/// Without an Origin the client is no browser page, and brings its own token.
pub fn is_ours(options: &ServerOptions, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if options.cors_allowed_origins.iter().any(|o| o == origin && o != "null") {
        return true;
    }
    if let Some(public) = &options.public_url {
        return origin == public_origin(public);
    }
    // A page reached under a foreign name must not talk to us: that name may have been pointed here (DNS rebinding).
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let same = origin == format!("https://{host}") || (options.tls.is_none() && origin == format!("http://{host}"));
    same && is_trusted(options, host)
}

/// Scheme, host and port of a URL.
fn public_origin(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    &url[..end]
}

fn is_trusted(options: &ServerOptions, host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok()
        || options.trusted_hosts.iter().any(|trusted| trusted == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let plain = ServerOptions::new("t", vec![]);
        let public = ServerOptions { public_url: Some("https://psyche.example/base".into()), ..plain.clone() };
        let named = ServerOptions { trusted_hosts: vec!["lab".into()], ..plain.clone() };
        let cors = ServerOptions { cors_allowed_origins: vec!["https://other.example".into()], ..plain.clone() };
        let cases = [
            (&plain, None, "127.0.0.1:8080", true),
            (&plain, Some("http://127.0.0.1:8080"), "127.0.0.1:8080", true),
            (&plain, Some("http://[::1]:8080"), "[::1]:8080", true),
            (&plain, Some("http://localhost:5173"), "127.0.0.1:8080", false),
            (&plain, Some("http://127.0.0.1:8081"), "127.0.0.1:8080", false),
            (&plain, Some("http://evil.example:8080"), "evil.example:8080", false),
            (&plain, Some("null"), "127.0.0.1:8080", false),
            (&named, Some("http://lab:8080"), "lab:8080", true),
            (&public, Some("https://psyche.example"), "psyche.example", true),
            (&public, Some("http://127.0.0.1:8080"), "127.0.0.1:8080", false),
            (&cors, Some("https://other.example"), "127.0.0.1:8080", true),
            (&cors, Some("https://other.example.evil"), "127.0.0.1:8080", false),
        ];
        for (options, origin, host, fine) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_ours(options, &headers), fine, "{origin:?} at {host}");
        }
    }
}
