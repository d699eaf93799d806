//! `cargo xtask ci`: the steps that a change has to pass, one after the other, each with its time.
//!
//! Cheap and telling steps come first, and the first failure ends the run: what follows would only repeat it. A step
//! that cannot be done here says so and counts as skipped, never as passed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;

use crate::command::{output, run, run_with, works};
use crate::{contracts, tidy};

/// How a step ended that did not fail.
pub(crate) enum Outcome {
    /// It was done.
    Passed,
    /// It could not be done here; why.
    Skipped(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}

/// One thing that a change has to pass.
struct Step {
    /// As the summary names it.
    name: &'static str,
    /// Does it in the repository's root.
    check: fn(&Path) -> anyhow::Result<Outcome>,
}

/// What is checked, in this order.
const STEPS: &[Step] = &[
    Step { name: "tools", check: ensure_tools },
    Step { name: "tidy", check: tidy_up },
    Step { name: "format", check: format },
    Step { name: "clippy", check: clippy },
    Step { name: "documentation", check: documentation },
    Step { name: "contracts", check: contracts::check },
    Step { name: "portable engine", check: portable_engine },
    Step { name: "tests", check: tests },
    Step { name: "documentation tests", check: documentation_tests },
    Step { name: "benches", check: benches },
    Step { name: "binary interop", check: binary_interop },
    Step { name: "memory", check: memory },
    Step { name: "interpreter", check: interpreter },
    Step { name: "own order flow", check: own_flow },
    Step { name: "recorded order flow", check: recorded_flow },
    Step { name: "public tester", check: public_tester },
    Step { name: "public clients", check: public_clients },
];

/// The order flow that the repository brings along.
const OWN_FLOW: &str = "loadtest/tests/data/sample.l3c";

/// Where recorded order flow may lie, seen from the repository's root: it may not be published, so not every machine
/// has it.
const RECORDED_FLOW: &str = "../shared/data/flow";

/// The public tester of matching engines, from the Python package registry.
const PUBLIC_TESTER: &str = "tracebook-conformance==0.6.0";

/// A decoder of SBE messages, from the same registry.
const PYTHON_DECODER: &str = "sbe==0.4.3";
/// Tests of the mapped module and of what stands directly on it.
const MAPPED_TESTS: [&str; 5] = ["mapped::", "ring::", "announcement::", "shared_file::", "watch::"];

/// Where the tester is installed, and where it leaves what it found.
const PYTHON_FOLDER: &str = ".venv";

/// Clients of the public API that others wrote, from the registry of Node.js. The package of the first is what the shared
/// script for it asks for, `ws` what the seeder does.
const NODE_CLIENTS: [&str; 3] = ["@binance/spot@32.0.4", "binance@3.6.5", "ws@8.23.0"];

/// The same from Python's.
const PYTHON_CLIENTS: [&str; 3] = ["python-binance==1.0.37", "ccxt==4.5.90", "binance-sdk-spot==13.3.0"];

/// Where these clients are installed.
const CLIENTS_FOLDER: &str = "target/public-clients";

/// Runs everything that a change has to pass, and prints a summary.
///
/// # Errors
/// The first step that fails.
pub(crate) fn run_all(root: &Path) -> anyhow::Result<()> {
    let (summary, result) = run_steps(root, STEPS);
    print!("\n{summary}");
    result
}

/// Runs `steps` up to the first failure; the summary has a line for each that was begun.
fn run_steps(root: &Path, steps: &[Step]) -> (String, anyhow::Result<()>) {
    let mut summary = String::new();
    let begin = Instant::now();
    for step in steps {
        println!("\n=== {}", step.name);
        let start = Instant::now();
        let result = (step.check)(root);
        let word = result.as_ref().map_or_else(|_| "FAILED".to_owned(), Outcome::to_string);
        add_row(&mut summary, step.name, start.elapsed(), &word);
        if let Err(error) = result {
            return (summary, Err(error.context(format!("step `{}`", step.name))));
        }
    }
    add_row(&mut summary, "all", begin.elapsed(), "");
    (summary, Ok(()))
}

fn add_row(summary: &mut String, name: &str, elapsed: Duration, word: &str) {
    let row = format!("{name:<20} {:>8.1} s  {word}", elapsed.as_secs_f64());
    writeln!(summary, "{}", row.trim_end()).expect("a string takes any text");
}

/// The components that a minimal installation of Rust lacks.
fn ensure_tools(root: &Path) -> anyhow::Result<Outcome> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !works(root, &["cargo", subcommand, "--version"]) {
            run(root, &["rustup", "component", "add", component])?;
        }
    }
    Ok(Outcome::Passed)
}

fn tidy_up(root: &Path) -> anyhow::Result<Outcome> {
    tidy::run(root).map(|()| Outcome::Passed)
}

fn format(root: &Path) -> anyhow::Result<Outcome> {
    run(root, &["cargo", "fmt", "--all", "--check"]).map(|()| Outcome::Passed)
}

fn clippy(root: &Path) -> anyhow::Result<Outcome> {
    let words = ["cargo", "clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run(root, &words).map(|()| Outcome::Passed)
}

fn documentation(root: &Path) -> anyhow::Result<Outcome> {
    let words = ["cargo", "doc", "--locked", "--workspace", "--no-deps"];
    run_with(root, &words, &[("RUSTDOCFLAGS", "-D warnings")]).map(|()| Outcome::Passed)
}

/// The engine where there is no operating system. Its own code is `no_std` in every build; here its dependencies are, too.
/// Where the target cannot be had, tidy's look at the dependencies' features is all that there is.
fn portable_engine(root: &Path) -> anyhow::Result<Outcome> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let is_installed = || {
        let installed = output(root, &["rustup", "target", "list", "--installed"]).unwrap_or_default();
        installed.lines().any(|line| line == TARGET)
    };
    // A network that answers nothing must not hold the rest up.
    if !is_installed() && !works(root, &["timeout", "60", "rustup", "target", "add", TARGET]) {
        return Ok(Outcome::Skipped(format!("rustup has no target {TARGET} here")));
    }
    run(root, &["cargo", "check", "--locked", "-p", "lakh-engine", "--target", TARGET]).map(|()| Outcome::Passed)
}

/// With cargo-nextest where it is installed (a process a test, and it names the slow ones), else with cargo's own.
fn tests(root: &Path) -> anyhow::Result<Outcome> {
    if works(root, &["cargo", "nextest", "--version"]) {
        run(root, &["cargo", "nextest", "run", "--locked", "--workspace"])?;
    } else {
        run(root, &["cargo", "test", "--locked", "--workspace", "--lib", "--bins", "--tests"])?;
    }
    Ok(Outcome::Passed)
}

fn documentation_tests(root: &Path) -> anyhow::Result<Outcome> {
    run(root, &["cargo", "test", "--locked", "--workspace", "--doc"]).map(|()| Outcome::Passed)
}

/// The one module with unsafe code, and all that works on its memory, under valgrind's memcheck.
fn memory(root: &Path) -> anyhow::Result<Outcome> {
    if !works(root, &["valgrind", "--version"]) {
        // As a Debian package where this machine may install one.
        let installed = works(root, &["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "valgrind"]);
        if !installed || !works(root, &["valgrind", "--version"]) {
            return Ok(Outcome::Skipped("there is no valgrind, and it cannot be installed".to_owned()));
        }
    }
    let build = ["cargo", "test", "--locked", "--package", "lakh-journal", "--lib", "--no-run"];
    let messages = output(root, &[&build[..], &["--message-format=json"]].concat())?;
    let binary = test_binary(&messages).context("cargo names no test binary of lakh-journal")?;
    // A test leaks on purpose: its writer dies without cleaning up.
    let valgrind = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=no"];
    run(root, &[&valgrind[..], &[&binary, "--test-threads=1"], &MAPPED_TESTS].concat())?;
    Ok(Outcome::Passed)
}

/// The executable that cargo's messages name.
fn test_binary(messages: &str) -> Option<String> {
    let executable = |line: &str| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    messages.lines().filter_map(executable).next_back()
}

/// The same tests in the interpreter that knows the language's rules, on memory from the heap.
fn interpreter(root: &Path) -> anyhow::Result<Outcome> {
    if !works(root, &["cargo", "+nightly", "miri", "--version"]) {
        return Ok(Outcome::Skipped("no toolchain here has miri".to_owned()));
    }
    let words = ["cargo", "+nightly", "miri", "test", "--package", "lakh-journal", "--lib", "ring::", "watch::"];
    run_with(root, &words, &[("MIRIFLAGS", "-Zmiri-disable-isolation")]).map(|()| Outcome::Passed)
}

fn own_flow(root: &Path) -> anyhow::Result<Outcome> {
    check_flow(root, OWN_FLOW).map(|()| Outcome::Passed)
}

fn recorded_flow(root: &Path) -> anyhow::Result<Outcome> {
    let Ok(folder) = fs::read_dir(root.join(RECORDED_FLOW)) else {
        return Ok(Outcome::Skipped(format!("there is no {RECORDED_FLOW}")));
    };
    let mut files = Vec::new();
    for entry in folder {
        let name = entry.with_context(|| format!("cannot list {RECORDED_FLOW}"))?.file_name();
        files.extend(name.to_str().filter(|name| name.ends_with(".l3c.gz")).map(str::to_owned));
    }
    files.sort_unstable();
    for file in &files {
        check_flow(root, &format!("{RECORDED_FLOW}/{file}"))?;
    }
    if files.is_empty() {
        return Ok(Outcome::Skipped(format!("{RECORDED_FLOW} holds no .l3c.gz")));
    }
    Ok(Outcome::Passed)
}

/// Has the engine match a recorded flow, then a whole venue over its socket: every fill, reject, best price and depth in
/// it has to come out the same.
fn check_flow(root: &Path, file: &str) -> anyhow::Result<()> {
    let program = venue_program(root)?;
    let check = [program.as_str(), "flow", "check", file];
    run(root, &check)?;
    run(root, &[&check[..], &["--through", "gateway"]].concat())?;
    run(root, &[&check[..], &["--through", "binary"]].concat())
}

/// The `lakh` that the tests were run with. A release build, of all libraries once more, would save six seconds:
/// the recorded flows take it 23 and this one 29.
fn venue_program(root: &Path) -> anyhow::Result<String> {
    let workspace = MetadataCommand::new().current_dir(root).no_deps().exec().context("cannot read the workspace")?;
    let program = workspace.target_directory.join("debug/lakh");
    ensure!(program.exists(), "{program} is not there: the tests build it");
    Ok(program.into_string())
}

/// The gateway's benches, and settlement's, to their ends, with a hundredth of the work: a bench that nobody runs would rot.
/// Their figures say nothing here.
fn benches(root: &Path) -> anyhow::Result<Outcome> {
    // By name and of the whole workspace, so that nothing is built anew that the other tests have built.
    let benches = ["--bench", "order", "--bench", "signatures", "--bench", "binary", "--bench", "following"];
    run(root, &[&["cargo", "test", "--locked", "--workspace"], &benches[..]].concat()).map(|()| Outcome::Passed)
}

/// Has two decoders that others' generators make of the binary schema read the golden frames: every field has to come out
/// as the gateway says it is.
fn binary_interop(root: &Path) -> anyhow::Result<Outcome> {
    run(root, &["cargo", "test", "--locked", "--quiet", "--manifest-path", "gateway/interop/Cargo.toml"])?;
    if !works(root, &["python3", "--version"]) {
        return Ok(Outcome::Skipped("only sbe_gen was asked, since there is no python3".to_owned()));
    }
    run(root, &["python3", "-m", "venv", PYTHON_FOLDER])?;
    let python = format!("{PYTHON_FOLDER}/bin/python");
    run(root, &[&python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_DECODER])?;
    run(root, &[&python, "gateway/interop/decode_golden.py"])?;
    Ok(Outcome::Passed)
}

/// Has the differential tester [`PUBLIC_TESTER`] drive the engine beside its own reference: its fixed cases and traces of
/// its own making, compared after every event.
fn public_tester(root: &Path) -> anyhow::Result<Outcome> {
    if !works(root, &["python3", "--version"]) {
        return Ok(Outcome::Skipped("there is no python3".to_owned()));
    }
    run(root, &["python3", "-m", "venv", PYTHON_FOLDER])?;
    let python = format!("{PYTHON_FOLDER}/bin/python");
    run(root, &[&python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PUBLIC_TESTER])?;
    // It keeps a failure to look at, and does not write over one.
    let results = format!("{PYTHON_FOLDER}/qualification");
    if root.join(&results).exists() {
        fs::remove_dir_all(root.join(&results)).with_context(|| format!("cannot remove {results}"))?;
    }
    let adapter = format!("{} flow adapter", venue_program(root)?);
    let tester = format!("{PYTHON_FOLDER}/bin/tracebook-conformance");
    let profile = ["qualify", "--profile", "fifo-full-v1", "--seed", "42", "--traces", "25"];
    let amount =
        ["--events-per-trace", "200", "--timeout", "60", "--output-dir", &results, "--candidate-cmd", &adapter];
    run(root, &[&[tester.as_str()], &profile[..], &amount[..]].concat())?;
    Ok(Outcome::Passed)
}

/// Has public clients trade with a demonstration, in plain text and with TLS. The tests are the node's; without the
/// packages that this installs, or the scripts beside the repository, they only say that they were skipped.
pub(crate) fn public_clients(root: &Path) -> anyhow::Result<Outcome> {
    for program in ["npm", "node", "python3"] {
        if !works(root, &[program, "--version"]) {
            return Ok(Outcome::Skipped(format!("there is no {program}")));
        }
    }
    let folder = root.join(CLIENTS_FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {CLIENTS_FOLDER}"))?;
    let npm = ["npm", "install", "--prefix", ".", "--no-audit", "--no-fund", "--no-package-lock"];
    run(&folder, &[&npm[..], &NODE_CLIENTS].concat())?;
    run(&folder, &["python3", "-m", "venv", "venv"])?;
    let pip = ["venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(&folder, &[&pip[..], &PYTHON_CLIENTS].concat())?;
    let packages = folder.to_str().context("the repository's path is no UTF-8")?;
    let test = ["cargo", "test", "--locked", "--workspace", "--test", "clients", "--", "--nocapture"];
    run_with(root, &test, &[("LAKH_CLIENT_PACKAGES", packages)])?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_the_run_and_stands_in_the_summary() {
        let steps = [
            Step { name: "one", check: |_| Ok(Outcome::Passed) },
            Step { name: "two", check: |_| Ok(Outcome::Skipped("no data".to_owned())) },
            Step { name: "three", check: |_| anyhow::bail!("broken") },
            Step { name: "four", check: |_| unreachable!("nothing runs behind a failure") },
        ];
        let (summary, result) = run_steps(Path::new("."), &steps);
        assert_eq!(format!("{:#}", result.unwrap_err()), "step `three`: broken");
        let rows: Vec<&str> = summary.lines().collect();
        assert_eq!(rows.len(), 3);
        assert!(rows[0].starts_with("one ") && rows[0].ends_with("passed"), "{summary}");
        assert!(rows[1].starts_with("two ") && rows[1].ends_with("skipped: no data"), "{summary}");
        assert!(rows[2].starts_with("three ") && rows[2].ends_with("FAILED"), "{summary}");
    }

    #[test]
    fn a_run_without_failure_ends_with_the_whole_time() {
        let steps = [Step { name: "one", check: |_| Ok(Outcome::Passed) }];
        let (summary, result) = run_steps(Path::new("."), &steps);
        assert!(result.is_ok());
        assert!(summary.lines().last().unwrap().starts_with("all "), "{summary}");
    }

    #[test]
    fn the_test_binary_is_the_last_one_that_is_named() {
        let messages =
            "{\"executable\":null}\n{\"executable\":\"/t/a-1\"}\n{\"executable\":\"/t/b-2\",\"fresh\":true}\n";
        assert_eq!(test_binary(messages).as_deref(), Some("/t/b-2"));
        assert_eq!(test_binary("{\"executable\":null}"), None);
    }

    #[test]
    fn step_names_differ() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|earlier| earlier.name != step.name), "{}", step.name);
        }
    }
}
