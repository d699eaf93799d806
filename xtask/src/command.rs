//! Starting other programs: always in the repository's root, never with an input to wait for.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// A program and its arguments, to be run in `root` without input.
fn prepare(root: &Path, words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().expect("a command line has a program");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root).stdin(Stdio::null());
    // What `cargo run` tells us of this crate would make build scripts that ask for their own run again each time.
    let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(ours)) {
        command.env_remove(name);
    }
    if std::env::var_os("CI").is_some() {
        // What is built once is never built again from its parts.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// Runs a program with its output on ours.
///
/// # Errors
/// When it cannot be started or ends with another code than 0.
pub(crate) fn run(root: &Path, words: &[&str]) -> anyhow::Result<()> {
    run_with(root, words, &[])
}

/// As [`run`], with environment variables added.
pub(crate) fn run_with(root: &Path, words: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<()> {
    let line = words.join(" ");
    println!("$ {line}");
    let status = prepare(root, words).envs(variables.iter().copied()).status();
    let status = status.with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs a program quietly and gives what it wrote to its standard output.
///
/// # Errors
/// When it cannot be started, ends with another code than 0 or writes no UTF-8; with what it wrote as errors.
pub(crate) fn output(root: &Path, words: &[&str]) -> anyhow::Result<String> {
    let line = words.join(" ");
    let output = prepare(root, words).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` wrote no UTF-8"))
}

/// Whether a program is there and works.
pub(crate) fn works(root: &Path, words: &[&str]) -> bool {
    output(root, words).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_line() {
        let root = Path::new(".");
        assert!(run(root, &["cargo", "--version"]).is_ok());
        assert!(output(root, &["cargo", "--version"]).unwrap().starts_with("cargo "));
        assert!(!works(root, &["cargo", "no-such-command"]));
        let message = format!("{:#}", run(root, &["no-such-program", "now"]).unwrap_err());
        assert!(message.starts_with("cannot start `no-such-program now`"), "{message}");
        let message = format!("{:#}", run(root, &["cargo", "no-such-command"]).unwrap_err());
        assert!(message.starts_with("`cargo no-such-command` ended with "), "{message}");
    }
}
