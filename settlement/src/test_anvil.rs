//! anvil for tests: another implementation of the same rules, whose blocks, pool and reorganisations a test commands.
//!
//! It comes from `npm ci` in the contracts' folder. Where it is not there, a test says that it was skipped.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::chain::rpc::{RpcChain, RpcOptions};

/// Where `npm ci` puts it.
const ANVIL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");

/// A running anvil, which ends with this.
pub(crate) struct Anvil {
    process: Child,
    url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Neither can fail but for a process that has already ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Anvil {
    /// With the rules of the embedded chain and `arguments`; `None`, and a word on standard output, where it is missing.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        if !Path::new(ANVIL).exists() {
            println!("skipped: no anvil in settlement/contracts/node_modules");
            return None;
        }
        let always = ["--port", "0", "--hardfork", "osaka", "--chain-id", "31337", "--enable-tx-gas-limit"];
        let mut command = Command::new(ANVIL);
        command.args(always).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned));
        let url = format!("http://{}", address.expect("its address").trim());
        // Read on, or it would have to wait once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, url })
    }

    /// A connection of its own.
    pub(crate) fn chain(&self) -> RpcChain {
        RpcChain::new(&RpcOptions { url: self.url.clone(), blobs_url: None, timeout: Duration::from_secs(30) }).unwrap()
    }

    /// One of the methods that no real node has.
    pub(crate) fn command(&self, method: &str, parameters: &Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let mut response = ureq::post(&self.url)
            .header("content-type", "application/json")
            .send(question.to_string().as_bytes())
            .unwrap();
        let answer: Value = serde_json::from_slice(&response.body_mut().read_to_vec().unwrap()).unwrap();
        assert!(answer["error"].is_null(), "{method} {parameters}: {answer}");
        answer["result"].clone()
    }
}
