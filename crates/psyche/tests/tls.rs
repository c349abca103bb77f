//! The real program with a certificate of its own (TLS-01).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::Message;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long the program waits for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
const PASSWORD: &str = "a long and quiet river";

/// A certificate for 127.0.0.1 and its key, as PEM.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    change(&mut params);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write(data: &Path, (certificate, key): &(String, String)) {
    std::fs::write(data.join("cert.pem"), certificate).unwrap();
    std::fs::write(data.join("key.pem"), key).unwrap();
    std::fs::set_permissions(data.join("key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn serve(data: &Path) -> Command {
    std::fs::write(data.join("psyche.toml"), "[models.default]\nprovider = \"scripted\"\nlatency_ms = 0\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_psyche"));
    command
        .current_dir(data)
        .args(["--data-dir", "data", "--set", "metrics_addr=", "--set", "log=info"])
        .args(["--set", "tls_cert=cert.pem", "--set", "tls_key=key.pem", "serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

struct Program {
    child: Child,
    address: String,
    setup_code: String,
    log: mpsc::UnboundedReceiver<String>,
}

impl Program {
    fn start(data: &Path) -> Self {
        let mut child = serve(data).spawn().unwrap();
        let (sender, log) = mpsc::unbounded_channel();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || stderr.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let link = stdout.find(|line| line.contains("/#setup=")).expect("the program listens");
        let (address, setup_code) = link.trim().strip_prefix("https://").unwrap().split_once("/#setup=").unwrap();
        let (address, setup_code) = (address.to_owned(), setup_code.to_owned());
        // Whoever stops reading a pipe blocks its writer.
        std::thread::spawn(move || stdout.for_each(drop));
        Self { child, address, setup_code, log }
    }

    async fn logs(&mut self, words: &str) {
        let heard = async { while !self.log.recv().await.expect("the program runs").contains(words) {} };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("the log never says {words:?}"));
    }

    fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// A connection that trusts one certificate alone.
    async fn connect(&self, trusted: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }

    /// The first account, made through the printed link, and its sign-in.
    async fn sign_in(&self, trusted: &str) -> Client {
        let trusted = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
        let client = Client { http, base: format!("https://{}/api/v1", self.address), token: String::new() };
        let account = json!({
            "setup_code": self.setup_code, "username": "mira", "email": "mira@example.org", "password": PASSWORD,
        });
        client.post("/setup", &account).await;
        let body = json!({"username": "mira", "password": PASSWORD});
        let token = client.post("/auth/login", &body).await["access_token"].as_str().unwrap().to_owned();
        Client { token, ..client }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        let answer = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        let (status, value) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {value}");
        value
    }
}

/// What comes until the other side ends.
async fn all(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("it is ended");
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn https_is_spoken_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let made = certificate(|_| ());
    write(data.path(), &made);
    let program = Program::start(data.path());
    let client = program.sign_in(&made.0).await;

    let health = client.http.get(format!("{}/health", client.base)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(health.headers()["strict-transport-security"].to_str().unwrap().starts_with("max-age="));
    assert_eq!(health.json::<Value>().await.unwrap()["status"], "healthy");
    let body = json!({"username": "mira", "password": PASSWORD, "refresh": "cookie"});
    let login = client.http.post(format!("{}/auth/login", client.base)).json(&body).send().await.unwrap();
    let cookies: Vec<_> = login.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
    assert!(!cookies.is_empty());
    for cookie in cookies {
        assert!(cookie.starts_with("__Host-psyche_") && cookie.contains("; Path=/; Secure; HttpOnly"), "{cookie}");
    }
    let stream = program.connect(&made.0).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));

    let mut plain = TcpStream::connect(&program.address).await.unwrap();
    plain.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: psyche\r\n\r\n").await.unwrap();
    let answer = all(plain).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("HTTPS"), "{answer}");
    for nonsense in [&b"\0\0\0\0"[..], b"\x16\x03\x01\x00\x04junk"] {
        let mut stream = TcpStream::connect(&program.address).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        assert!(!all(stream).await.contains("HTTP"), "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_socket_gets_everything_while_the_certificate_is_renewed() {
    const EVENTS: usize = 200;
    let data = tempfile::tempdir().unwrap();
    let (old, new) = (certificate(|_| ()), certificate(|_| ()));
    write(data.path(), &old);
    let mut program = Program::start(data.path());
    let client = program.sign_in(&old.0).await;
    let new_session = json!({"name": "Carried", "session_type": "single_user"});
    let session = client.post("/sessions", &new_session).await["session_id"].as_str().unwrap().to_owned();

    let stream = program.connect(&old.0).await.unwrap();
    let url = format!("wss://{}/ws/{session}", program.address);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let hello = json!({"type": "auth", "token": client.token, "subscribe": {}});
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let (mut last, mut events) = (None, 0);
    while events < 2 * EVENTS {
        let message = timeout(PATIENCE, socket.next()).await.expect("more comes").unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["type"] == "snapshot" {
            assert_eq!(last, None, "{frame}");
            last = Some(frame["seq"].as_u64().unwrap());
            client.post(&format!("/sessions/{session}/commands"), &json!({"command": "start"})).await;
        } else if let Some(seq) = frame.get("prev").and(frame["seq"].as_u64()) {
            assert_eq!(frame["prev"].as_u64(), last, "before {frame}");
            (last, events) = (Some(seq), events + 1);
            if events == EVENTS {
                write(data.path(), &new);
                program.hang_up();
                program.logs("were read again").await;
            }
        }
    }
    assert!(program.connect(&old.0).await.is_err(), "the old certificate is not served any more");
    drop(program.connect(&new.0).await.unwrap());

    // Half a renewal is none.
    write(data.path(), &(old.0, new.1));
    program.hang_up();
    program.logs("stay as they were: the key in key.pem does not fit").await;
    drop(program.connect(&new.0).await.unwrap());
    socket.close(None).await.unwrap();
    let end = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, end).await.expect("the socket ends in order");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_ended() {
    let data = tempfile::tempdir().unwrap();
    let made = certificate(|_| ());
    write(data.path(), &made);
    let program = Program::start(data.path());
    let began = Instant::now();
    let mut open = Vec::new();
    // Nothing; the head of a record; a record without its end; encrypted, but no request.
    for begin in [&b""[..], b"\x16", b"\x16\x03\x01\x01\x00\x01"] {
        let mut stream = TcpStream::connect(&program.address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        open.push(stream);
    }
    let mut silent = program.connect(&made.0).await.unwrap();
    program.sign_in(&made.0).await;
    for stream in open {
        all(stream).await;
        assert!(began.elapsed() >= HANDSHAKE, "it had its time: {:?}", began.elapsed());
    }
    let _ = timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await.expect("it is ended");
}

#[tokio::test]
async fn what_cannot_work_is_refused_with_a_sentence_and_what_should_not_stay_is_warned_of() {
    let data = tempfile::tempdir().unwrap();
    let (one, other) = (certificate(|_| ()), certificate(|_| ()));
    let cases = [
        ((one.1.clone(), one.1.clone()), "cert.pem, named by tls_cert, holds no certificate"),
        ((one.0.clone(), one.0.clone()), "key.pem, named by tls_key, holds no private key"),
        ((one.0.clone(), other.1), "the key in key.pem does not fit the certificate in cert.pem"),
    ];
    let mut outputs = vec![(serve(data.path()).output().unwrap(), "read cert.pem, named by tls_cert")];
    for (files, expected) in cases {
        write(data.path(), &files);
        outputs.push((serve(data.path()).output().unwrap(), expected));
    }
    for (output, expected) in outputs {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{expected}\nin\n{said}");
        assert!(!data.path().join("data").exists(), "nothing was made");
    }

    let expired = certificate(|params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    write(data.path(), &expired);
    std::fs::set_permissions(data.path().join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut program = Program::start(data.path());
    program.logs("cert.pem has expired").await;
    program.logs("key.pem may be read by every user").await;
}
