//! Which addresses a model server may have.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::dns::Resolve;
use reqwest::{Client, Url, redirect, retry};

use super::dial::{self, Public};

/// Finds the addresses of a host name, at the moment of dialling.
///
/// Without one the system's resolver answers, and what is not of the public internet is dialled for listed hosts alone.
/// Host names that are addresses already do not pass through a resolver; they are judged with the URL.
pub type Resolver = Arc<dyn Resolve>;

/// The chat-completions address under `base_url`: https, or http where the operator listed the host.
pub fn endpoint(base_url: &str, allow_http_hosts: &[String]) -> Result<Url, String> {
    let url = Url::parse(base_url.trim()).map_err(|e| {
        format!("`base_url` is not an address ({e}): expected something like https://api.example.com/v1")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`base_url` holds a name or password: put the key into `api_key`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`base_url` ends in a query or fragment: give the path alone, such as https://host/v1".to_owned());
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err("`base_url` names no host: expected something like https://api.example.com/v1".to_owned());
    };
    let listed = is_listed(host, url.port_or_known_default(), allow_http_hosts);
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if let Some(why) = literal.ok().and_then(dial::refusal).filter(|_| !listed && url.scheme() == "https") {
        return Err(format!(
            "`base_url` leads to {host}, {why}: if you trust it, say so with allow_http_hosts = [\"{host}\"]"
        ));
    }
    match url.scheme() {
        "https" => {}
        "http" if listed => {}
        "http" => {
            return Err(format!(
                "`base_url` is plain http: use https, or trust the way to this host with allow_http_hosts = [\"{host}\"]"
            ));
        }
        other => return Err(format!("`base_url` has the scheme {other:?}: expected https")),
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/chat/completions").unwrap_or(path);
    let full = format!("{path}/chat/completions");
    let mut url = url;
    url.set_path(&full);
    Ok(url)
}

/// A listed host may carry its port.
pub fn is_listed(host: &str, port: Option<u16>, listed: &[String]) -> bool {
    let bare = |host: &str| host.trim().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let with_port = port.map(|port| format!("{host}:{port}").to_ascii_lowercase());
    listed.iter().any(|entry| bare(entry) == bare(host) || Some(entry.trim().to_ascii_lowercase()) == with_port)
}

/// A client for one server: no redirects, no proxies from the environment, no retries of its own.
pub fn client(url: &Url, allow_http_hosts: &[String], resolver: Option<Resolver>) -> Result<Client, String> {
    let is_https = url.scheme() == "https";
    let listed = is_listed(url.host_str().unwrap_or_default(), url.port_or_known_default(), allow_http_hosts);
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .retry(retry::never())
        .https_only(is_https)
        .user_agent(concat!("psyche/", env!("CARGO_PKG_VERSION")));
    if !is_https {
        // A plain server needs no certificates, and a small container may have none.
        builder = builder.tls_certs_only([]);
    }
    let resolver = resolver.or_else(|| (!listed).then(|| Arc::new(Public::new()) as Resolver));
    if let Some(resolver) = resolver {
        builder = builder.dns_resolver(resolver);
    }
    builder.build().map_err(|e| format!("the secure connection cannot be set up ({e}): are CA certificates installed?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_or_a_listed_host() {
        let none: &[&str] = &[];
        let cases: [(&str, &[&str], Result<&str, &str>); 23] = [
            ("https://api.example.com/v1", none, Ok("https://api.example.com/v1/chat/completions")),
            ("https://api.example.com/v1/", none, Ok("https://api.example.com/v1/chat/completions")),
            ("https://api.example.com", none, Ok("https://api.example.com/chat/completions")),
            ("https://h/v1/chat/completions", none, Ok("https://h/v1/chat/completions")),
            ("http://localhost:11434/v1", none, Err("allow_http_hosts")),
            ("http://127.0.0.1:11434/v1", none, Err("allow_http_hosts")),
            ("http://[::1]:8000/v1", none, Err("allow_http_hosts")),
            ("http://localhost:11434/v1", &["localhost"], Ok("http://localhost:11434/v1/chat/completions")),
            ("http://LOCALHOST/v1", &[" localhost "], Ok("http://localhost/v1/chat/completions")),
            ("http://localhost:11434/v1", &["localhost:11434"], Ok("http://localhost:11434/v1/chat/completions")),
            ("http://localhost:11434/v1", &["localhost:1"], Err("allow_http_hosts")),
            ("http://localhost.evil.example/v1", &["localhost"], Err("allow_http_hosts")),
            ("http://[::1]:8000/v1", &["::1"], Ok("http://[::1]:8000/v1/chat/completions")),
            ("https://127.0.0.1/v1", none, Err("this machine itself: if you trust it")),
            ("https://2130706433/v1", none, Err("this machine itself")),
            ("https://[::ffff:10.0.0.1]/v1", none, Err("a private address")),
            ("https://169.254.169.254/v1", none, Err("metadata")),
            ("https://10.0.0.1/v1", &["10.0.0.1"], Ok("https://10.0.0.1/v1/chat/completions")),
            ("https://1.1.1.1/v1", none, Ok("https://1.1.1.1/v1/chat/completions")),
            ("https://user:pass@h/v1", none, Err("api_key")),
            ("https://h/v1?key=1", none, Err("query")),
            ("ftp://h/v1", none, Err("https")),
            ("api.example.com", none, Err("https://")),
        ];
        for (base, hosts, expected) in cases {
            let hosts: Vec<String> = hosts.iter().map(|&h| h.to_owned()).collect();
            match (endpoint(base, &hosts), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(problem), Err(says)) => assert!(problem.contains(says), "{base}: {problem}"),
                (got, expected) => panic!("{base}: {got:?} instead of {expected:?}"),
            }
        }
    }
}
