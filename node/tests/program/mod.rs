//! The program under test: run to its end, and what it printed.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::process::{Command, Output};

use serde_json::Value as Json;

/// The binary `lakh` of this build.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

/// Runs `lakh` with these arguments to its end.
pub(crate) fn lakh(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// The same where it has to succeed: what it printed.
pub(crate) fn succeeded(arguments: &[&str]) -> String {
    let output = lakh(arguments);
    assert!(output.status.success(), "lakh {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one JSON object that it printed.
pub(crate) fn json(arguments: &[&str]) -> Json {
    serde_json::from_str(&succeeded(arguments)).unwrap()
}
