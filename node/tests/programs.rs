//! The programs as their users meet them: `dev` with its restart, `ctl` with its evidence, `flow`, `replay`, `audit`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;
use std::process::{Command, Output};

use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

fn lakh(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn succeeded(arguments: &[&str]) -> String {
    let output = lakh(arguments);
    assert!(output.status.success(), "lakh {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dev_trades_stops_and_goes_on_where_it_was() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().to_str().unwrap();
    let dev = ["dev", "--for", "2s", "--listen", "127.0.0.1:0", "--data", data, "--json"];
    let first = json_lines(&succeeded(&dev));
    let replayed: Json = serde_json::from_str(&succeeded(&["replay", "--json", data])).unwrap();
    assert_eq!(first[1]["stateHash"], replayed["state_hash"]);
    assert!(replayed["trades"].as_u64().unwrap() > 0, "the demo traders trade: {replayed}");
    let second = json_lines(&succeeded(&dev));
    assert_eq!(second[0]["sequence"].as_u64().unwrap(), first[1]["sequence"].as_u64().unwrap() + 1, "one epoch more");
    let audited: Json = serde_json::from_str(&succeeded(&["audit", "--json", data])).unwrap();
    assert_eq!(audited["finding_count"], 0, "{audited}");
    assert!(audited["signed"].as_u64().unwrap() > 0);
}

#[test]
fn run_refuses_a_demonstration() {
    let scratch = tempfile::tempdir().unwrap();
    let config = scratch.path().join("lakh.toml");
    std::fs::write(&config, "[exchange]\nmode = \"dev\"\nvenue_tag = \"000102030405060708090a0b0c0d0e0f\"\n").unwrap();
    let output = lakh(&["run", "--config", config.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("mode dev"), "{output:?}");
}

#[test]
fn operators_decide_with_a_signature_that_the_audit_finds() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("operator.pem");
    let made: Json = serde_json::from_str(&succeeded(&["keygen", "--json", "--out", key.to_str().unwrap()])).unwrap();
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    options.operator_key = Some(made["public_key"].as_str().unwrap().to_owned());
    let venue = options.start().unwrap();
    let socket = options.control_socket();
    let socket = socket.to_str().unwrap();
    let ctl = |action: &[&str]| {
        let mut arguments = vec!["ctl", "--socket", socket];
        arguments.extend_from_slice(action);
        lakh(&arguments)
    };
    let key = key.to_str().unwrap();
    let halt = ["market-state", "--key", key, "--reason", "drill", "UNITCASH", "halt"];
    let halted = ctl(&halt);
    assert!(halted.status.success(), "{halted:?}");
    let status = String::from_utf8(ctl(&["status"]).stdout).unwrap();
    assert!(status.contains("Halt"), "{status}");
    let stranger = scratch.path().join("stranger.pem");
    succeeded(&["keygen", "--out", stranger.to_str().unwrap()]);
    let forged = ctl(&["market-state", "--key", stranger.to_str().unwrap(), "--reason", "mine", "UNITCASH", "open"]);
    assert!(!forged.status.success());
    assert!(String::from_utf8_lossy(&forged.stderr).contains("signature does not hold"), "{forged:?}");
    venue.stop().unwrap();
    let journal = options.journal();
    let audited: Json = serde_json::from_str(&succeeded(&["audit", "--json", journal.to_str().unwrap()])).unwrap();
    assert_eq!((audited["operator"].as_u64(), audited["finding_count"].as_u64()), (Some(1), Some(0)), "{audited}");
}

#[test]
fn recorded_flow_passes_through_the_whole_venue() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../loadtest/tests/data/sample.l3c");
    let direct: Json = serde_json::from_str(&succeeded(&["flow", "check", "--json", sample])).unwrap();
    let through: Json =
        serde_json::from_str(&succeeded(&["flow", "check", "--through", "gateway", "--json", sample])).unwrap();
    assert_eq!(direct["bad_lines"], 0);
    assert_eq!(direct["digest"], through["digest"]);
}
