//! The same questions to anvil, which is another implementation: what both answer alike is not our own invention.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

/// Where `npm ci` in the contracts' folder puts it.
const ANVIL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");

/// A running anvil, which ends with this.
struct Anvil(Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        // Neither can fail but for a process that has already ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn anvil_answers_as_the_embedded_chain_does() {
    if !Path::new(ANVIL).exists() {
        println!("skipped: no anvil in settlement/contracts/node_modules");
        return;
    }
    let arguments = ["--port", "0", "--hardfork", "osaka", "--chain-id", "31337", "--enable-tx-gas-limit"];
    let mut anvil =
        Anvil(Command::new(ANVIL).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(anvil.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned)).expect("its address");
    let outcome = suite::every_question(&rpc(format!("http://{}", address.trim())));
    assert_eq!(outcome, suite::every_question(&in_memory()), "addresses and gas are the rules', not the node's");
}
