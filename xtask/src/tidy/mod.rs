//! `cargo xtask tidy`: the house rules that no compiler knows, each a small function from the repository to findings.
//!
//! A rule looks at plain data ([`repository::Repository`]) and never at the disk, so that its tests show it a bad sample
//! in a string. The words that a rule looks for are put together from halves, or it would find itself.

mod dependencies;
mod documents;
mod repository;
mod sources;

use std::path::Path;

use anyhow::bail;
use repository::Repository;

/// A broken rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, with the line where there is one, or the crate.
    place: String,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// The house rules.
const RULES: &[fn(&Repository) -> Vec<Finding>] = &[
    dependencies::edges,
    dependencies::confined_crates,
    dependencies::engine_stays_small,
    dependencies::engine_stays_portable,
    dependencies::versions_in_one_place,
    dependencies::unused_versions,
    sources::heads,
    sources::lengths,
    sources::unsafe_code,
    sources::leftovers,
    sources::registry_hosts,
    sources::machine_paths,
    documents::reasons_for_dependencies,
    documents::code_map,
    documents::journal_tables,
    documents::lock_files,
];

/// Checks every rule in the repository at `root`.
///
/// # Errors
/// When a rule is broken, after printing each place; when git or cargo cannot tell what the repository holds.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let repository = Repository::read(root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&repository)).collect();
    findings.sort_unstable();
    for Finding { place, message } in &findings {
        println!("{place}: {message}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} found", findings.len());
    }
    println!("tidy: {} rules, {} files, nothing found", RULES.len(), repository.files.len());
    Ok(())
}
