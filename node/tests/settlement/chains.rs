//! The chains that the scenarios run on: anvil as a process of its own, and ours, served by the test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lakh_settlement::chain::embedded::server::EmbeddedServer;
use lakh_settlement::chain::embedded::{BlockClock, EmbeddedChain, Genesis};

use crate::world::{CHAIN_ID, everybody};

/// Where `npm ci` in the contracts' folder puts it.
const ANVIL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../settlement/contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
);

/// Ten thousand ether.
const WEI: u128 = 10_000 * 1_000_000_000_000_000_000;

/// A running anvil, which ends with this.
pub(crate) struct Anvil {
    process: Child,
    url: String,
}

impl Anvil {
    /// A block each second and one for each transaction; what is two blocks old is final. `None` where it is missing.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new(ANVIL).exists() {
            println!("skipped: no anvil in settlement/contracts/node_modules");
            return None;
        }
        let rules = ["--hardfork", "osaka", "--chain-id", "31337", "--enable-tx-gas-limit"];
        let blocks = ["--port", "0", "--block-time", "1", "--mixed-mining", "--slots-in-an-epoch", "1"];
        let mut command = Command::new(ANVIL);
        command.args(rules).args(blocks).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned));
        let url = format!("http://{}", address.expect("its address").trim());
        // Read on, or it would have to wait once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let anvil = Self { process, url };
        anvil.give_ether();
        Some(anvil)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn give_ether(&self) {
        for address in everybody() {
            let parameters = serde_json::json!([address.to_string(), format!("{WEI:#x}")]);
            let question =
                serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "anvil_setBalance", "params": parameters });
            let mut answer =
                ureq::post(&self.url).header("content-type", "application/json").send(question.to_string()).unwrap();
            let answer = answer.body_mut().read_to_string().unwrap();
            assert!(!answer.contains("error"), "{answer}");
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Neither can fail but for a process that has already ended, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The embedded chain, served by the test's own process.
pub(crate) struct Embedded {
    chain: EmbeddedChain,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    server: Option<EmbeddedServer>,
}

impl Embedded {
    pub(crate) fn start() -> Self {
        let accounts = everybody().into_iter().map(|address| (address, WEI)).collect();
        let genesis = Genesis { chain_id: CHAIN_ID, accounts };
        let chain = EmbeddedChain::open(None, &genesis, BlockClock::System).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut embedded = Self { chain, address: ([127, 0, 0, 1], 0).into(), runtime, server: None };
        embedded.serve();
        embedded
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers, at the address that it had before.
    pub(crate) fn serve(&mut self) {
        let server = self.runtime.block_on(EmbeddedServer::start(self.chain.clone(), self.address)).unwrap();
        self.address = server.address();
        self.server = Some(server);
    }

    /// Answers nobody any more.
    pub(crate) fn fall_silent(&mut self) {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.stop()).unwrap();
    }
}

/// Runs a scenario, which is told the chain's address, on the embedded chain.
pub(crate) fn on_embedded(scenario: fn(&str)) {
    let embedded = Embedded::start();
    scenario(&embedded.url());
}

/// The same on anvil, where it is installed.
pub(crate) fn on_anvil(scenario: fn(&str)) {
    let Some(anvil) = Anvil::start() else { return };
    scenario(anvil.url());
}
