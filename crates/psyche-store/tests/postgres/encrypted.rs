//! TLS to a real server: who it is has to be proved.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use psyche_store::postgres::{OpenError, PostgresStore};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::conformance::build::{checked, create, session_id};
use crate::server::Postgres;
use crate::{open_in, server};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate for this name, signed by the authority.
fn encrypted(dir: &Path, authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Postgres {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let (certificate, file) = (dir.join("server.pem"), dir.join("server.key"));
    fs::write(&certificate, params.signed_by(&key, authority).unwrap().pem()).unwrap();
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // The server runs as `postgres` where the test runs as root; elsewhere the file is its own.
    let _ = Command::new("chown").arg("postgres").arg(&file).status();
    let settings = "-c ssl=on -c fsync=off";
    let settings = format!("{settings} -c ssl_cert_file={} -c ssl_key_file={}", certificate.display(), file.display());
    Postgres::start_with(&settings).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_has_to_prove_who_it_is() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, other) = (authority(), authority());
    let (ours_file, other_file) = (dir.path().join("ours.pem"), dir.path().join("other.pem"));
    fs::write(&ours_file, ours.pem()).unwrap();
    fs::write(&other_file, other.pem()).unwrap();
    let postgres = encrypted(dir.path(), &ours, "127.0.0.1");
    let url = postgres.database().unwrap();
    let with = |mode: &str, roots: &Path| format!("{url}?sslmode={mode}&sslrootcert={}", roots.display());
    let encrypted = || {
        let name = url.rsplit_once('/').unwrap().1;
        let sql = format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND datname = '{name}'"
        );
        postgres.run("postgres", &sql).unwrap().parse::<u32>().unwrap()
    };

    for mode in ["require", "verify-full", "prefer"] {
        let refused = open_in(&with(mode, &other_file), data.path()).await.unwrap_err();
        assert!(matches!(&refused, OpenError::Unreachable(why) if why.contains("certificate")), "{mode}: {refused}");
        let unknown = open_in(&format!("{url}?sslmode={mode}"), data.path()).await.unwrap_err();
        assert!(matches!(unknown, OpenError::Unreachable(_) | OpenError::Tls(_)), "{mode}: {unknown}");
    }
    assert!(PostgresStore::is_new(&with("require", &ours_file)).await.unwrap());
    for mode in ["require", "verify-full", "prefer"] {
        let store = open_in(&with(mode, &ours_file), data.path()).await.unwrap();
        assert!(encrypted() > 0, "{mode}");
        if mode == "require" {
            create(&store, session_id(1)).await;
        }
        assert_eq!(checked(&store, session_id(1)).await.0.len(), 1);
        store.close();
    }
    // On this machine nothing has to be said.
    open_in(&url, data.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_and_a_server_without_tls_are_refused() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ours = authority();
    let file = dir.path().join("ours.pem");
    fs::write(&file, ours.pem()).unwrap();
    let elsewhere = encrypted(dir.path(), &ours, "db.example");
    let url = elsewhere.database().unwrap();
    let refused = open_in(&format!("{url}?sslmode=require&sslrootcert={}", file.display()), data.path()).await;
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, OpenError::Unreachable(why) if why.contains("not valid for name")), "{refused}");

    let plain = server().database().unwrap();
    let roots = format!("sslrootcert={}", file.display());
    let refused = open_in(&format!("{plain}?sslmode=require&{roots}"), data.path()).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Unreachable(why) if why.contains("TLS")), "{refused}");
    // Who prefers takes what there is.
    open_in(&format!("{plain}?sslmode=prefer&{roots}"), data.path()).await.unwrap();
}
