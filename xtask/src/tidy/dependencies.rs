//! Who may depend on whom. The engine stays pure and the journal small because nothing else can be reached from them.

use super::Finding;
use super::repository::{Features, Package, Purpose, Repository};

/// The crates of the workspace and which of the others each may use.
const EDGES: &[(&str, &[&str])] = &[
    ("lakh-engine", &[]),
    ("lakh-journal", &[]),
    ("lakh-config", &["lakh-engine"]),
    ("lakh-gateway", &["lakh-engine", "lakh-journal"]),
    ("lakh-settlement", &["lakh-engine", "lakh-journal"]),
    ("lakh-loadtest", &["lakh-engine", "lakh-gateway"]),
    ("lakh-node", &["lakh-config", "lakh-engine", "lakh-gateway", "lakh-journal", "lakh-loadtest", "lakh-settlement"]),
    ("xtask", &[]),
];

/// Crates from outside that belong to some of ours only: the beginning of the name, who may use them, and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    (
        "tokio",
        &["lakh-gateway", "lakh-settlement", "lakh-loadtest", "lakh-node"],
        "the matching path has no asynchronous runtime",
    ),
    ("memmap2", &["lakh-journal"], "mapped memory, and with it unsafe code, stays in one crate"),
    ("revm", &["lakh-settlement"], "the chain stays behind settlement"),
    ("alloy", &["lakh-settlement"], "the chain stays behind settlement"),
    ("toml", &["lakh-config"], "libraries take plain options, only the configuration reads files"),
];

/// What the engine may use from outside.
const ENGINE_EXTERNAL: &[&str] = &["blake3", "prefetch-index", "sha3"];

/// No crate of ours uses another one that it may not.
pub(super) fn edges(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::new(&package.name, "is a new crate: say in xtask's EDGES what it may depend on"));
            continue;
        };
        for name in names(package, is_ours).filter(|name| !allowed.contains(name)) {
            findings.push(Finding::new(&package.name, format!("may not depend on {name}")));
        }
    }
    findings
}

/// Crates from outside stay where they belong, in tests too.
pub(super) fn confined_crates(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        for (prefix, allowed, why) in CONFINED {
            let used = names(package, |name| belongs_to(name, prefix));
            if allowed.contains(&package.name.as_str()) {
                continue;
            }
            findings.extend(used.map(|name| Finding::new(&package.name, format!("may not depend on {name}: {why}"))));
        }
    }
    findings
}

/// The engine's own dependencies are few; its tests may use others.
pub(super) fn engine_stays_small(repository: &Repository) -> Vec<Finding> {
    let engine = repository.packages.iter().filter(|package| package.name == "lakh-engine");
    let code =
        engine.flat_map(|package| &package.dependencies).filter(|dependency| dependency.purpose == Purpose::Code);
    code.map(|dependency| dependency.name.as_str())
        .filter(|name| !is_ours(name) && !ENGINE_EXTERNAL.contains(name))
        .map(|name| Finding::new("lakh-engine", format!("may not depend on {name}: only on {ENGINE_EXTERNAL:?}")))
        .collect()
}

/// What the engine uses runs without an operating system, as its own code does: default features mostly need one.
pub(super) fn engine_stays_portable(repository: &Repository) -> Vec<Finding> {
    let engine = repository.packages.iter().filter(|package| package.name == "lakh-engine");
    let code =
        engine.flat_map(|package| &package.dependencies).filter(|dependency| dependency.purpose == Purpose::Code);
    code.filter(|dependency| dependency.features == Features::Default)
        .map(|dependency| {
            let name = &dependency.name;
            Finding::new("lakh-engine", format!("takes {name}'s default features: the engine is no_std"))
        })
        .collect()
}

/// The version of every crate from outside is said once, in the root's manifest.
pub(super) fn versions_in_one_place(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        let listed = |name: &str| repository.workspace_dependencies.iter().any(|known| known == name);
        for name in names(package, |name| !listed(name)) {
            findings.push(Finding::new(&package.name, format!("{name} is not in [workspace.dependencies]")));
        }
    }
    findings
}

/// What the root's manifest lists is used.
pub(super) fn unused_versions(repository: &Repository) -> Vec<Finding> {
    let used = |name: &String| {
        repository.packages.iter().flat_map(|package| &package.dependencies).any(|dependency| dependency.name == *name)
    };
    let unused = repository.workspace_dependencies.iter().filter(|name| !used(name));
    unused.map(|name| Finding::new("Cargo.toml", format!("no crate uses {name}: remove it"))).collect()
}

/// The names of a package's dependencies that `keep` keeps.
fn names<'a>(package: &'a Package, keep: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a str> {
    package.dependencies.iter().map(|dependency| dependency.name.as_str()).filter(move |name| keep(name))
}

/// Whether `name` is a crate of this workspace.
pub(super) fn is_ours(name: &str) -> bool {
    EDGES.iter().any(|(ours, _)| *ours == name) || name.starts_with("lakh-")
}

/// Whether `name` is `family` or one of its parts, such as `tokio-util` of `tokio`.
fn belongs_to(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::super::repository::Dependency;
    use super::*;

    fn repository(package: &str, dependencies: &[(&str, Purpose)], versions: &[&str]) -> Repository {
        let dependencies = dependencies
            .iter()
            .map(|(name, purpose)| Dependency {
                name: (*name).to_owned(),
                purpose: *purpose,
                features: Features::Default,
            })
            .collect();
        Repository {
            packages: vec![Package { name: package.to_owned(), dependencies, roots: Vec::new() }],
            workspace_dependencies: versions.iter().map(|name| (*name).to_owned()).collect(),
            ..Repository::default()
        }
    }

    fn messages(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.message)).collect()
    }

    #[test]
    fn an_edge_outside_of_the_table_is_found() {
        let cases = [
            ("lakh-engine", "lakh-journal", false),
            ("lakh-journal", "lakh-engine", false),
            ("lakh-config", "lakh-engine", true),
            ("lakh-gateway", "lakh-config", false),
            ("lakh-loadtest", "lakh-settlement", false),
            ("lakh-node", "lakh-settlement", true),
            ("lakh-node", "xtask", false),
            ("xtask", "lakh-engine", false),
            ("xtask", "clap", true),
        ];
        for (from, to, allowed) in cases {
            for purpose in [Purpose::Code, Purpose::Tests] {
                let found = edges(&repository(from, &[(to, purpose)], &[]));
                assert_eq!(found.is_empty(), allowed, "{from} -> {to}: {found:?}");
            }
        }
        let found = messages(edges(&repository("lakh-new", &[], &[])));
        assert_eq!(found, ["lakh-new: is a new crate: say in xtask's EDGES what it may depend on"]);
    }

    #[test]
    fn a_crate_outside_of_its_place_is_found() {
        let cases = [
            ("lakh-gateway", "tokio", true),
            ("lakh-gateway", "tokio-tungstenite", true),
            ("lakh-journal", "tokio", false),
            ("lakh-config", "tokio-util", false),
            ("lakh-config", "tokiocracy", true),
            ("lakh-journal", "memmap2", true),
            ("lakh-node", "memmap2", false),
            ("lakh-node", "alloy-sol-types", false),
            ("lakh-settlement", "alloy-sol-types", true),
            ("lakh-node", "revm", false),
            ("lakh-gateway", "toml", false),
        ];
        for (from, to, allowed) in cases {
            let found = confined_crates(&repository(from, &[(to, Purpose::Tests)], &[]));
            assert_eq!(found.is_empty(), allowed, "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn the_engine_takes_nothing_else_but_for_its_tests() {
        let good = [("blake3", Purpose::Code), ("sha3", Purpose::Code), ("proptest", Purpose::Tests)];
        assert_eq!(engine_stays_small(&repository("lakh-engine", &good, &[])), []);
        assert_eq!(engine_stays_small(&repository("lakh-config", &[("serde", Purpose::Code)], &[])), []);
        let found = messages(engine_stays_small(&repository("lakh-engine", &[("serde", Purpose::Code)], &[])));
        assert_eq!(found, ["lakh-engine: may not depend on serde: only on [\"blake3\", \"prefetch-index\", \"sha3\"]"]);
    }

    #[test]
    fn the_engine_takes_no_default_features() {
        let mut engine = repository("lakh-engine", &[("sha3", Purpose::Code), ("proptest", Purpose::Tests)], &[]);
        let found = messages(engine_stays_portable(&engine));
        assert_eq!(found, ["lakh-engine: takes sha3's default features: the engine is no_std"]);
        engine.packages[0].dependencies[0].features = Features::Named;
        assert_eq!(engine_stays_portable(&engine), []);
    }

    #[test]
    fn versions_are_listed_once_and_used() {
        let repository = repository("xtask", &[("clap", Purpose::Code), ("regex", Purpose::Code)], &["clap", "rand"]);
        assert_eq!(messages(versions_in_one_place(&repository)), ["xtask: regex is not in [workspace.dependencies]"]);
        assert_eq!(messages(unused_versions(&repository)), ["Cargo.toml: no crate uses rand: remove it"]);
    }
}
