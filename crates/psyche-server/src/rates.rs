//! Which bucket a request takes from, and what its answer says of it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use psyche_core::UserId;
use psyche_core::port::EphemeralStore;

use crate::client::bucket;
use crate::limits::{Allowance, Buckets};
use crate::options::Limits;

/// All buckets.
pub struct Rates {
    /// Counts for all replicas together, where there are several.
    shared: Arc<dyn EphemeralStore>,
    anonymous: Buckets<IpAddr>,
    users: Buckets<UserId>,
    sign_ins: Buckets<IpAddr>,
    sockets: Buckets<IpAddr>,
    health: Buckets<IpAddr>,
    exports: Buckets<UserId>,
}

/// What a request is, before anybody knows who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A page or a file of the web app.
    File,
    Health,
    SignIn,
    Socket,
    /// Carries a token: counted for its user once that is known.
    Bearer,
    Anonymous,
}

impl Class {
    pub fn of(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        let api = path.strip_prefix("/api/v1").unwrap_or(path);
        match api {
            "/health" | "/live" | "/ready" => Self::Health,
            "/auth/login" | "/auth/register" | "/auth/password-reset" | "/setup" if method == Method::POST => {
                Self::SignIn
            }
            _ if path.starts_with("/ws/") => Self::Socket,
            _ if path == api && path != "/metrics" && !path.starts_with("/api/") => Self::File,
            _ if headers.contains_key(axum::http::header::AUTHORIZATION) => Self::Bearer,
            _ => Self::Anonymous,
        }
    }
}

impl Rates {
    pub fn new(limits: &Limits, shared: Arc<dyn EphemeralStore>) -> Self {
        Self {
            shared,
            anonymous: Buckets::new("anonymous", limits.anonymous),
            users: Buckets::new("users", limits.users),
            sign_ins: Buckets::new("sign-ins", limits.sign_ins),
            sockets: Buckets::new("upgrades", limits.upgrades),
            health: Buckets::new("health", limits.health),
            exports: Buckets::new("exports", limits.exports),
        }
    }

    /// `None`: not limited, or not yet.
    pub async fn arrives(&self, class: Class, address: IpAddr, now_ms: u64) -> Option<Allowance> {
        let buckets = match class {
            Class::File | Class::Bearer => return None,
            // Probes come from what watches this one.
            Class::Health => return Some(self.health.take(bucket(address), now_ms)),
            Class::SignIn => &self.sign_ins,
            Class::Socket => &self.sockets,
            Class::Anonymous => &self.anonymous,
        };
        Some(buckets.take_shared(self.shared.as_ref(), bucket(address), now_ms).await)
    }

    pub async fn user(&self, user: UserId, now_ms: u64) -> Allowance {
        self.users.take_shared(self.shared.as_ref(), user, now_ms).await
    }

    pub async fn export(&self, user: UserId, now_ms: u64) -> Allowance {
        self.exports.take_shared(self.shared.as_ref(), user, now_ms).await
    }
}

/// The fields of draft-ietf-httpapi-ratelimit-headers that clients read.
pub fn describe(headers: &mut HeaderMap, allowance: &Allowance) {
    let fields = [
        ("ratelimit-limit", allowance.limit),
        ("ratelimit-remaining", allowance.remaining),
        ("ratelimit-reset", allowance.wait.unwrap_or(allowance.reset).as_secs_f64().ceil() as u64),
    ];
    for (name, value) in fields {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_request_has_its_bucket() {
        let none = HeaderMap::new();
        let bearer = HeaderMap::from_iter([(axum::http::header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);
        assert_eq!(Class::of(&Method::GET, "/api/v1/setup", &none), Class::Anonymous, "looking is no try");
        for (path, headers, class) in [
            ("/", &none, Class::File),
            ("/assets/index.js", &none, Class::File),
            ("/health", &none, Class::Health),
            ("/api/v1/ready", &none, Class::Health),
            ("/api/v1/auth/login", &bearer, Class::SignIn),
            ("/api/v1/setup", &none, Class::SignIn),
            ("/api/v1/auth/refresh", &none, Class::Anonymous),
            ("/api/v1/sessions", &none, Class::Anonymous),
            ("/api/v1/sessions", &bearer, Class::Bearer),
            ("/api/docs", &none, Class::Anonymous),
            ("/metrics", &none, Class::Anonymous),
            ("/ws/system", &none, Class::Socket),
        ] {
            assert_eq!(Class::of(&Method::POST, path, headers), class, "{path}");
        }
    }
}
