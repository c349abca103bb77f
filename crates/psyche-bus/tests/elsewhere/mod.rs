//! A Redis that is not just there: it has to prove who it is, or sentinels say which one it is by now.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use psyche_bus::redis::{Options, Redis};
use psyche_core::port::{Bus as _, EphemeralStore as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::{ephemeral, options, server, session, two_replicas_of, until};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Settings of a server that speaks TLS on this port too, as `localhost`.
fn encrypted(dir: &Path, authority: &CertifiedIssuer<'static, KeyPair>, port: u16) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let file = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    format!(
        "--tls-port {port} --tls-auth-clients no --tls-cert-file {} --tls-key-file {} --tls-ca-cert-file {}",
        file("server.pem", certificate.pem()),
        file("server.key", key.serialize_pem()),
        file("ca.pem", authority.pem()),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_tls_a_server_has_to_prove_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    let port = free_port();
    let server = server::Redis::start_with(&encrypted(dir.path(), &ours, port), "").unwrap();
    let url = format!("rediss://localhost:{port}");
    let trusting = |ca: &CertifiedIssuer<'static, KeyPair>, url: &str| {
        Redis::start(Options { ca: Some(ca.pem().into_bytes()), ..options(url) }).unwrap()
    };
    two_replicas_of(|| trusting(&ours, &url)).await;
    let redis = trusting(&ours, &url);
    until(&redis, true).await;
    ephemeral(&redis).put("a", b"x".to_vec(), 60_000).await.unwrap();
    assert_eq!(server.run(&["dbsize"]).unwrap(), "1");

    // Signed by somebody else, by nobody this machine knows, and for another name.
    let elsewhere = format!("rediss://127.0.0.1:{port}");
    let strangers = [trusting(&other, &url), Redis::start(options(&url)).unwrap(), trusting(&ours, &elsewhere)];
    tokio::time::sleep(Duration::from_secs(2)).await;
    for stranger in strangers {
        assert!(stranger.bus().probe().await.is_err());
    }
}

/// A sentinel; it ends with the other end of its input.
struct Sentinel(Child);

impl Sentinel {
    fn of(primary: u16, port: u16, dir: &Path) -> Self {
        let file = dir.join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor house 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds house 500\nsentinel failover-timeout house 2000\n",
            dir.display()
        );
        fs::write(&file, settings).unwrap();
        let script = "redis-server \"$1\" --sentinel >\"$1.log\" 2>&1 & cat >/dev/null; kill -9 $!";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&file).stdin(Stdio::piped());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_primary_dies_the_one_that_sentinels_name_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut primary = server::Redis::start().unwrap();
    let standby = server::Redis::start_with(&format!("--replicaof 127.0.0.1 {}", primary.port()), "").unwrap();
    while !standby.run(&["info", "replication"]).unwrap().contains("master_link_status:up") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let port = free_port();
    let _sentinel = Sentinel::of(primary.port(), port, dir.path());
    let url = format!("redis+sentinel://127.0.0.1:{port}/house");
    two_replicas_of(|| Redis::start(options(&url)).unwrap()).await;
    let (one, two) = (Redis::start(options(&url)).unwrap(), Redis::start(options(&url)).unwrap());
    until(&one, true).await;
    until(&two, true).await;
    assert_eq!(ephemeral(&one).increment("n", 60_000).await.unwrap(), 1);
    let seen = |seen: &server::Redis| seen.run(&["role"]).unwrap().lines().next().unwrap_or_default().to_owned();
    assert_eq!((seen(&primary).as_str(), seen(&standby).as_str()), ("master", "slave"));
    // Known to the sentinel: else there would be nobody to follow.
    let known = || Command::new("redis-cli").args(["-p", &port.to_string(), "sentinel", "replicas", "house"]).output();
    while !String::from_utf8_lossy(&known().unwrap().stdout).contains(&standby.port().to_string()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    primary.stop();
    until(&one, false).await;
    until(&one, true).await;
    until(&two, true).await;
    assert_eq!(seen(&standby), "master");
    let mut there = two.bus().subscribe(session(1));
    crate::hears(&one.bus(), &mut there, session(1)).await;
    assert_eq!(ephemeral(&two).increment("n", 60_000).await.unwrap(), 2, "what the standby had copied is gone on with");
}
