//! Public clients that others wrote, unmodified, against `lakh dev`: only the address and the key are theirs to be set.
//!
//! The scripts stand beside the repository in `../shared/clients`, and their packages where `LAKH_CLIENT_PACKAGES` says:
//! a folder in which `npm i @binance/spot@32.0.4 ws@8` was run and that has a venv `venv` with
//! `pip install python-binance==1.0.37`. Where either is missing the test says so and proves nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lakh_loadtest::client::{Trader, Value, connect, now_us, signed_request};
use serde_json::Value as Json;

/// The public half of the scripts' key: test 1 of RFC 8032.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// Ends its process when the test does, however that is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Scripts and packages, where they are.
struct Clients {
    scripts: PathBuf,
    packages: PathBuf,
}

impl Clients {
    fn find(needed: &str) -> Option<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/clients");
        let packages = std::env::var_os("LAKH_CLIENT_PACKAGES").map(PathBuf::from);
        let Some(packages) = packages.filter(|packages| packages.join(needed).exists()) else {
            println!("skipped: LAKH_CLIENT_PACKAGES names no folder with {needed}");
            return None;
        };
        if !scripts.join("seeder.cjs").exists() {
            println!("skipped: the public clients' scripts are not on this machine");
            return None;
        }
        Some(Self { scripts, packages })
    }
}

/// A demonstration with the seeder trading on it.
struct Venue {
    base: String,
    tag: String,
    _seeder: Running,
    _dev: Running,
}

impl Venue {
    fn start(clients: &Clients) -> Self {
        let dev = Command::new(env!("CARGO_BIN_EXE_lakh"))
            .args(["dev", "--listen", "127.0.0.1:0", "--json", "--for", "120s"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut dev = Running(dev.unwrap());
        let mut line = String::new();
        BufReader::new(dev.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Json = serde_json::from_str(&line).unwrap();
        let base = ready["rest"].as_str().unwrap().strip_suffix("/api/v3").unwrap().to_owned();
        let tag = ready["venueTag"].as_str().unwrap().to_owned();
        let mut seeder = Command::new("node");
        seeder.arg(clients.scripts.join("seeder.cjs")).args([&base, "100"]).stdout(Stdio::null()).stderr(Stdio::null());
        let seeder = set_up(&mut seeder, clients, &tag).spawn().unwrap();
        Self { base, tag, _seeder: Running(seeder), _dev: dev }
    }

    /// Runs a script to its end; it must say that it passes.
    fn run(&self, clients: &Clients, mut script: Command) {
        let output = set_up(script.arg(&self.base), clients, &self.tag).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if said.contains("PASS ") && output.status.success() {
            return;
        }
        // The one step that a venue may not have yet is the only one that may fail, and only while it has it not.
        assert!(said.contains("-1020"), "{said}");
        assert_eq!(self.code_of("order.cancelReplace"), Some(-1020), "{said}");
        println!("passed up to order.cancelReplace, which this venue does not have yet");
    }

    fn code_of(&self, method: &str) -> Option<i64> {
        let tag: [u8; 16] = core::array::from_fn(|index| u8::from_str_radix(&self.tag[index * 2..][..2], 16).unwrap());
        let trader = Trader::new(&[1; 32], Some(tag));
        let url = format!("{}/ws-api/v3", self.base.replacen("http", "ws", 1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut outgoing, mut incoming) = connect(&url).await.unwrap();
            let time = [("timestamp", Value::Number(now_us() / 1_000))];
            outgoing.feed(signed_request(1, method, &trader, &time).into()).await.unwrap();
            outgoing.flush().await.unwrap();
            let answer: Json = serde_json::from_str(&incoming.next().await.unwrap()).unwrap();
            answer["error"]["code"].as_i64()
        })
    }
}

fn set_up<'c>(command: &'c mut Command, clients: &Clients, tag: &str) -> &'c mut Command {
    // A folder's name with the separator behind it is what the scripts resolve packages from.
    let node_root = format!("{}/", clients.packages.display());
    command.env("NODE_ROOT", node_root).env("API_TAG", tag).env("API_KEY", format!("{tag}{PUBLIC_KEY}"))
}

#[test]
fn the_javascript_connector_passes() {
    let Some(clients) = Clients::find("node_modules/@binance/spot") else { return };
    let venue = Venue::start(&clients);
    let mut script = Command::new("node");
    script.arg(clients.scripts.join("binance_spot.mjs"));
    venue.run(&clients, script);
}

#[test]
fn the_python_client_passes() {
    let Some(clients) = Clients::find("venv/bin/python") else { return };
    if !clients.packages.join("node_modules/ws").exists() {
        println!("skipped: the seeder needs ws in LAKH_CLIENT_PACKAGES");
        return;
    }
    let venue = Venue::start(&clients);
    let mut script = Command::new(clients.packages.join("venv/bin/python"));
    script.arg(clients.scripts.join("python_binance.py"));
    venue.run(&clients, script);
}
