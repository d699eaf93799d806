//! Public clients that others wrote, unmodified, against `lakh dev`, in plain text and with TLS: only address, key and
//! authority are theirs to be set.
//!
//! Two scripts stand beside the repository in `../shared/clients`, three are the repository's own in `public_clients`. Their
//! packages are where `LAKH_CLIENT_PACKAGES` says, a folder that `cargo xtask ci` fills. Where something is missing the
//! test says so and proves nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod authority;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use authority::Certificates;
use serde_json::Value as Json;

/// The public half of the scripts' key: test 1 of RFC 8032.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// The secret half, which everybody knows.
const SECRET_KEY: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

/// Ends its process when the test does, however that is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the packages are, if they are, with `needed` among them.
fn packages(needed: &str) -> Option<PathBuf> {
    let packages = std::env::var_os("LAKH_CLIENT_PACKAGES").map(PathBuf::from);
    let packages = packages.filter(|packages| packages.join(needed).exists());
    if packages.is_none() {
        println!("skipped: LAKH_CLIENT_PACKAGES names no folder with {needed}");
    }
    packages
}

/// A script of the repository's own.
fn own_script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public_clients").join(name)
}

/// A script that stands beside the repository, on machines that have it.
fn shared_script(name: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/clients").join(name);
    if !script.exists() {
        println!("skipped: ../shared/clients/{name} is not on this machine");
        return None;
    }
    Some(script)
}

/// A demonstration with both listeners.
struct Venue {
    plain: String,
    secure: String,
    binary: String,
    tag: String,
    packages: PathBuf,
    certificates: Certificates,
    _folder: tempfile::TempDir,
    _dev: Running,
}

impl Venue {
    fn start(packages: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::write(folder.path());
        let dev = Command::new(env!("CARGO_BIN_EXE_lakh"))
            .args(["dev", "--listen", "127.0.0.1:0", "--json", "--for", "180s", "--tls-listen", "127.0.0.1:0"])
            .arg("--tls-certificate")
            .arg(&certificates.certificate)
            .arg("--tls-key")
            .arg(&certificates.key)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut dev = Running(dev.unwrap());
        let mut line = String::new();
        BufReader::new(dev.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Json = serde_json::from_str(&line).unwrap();
        let base = |rest: &Json| rest.as_str().unwrap().strip_suffix("/api/v3").unwrap().to_owned();
        let (plain, secure) = (base(&ready["rest"]), base(&ready["tls"]["rest"]));
        let tag = ready["venueTag"].as_str().unwrap().to_owned();
        let binary = ready["binary"].as_str().unwrap().trim_start_matches("tcp://").to_owned();
        Self { plain, secure, binary, tag, packages, certificates, _folder: folder, _dev: dev }
    }

    /// The background flow that the shared scripts wait for.
    fn seed(&self) -> Option<Running> {
        let seeder = shared_script("seeder.cjs")?;
        let mut command = Command::new("node");
        command.arg(seeder).args([&self.plain, "150"]).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Running(self.set_up(&mut command).spawn().unwrap()))
    }

    fn set_up<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        // A folder's name with the separator behind it is what the scripts resolve packages from.
        let node_root = format!("{}/", self.packages.display());
        let api_key = format!("{}{PUBLIC_KEY}", self.tag);
        command.env("NODE_ROOT", node_root).env("API_TAG", &self.tag).env("API_KEY", api_key);
        command.env("PRIVATE_KEY_FILE", own_script("rfc8032_test1.pem"))
    }

    /// Runs a script to its end over either listener; it must say that it passes.
    fn run(&self, program: &Path, script: &Path) {
        for base in [&self.plain, &self.secure] {
            let mut command = Command::new(program);
            self.set_up(command.arg(script).arg(base));
            if base == &self.secure {
                let root = &self.certificates.root;
                command.env("NODE_EXTRA_CA_CERTS", root).env("SSL_CERT_FILE", root).env("REQUESTS_CA_BUNDLE", root);
            }
            let output = command.output().unwrap();
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(said.contains("PASS ") && output.status.success(), "{base}: {said}");
            println!("{base}: {}", said.lines().rfind(|line| line.starts_with("PASS ")).unwrap());
        }
    }
}

#[test]
fn the_javascript_connector_passes() {
    let Some(packages) = packages("node_modules/@binance/spot") else { return };
    let Some(script) = shared_script("binance_spot.mjs") else { return };
    let venue = Venue::start(packages);
    let Some(_seeder) = venue.seed() else { return };
    venue.run(Path::new("node"), &script);
}

#[test]
fn the_python_client_passes() {
    let Some(packages) = packages("venv/lib") else { return };
    let Some(script) = shared_script("python_binance.py") else { return };
    let python = packages.join("venv/bin/python");
    let venue = Venue::start(packages);
    let Some(_seeder) = venue.seed() else { return };
    venue.run(&python, &script);
}

#[test]
fn ccxt_passes() {
    let Some(packages) = packages("venv/bin/python") else { return };
    let python = packages.join("venv/bin/python");
    Venue::start(packages).run(&python, &own_script("ccxt_client.py"));
}

#[test]
fn the_modular_python_sdk_passes() {
    let Some(packages) = packages("venv/bin/python") else { return };
    let python = packages.join("venv/bin/python");
    Venue::start(packages).run(&python, &own_script("sdk_client.py"));
}

/// The example that knows nothing of the binary feed but its schema.
#[test]
fn the_feed_is_followed_from_the_schema_alone() {
    let Some(packages) = packages("venv/bin/python") else { return };
    let python = packages.join("venv/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/binary_feed.py");
    let venue = Venue::start(packages);
    let output =
        Command::new(python).arg(script).args([&venue.binary, &venue.tag, SECRET_KEY, "400"]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for name in ["SnapshotBegin", "SnapshotEnd", "OrderExecuted"] {
        assert!(said.lines().any(|line| line.starts_with(name)), "{name}: {said}");
    }
}

#[test]
fn another_javascript_client_passes() {
    let Some(packages) = packages("node_modules/binance") else { return };
    Venue::start(packages).run(Path::new("node"), &own_script("binance_client.mjs"));
}
