//! Where Redis is: one server, a cluster, or whatever the sentinels say the primary is.
//!
//! | URL | what it names |
//! |---|---|
//! | `redis://user:password@host:6379/0` | one server; `rediss` with TLS |
//! | `redis+cluster://user:password@a:6379,b:6379` | some nodes of a cluster; `rediss+cluster` with TLS |
//! | `redis+sentinel://user:password@a:26379,b:26379/primary` | sentinels and the name they know the primary by; `rediss+sentinel` speaks TLS with the primary |

use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, ProtocolVersion, PushInfo, RedisError,
    TlsCertificates, TlsMode,
};
use tokio::sync::mpsc::UnboundedSender;

use super::link::Wire;

/// Why a URL names no Redis. None of them holds the password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error(
        "the URL of the bus is not one of Redis: {0}. It reads redis://user:password@host:6379, \
         redis+cluster://host:6379,host:6379 or redis+sentinel://host:26379,host:26379/primary; rediss for TLS"
    )]
    Url(String),
    #[error(
        "what is said to Redis would cross the network readable: use rediss://, or say `?plain` in `bus` if everything \
         between is yours"
    )]
    NoTls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Single,
    Cluster,
    Sentinel,
}

/// A URL, read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    kind: Kind,
    tls: bool,
    username: Option<String>,
    password: Option<String>,
    hosts: Vec<(String, u16)>,
    /// The number of the database, or the name of the primary.
    path: String,
    ca: Option<Vec<u8>>,
}

impl Address {
    pub fn read(url: &str, ca: Option<Vec<u8>>) -> Result<Self, AddressError> {
        let wrong = |what: &str| AddressError::Url(what.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let (tls, kind) = match scheme {
            "redis" => (false, Kind::Single),
            "rediss" => (true, Kind::Single),
            "redis+cluster" => (false, Kind::Cluster),
            "rediss+cluster" => (true, Kind::Cluster),
            "redis+sentinel" => (false, Kind::Sentinel),
            "rediss+sentinel" => (true, Kind::Sentinel),
            _ => return Err(wrong("its scheme is another one")),
        };
        let (rest, plain) = rest.strip_suffix("?plain").map_or((rest, false), |rest| (rest, true));
        if rest.contains(['?', '#']) {
            return Err(wrong("it has parameters; the only one is `?plain`"));
        }
        let (who, rest) = rest.rsplit_once('@').map_or((None, rest), |(who, rest)| (Some(who), rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if kind == Kind::Sentinel { 26_379 } else { 6_379 };
        let hosts = hosts.split(',').map(|host| host_of(host, port)).collect::<Option<Vec<_>>>();
        let hosts = hosts.ok_or_else(|| wrong("a host has no name, or its port is no number"))?;
        match kind {
            Kind::Single if hosts.len() > 1 => return Err(wrong("it names several servers; is it a cluster?")),
            Kind::Single if !path.is_empty() && path.parse::<u16>().is_err() => {
                return Err(wrong("what follows the host is not the number of a database"));
            }
            Kind::Cluster if !path.is_empty() => return Err(wrong("a cluster has no numbered databases")),
            Kind::Sentinel if path.is_empty() => return Err(wrong("the name of the primary is missing at its end")),
            _ => {}
        }
        if !tls && !plain && !hosts.iter().all(|(host, _)| stays_here(host)) {
            return Err(AddressError::NoTls);
        }
        let decoded = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8();
            text.map(std::borrow::Cow::into_owned).map_err(|_| wrong("user or password is not UTF-8"))
        };
        let (username, password) = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
            None => (None, None),
        };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self { kind, tls, username: given(username), password: given(password), hosts, path: path.to_owned(), ca })
    }

    /// A new connection. What is pushed over it goes to `pushed`.
    pub async fn connect(&self, patience: Duration, pushed: UnboundedSender<PushInfo>) -> Result<Wire, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience))
            .set_push_sender(pushed.clone());
        match self.kind {
            Kind::Single => {
                let client = self.client()?;
                client.get_multiplexed_async_connection_with_config(&config).await.map(Wire::One)
            }
            Kind::Sentinel => self.sentinels()?.get_async_connection_with_config(&config).await.map(Wire::One),
            Kind::Cluster => {
                let client = self.cluster(patience, pushed)?;
                client.get_async_connection().await.map(|wire| Wire::Cluster(Box::new(wire)))
            }
        }
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates { client_tls: None, root_cert: self.ca.clone() }
    }

    /// Every host as the client takes it.
    fn addresses(&self) -> Vec<ConnectionAddr> {
        let address = |(host, port): &(String, u16)| {
            if self.tls && self.kind != Kind::Sentinel {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host.clone(), *port)
            }
        };
        self.hosts.iter().map(address).collect()
    }

    fn client(&self) -> Result<Client, RedisError> {
        let address = self.addresses().remove(0);
        let info = address.into_connection_info()?;
        let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        settings = settings.set_db(self.path.parse().unwrap_or(0));
        let info = info.set_redis_settings(settings);
        if self.tls { Client::build_with_tls(info, self.certificates()) } else { Client::open(info) }
    }

    fn sentinels(&self) -> Result<SentinelClient, RedisError> {
        let mut builder = SentinelClientBuilder::new(self.addresses(), &self.path, SentinelServerType::Master)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3);
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if self.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates());
        }
        builder.build()
    }

    fn cluster(&self, patience: Duration, pushed: impl AsyncPushSender) -> Result<ClusterClient, RedisError> {
        let nodes = self.addresses().into_iter().map(redis::IntoConnectionInfo::into_connection_info);
        let mut builder = ClusterClient::builder(nodes.collect::<Result<Vec<_>, _>>()?)
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(patience)
            .response_timeout(patience)
            .retries(2)
            .push_sender(pushed);
        if let Some(username) = &self.username {
            builder = builder.username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.password(password);
        }
        if self.tls {
            builder = builder.tls(TlsMode::Secure).certs(self.certificates());
        }
        builder.build()
    }
}

fn host_of(text: &str, otherwise: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        // An address of IPv6 has colons of its own.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, otherwise),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn stays_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, AddressError> {
        Address::read(url, None)
    }

    #[test]
    fn every_kind_of_url_is_read() {
        let one = read("redis://me:p%40ss@127.0.0.1:7000/3").unwrap();
        assert_eq!((one.kind, one.tls, one.path.as_str()), (Kind::Single, false, "3"));
        assert_eq!((one.username.as_deref(), one.password.as_deref()), (Some("me"), Some("p@ss")));
        assert_eq!(read("redis://:secret@localhost").unwrap().password.as_deref(), Some("secret"));
        assert_eq!(read("redis://[::1]:7000").unwrap().hosts, [("::1".to_owned(), 7000)]);
        let cluster = read("rediss+cluster://a,b:7001").unwrap();
        assert_eq!(cluster.hosts, [("a".to_owned(), 6379), ("b".to_owned(), 7001)]);
        let sentinel = read("rediss+sentinel://a/mine").unwrap();
        assert_eq!((sentinel.hosts[0].1, sentinel.path.as_str()), (26_379, "mine"));
    }

    #[test]
    fn mistakes_are_named() {
        for (url, expected) in [
            ("127.0.0.1", "no scheme"),
            ("http://a", "another one"),
            ("redis://localhost?x=1", "parameters"),
            ("redis://localhost,localhost", "a cluster?"),
            ("redis://localhost/x", "number of a database"),
            ("redis://localhost:x", "no number"),
            ("redis+cluster://localhost/1", "no numbered databases"),
            ("redis+sentinel://localhost", "name of the primary"),
        ] {
            let Err(error) = read(url) else { panic!("{url}") };
            assert!(error.to_string().contains(expected), "{url}: {error}");
        }
    }

    #[test]
    fn nothing_goes_unencrypted_over_a_network_unless_that_was_asked_for() {
        for away in ["redis://db.example", "redis+cluster://localhost,192.0.2.1", "redis+sentinel://db.example/mine"] {
            assert!(matches!(read(away), Err(AddressError::NoTls)), "{away}");
            assert!(read(&format!("{away}?plain")).is_ok(), "{away}");
            assert!(read(&away.replacen("redis", "rediss", 1)).is_ok(), "{away}");
        }
    }
}
