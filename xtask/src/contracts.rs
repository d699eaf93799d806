//! The contracts' step of `cargo xtask ci`: built, tested, proved, attacked and linted.
//!
//! Two lines of work run side by side, since the compiler knows one processor: what is deployed is built once through the
//! IR, which takes longest, tested as it was built, and halmos proves things of it; beside it each check is removed in turn,
//! and slither reads the sources, both on the fast build that needs no optimizer.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::ci::Outcome;
use crate::command::{run, run_with, works};

/// Where they are.
const FOLDER: &str = "settlement/contracts";

/// Looks for patterns that went wrong elsewhere, from the Python package registry.
const LINTER: &str = "slither-analyzer==0.11.6";

/// Executes the contracts with every value at once, from the same registry.
const PROVER: &str = "halmos==0.3.3";

/// Where they are installed, each in a folder of its own: others of our tools ask for other versions of the same packages.
const TOOLS_FOLDER: &str = "target/contract-tools";

/// Their tests, that each check removed breaks one of them, that what is committed is what they build, and that the
/// linter finds nothing that is not answered. It comes before the other tests, some of which run on the anvil that it
/// installs.
pub(crate) fn check(root: &Path) -> anyhow::Result<Outcome> {
    let folder = root.join(FOLDER);
    run(&folder, &["npm", "ci", "--no-audit", "--no-fund"])?;
    run(&folder, &["node_modules/.bin/forge", "fmt", "--check"])?;
    let has_python = works(root, &["python3", "--version"]);
    let is_proved = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            run(&folder, &["node", "mutate.mjs"])?;
            if has_python { lint(root) } else { Ok(()) }
        });
        let deployed = test_what_is_deployed(&folder);
        let proved = deployed.and_then(|()| if has_python { prove(root) } else { Ok(false) });
        beside.join().expect("what runs a program does not panic").and(proved)
    })?;
    if !has_python {
        return Ok(Outcome::Skipped("only tests and removed checks, since there is no python3".to_owned()));
    }
    if !is_proved {
        return Ok(Outcome::Skipped(format!("only the proofs, since {PROVER} cannot be installed here")));
    }
    Ok(Outcome::Passed)
}

/// The build that the tests deploy has to be the committed one; what it costs has to be what is committed too.
fn test_what_is_deployed(folder: &Path) -> anyhow::Result<()> {
    run(folder, &["node", "check-artifacts.mjs"])?;
    run_with(folder, &["node_modules/.bin/forge", "test"], &[("FORGE_SNAPSHOT_CHECK", "true")])
}

/// Installs a Python package; gives the folder of its programs, and a search path that finds forge too.
fn install(root: &Path, package: &str) -> anyhow::Result<(String, String)> {
    let name = package.split('=').next().expect("a split has a first part");
    let tool = root.join(TOOLS_FOLDER).join(name);
    fs::create_dir_all(&tool).with_context(|| format!("cannot make {}", tool.display()))?;
    let tool = tool.to_str().context("the repository's path is no UTF-8")?;
    run(root, &["python3", "-m", "venv", tool])?;
    let python = format!("{tool}/bin/python");
    run(root, &[&python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])?;
    let forge = root.join(FOLDER).join("node_modules/.bin");
    let paths = std::env::var("PATH").context("there is no PATH")?;
    let forge = forge.to_str().context("the repository's path is no UTF-8")?;
    Ok((format!("{tool}/bin"), format!("{tool}/bin:{forge}:{paths}")))
}

/// The proofs, and for each of them a removed check that it notices; false where the prover cannot be installed. It is made
/// for fewer machines than the rest, since it brings solvers.
fn prove(root: &Path) -> anyhow::Result<bool> {
    let (_, path) = match install(root, PROVER) {
        Ok(installed) => installed,
        Err(error) => {
            eprintln!("contracts: no proofs: {error:#}");
            return Ok(false);
        }
    };
    run_with(&root.join(FOLDER), &["node", "prove.mjs"], &[("PATH", &path)])?;
    Ok(true)
}

/// The linter; what it may find is answered where it stands, or in `slither.config.json` for all.
fn lint(root: &Path) -> anyhow::Result<()> {
    let (programs, path) = install(root, LINTER)?;
    let words = [&format!("{programs}/slither"), "."];
    run_with(&root.join(FOLDER), &words, &[("PATH", &path), ("FOUNDRY_PROFILE", "lint")])
}
