//! What comes in unencrypted where it must not (TLS-01), and the listener for metrics (LIM-01).

use std::time::Duration;

use psyche_server::TrustedProxies;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::{PATIENCE, TestApp, send};

/// TLS-01.
#[tokio::test]
async fn where_people_come_over_https_plain_requests_are_refused_but_for_health() {
    let public = |proxies: &'static [&'static str]| {
        TestApp::with(|o| {
            o.public_url = Some("https://psyche.example".into());
            let proxies: Vec<String> = proxies.iter().map(ToString::to_string).collect();
            o.trusted_proxies = TrustedProxies::parse(&proxies).unwrap();
        })
    };
    let (behind, open) = (public(&["127.0.0.1"]).await, public(&[]).await);
    let cases = [
        (&behind, Some("https"), true),
        (&behind, Some("http"), false),
        (&behind, None, false),
        // Nobody named this proxy: what it says is what a client says.
        (&open, Some("https"), false),
        (&open, None, false),
    ];
    for (app, scheme, allowed) in cases {
        for path in ["/setup", "//", "//api/openapi.json", "//ws/system", "/health", "//health", "//live", "//ready"] {
            let request = app.request(Method::GET, path, None);
            let reply = send(match scheme {
                Some(scheme) => request.header("X-Forwarded-Proto", scheme),
                None => request,
            })
            .await;
            let refused = reply.status == 403 && reply.text.contains("over HTTPS alone");
            let probe = ["health", "live", "ready"].iter().any(|name| path.ends_with(name));
            assert_eq!(refused, !allowed && !probe, "{path} {scheme:?}: {} {}", reply.status, reply.text);
        }
    }
}

/// LIM-01.
#[tokio::test]
async fn the_metrics_listener_has_64_places_and_ends_who_says_nothing() {
    let wait = Duration::from_secs(1);
    let app = TestApp::with(|o| o.limits.header_timeout = wait).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let token = CancellationToken::new();
    let run = TaskTracker::new().spawn(app.server.clone().run_metrics(listener, token.clone()));

    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut scraper = TcpStream::connect(address).await.unwrap();
    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: psyche\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, scraper.read_to_string(&mut answer)).await.expect("places become free").unwrap();
    assert!(began.elapsed() >= wait, "it waited for a place: {:?}", began.elapsed());
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("psyche_"), "{answer}");
    for mut stream in silent {
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it was ended").unwrap();
    }
    token.cancel();
    timeout(PATIENCE, run).await.expect("it leaves").unwrap();
}

/// LIM-01: a head has so many bytes and so many fields, and a body has to come.
#[tokio::test]
async fn heads_and_bodies_have_limits() {
    let app = TestApp::with(|o| o.limits.body_timeout = Duration::from_millis(200)).await;
    let address = app.base.strip_prefix("http://").unwrap().to_owned();
    let says = async |request: String| {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A refusal with bytes unread may end in a reset; what came before it counts.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server ends it");
        String::from_utf8_lossy(&answer).into_owned()
    };
    let head = |fields: &str| format!("GET /live HTTP/1.1\r\nHost: psyche\r\nConnection: close\r\n{fields}\r\n");
    let many = |count: usize| (0..count).map(|n| ["X-", &n.to_string(), ": y\r\n"].concat()).collect::<String>();
    let long = |bytes: usize| format!("X-Long: {}\r\n", "y".repeat(bytes));
    for (fields, status) in [(many(90), "200"), (many(120), "431"), (long(12_000), "200"), (long(40_000), "431")] {
        let answer = says(head(&fields)).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{} bytes: {answer}", fields.len());
    }
    let begun = "POST /api/v1/auth/login HTTP/1.1\r\nHost: psyche\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    let answer = says(begun.to_owned()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not arrive in time"), "{answer}");
}
