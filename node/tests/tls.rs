//! `lakh run` and `lakh dev` with TLS: who gets in, who does not, and how a certificate changes under them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod authority;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::Certificates;
use lakh_loadtest::scratch_venue::{ScratchVenue, VenueOptions};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");
/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TLS connection to somebody whom this root vouches for.
async fn connect(root: &Path, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Whether there is somebody whom this root vouches for.
fn shake_hands(root: &Path, address: &str) -> std::io::Result<()> {
    runtime().block_on(connect(root, address)).map(drop)
}

/// What a GET is answered over TLS by somebody whom this root vouches for.
fn https_get(root: &Path, address: &str, path: &str) -> std::io::Result<String> {
    runtime().block_on(async {
        let mut stream = connect(root, address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    })
}

/// A port that nobody listens on, for a listener whose address no program prints.
fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn run_serves_traders_and_operators_over_it_and_takes_on_a_new_certificate() {
    let scratch = tempfile::tempdir().unwrap();
    let before = Certificates::write(scratch.path());
    let operators = free_address();
    let tls = format!(
        "[tls]\ncertificate_file = {:?}\nprivate_key_file = {:?}\n\n[gateway]\ntls_listen = \"127.0.0.1:0\"\n\
         binary_tls_listen = \"127.0.0.1:0\"\n",
        before.certificate, before.key
    );
    let configuration = VenueOptions::new(Path::new(PROGRAM), scratch.path()).configuration();
    let configuration = configuration.replacen("[gateway]\n", &tls, 1);
    let operators_tls = format!("[operators]\ntls_listen = \"{operators}\"\n");
    let configuration = configuration.replacen("[operators]\n", &operators_tls, 1);
    let config = scratch.path().join("lakh.toml");
    std::fs::write(&config, configuration).unwrap();
    let venue = ScratchVenue::launch(Path::new(PROGRAM), &config).unwrap();
    let rest = venue.ready()["tls"]["rest"].as_str().unwrap();
    let traders = rest.strip_prefix("https://").and_then(|rest| rest.strip_suffix("/api/v3")).unwrap();
    let binary = venue.ready()["binaryTls"].as_str().unwrap().strip_prefix("tls://").unwrap();
    let old_root = scratch.path().join("old_root.pem");
    std::fs::copy(&before.root, &old_root).unwrap();
    assert!(https_get(&old_root, traders, "/api/v3/ping").unwrap().starts_with("HTTP/1.1 200"));
    assert!(shake_hands(&old_root, binary).is_ok(), "market makers too");
    assert!(https_get(&old_root, &operators.to_string(), "/health").unwrap().contains("\"journal\":\"running\""));

    // Half a pair changes nothing; the whole one does.
    let pid = Pid::from_raw(i32::try_from(venue.process_id()).unwrap()).unwrap();
    let key = std::fs::read(&before.key).unwrap();
    let after = Certificates::write(scratch.path());
    let new_key = std::fs::read(&after.key).unwrap();
    std::fs::write(&after.key, key).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    assert!(https_get(&old_root, traders, "/api/v3/ping").is_ok());
    std::fs::write(&after.key, new_key).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let asked = Instant::now();
    while https_get(&after.root, traders, "/api/v3/ping").is_err() {
        assert!(asked.elapsed() < PATIENCE, "the certificate was not read again");
    }
    assert!(https_get(&old_root, traders, "/api/v3/ping").is_err(), "nobody is shown the old one");
    assert!(https_get(&after.root, &operators.to_string(), "/health").is_ok(), "one certificate for all ports");
    assert!(shake_hands(&after.root, binary).is_ok() && shake_hands(&old_root, binary).is_err());
    venue.stop().unwrap();
}

fn refused(output: &Output, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(reason), "{reason}: {said}");
}

#[test]
fn plain_text_stays_on_this_machine_and_so_does_a_demonstration() {
    let scratch = tempfile::tempdir().unwrap();
    let files = Certificates::write(scratch.path());
    let [certificate, key] = [&files.certificate, &files.key].map(|path| path.to_str().unwrap());
    let dev = |arguments: &[&str]| Command::new(PROGRAM).arg("dev").args(arguments).output().unwrap();
    refused(&dev(&["--for", "1s", "--listen", "0.0.0.0:0"]), "0.0.0.0:0 is not loopback");
    let with_tls = ["--for", "1s", "--tls-certificate", certificate, "--tls-key", key, "--tls-listen"];
    refused(&dev(&[&with_tls[..], &["[::]:0"]].concat()), "[::]:0 is not loopback");
    refused(&dev(&["--tls-listen", "127.0.0.1:0"]), "--tls-certificate");

    let configuration = VenueOptions::new(Path::new(PROGRAM), scratch.path()).configuration();
    let config = scratch.path().join("lakh.toml");
    let run = |configuration: &str| {
        std::fs::write(&config, configuration).unwrap();
        Command::new(PROGRAM).args(["run", "--config", config.to_str().unwrap()]).output().unwrap()
    };
    for (section, key) in [("gateway", "listen"), ("gateway", "binary_listen"), ("operators", "listen")] {
        let (before, after) = configuration.split_once(&format!("[{section}]\n")).unwrap();
        let after = after.replacen(&format!("{key} = \"127.0.0.1:0\""), &format!("{key} = \"0.0.0.0:0\""), 1);
        let anywhere = format!("{before}[{section}]\n{after}");
        refused(&run(&anywhere), &format!("{section}.{key}: 0.0.0.0:0 is not loopback"));
    }
    let tls = format!("[tls]\ncertificate_file = {certificate:?}\nprivate_key_file = {key:?}\n\n[gateway]\n");
    let with_tls = configuration.replacen("[gateway]\n", &tls, 1);
    std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o644)).unwrap();
    refused(&run(&with_tls), "may be read by others");
    std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&files.certificate, "nothing").unwrap();
    refused(&run(&with_tls), "there is no certificate");
}
