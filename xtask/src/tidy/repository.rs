//! What tidy looks at, as plain data: the files of the repository and what its crates depend on.

use std::fs;
use std::path::Path;

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::command::output;

/// The files and crates of the repository.
#[derive(Debug, Default)]
pub(super) struct Repository {
    /// Every file that is tracked or would be, by path.
    pub(super) files: Vec<SourceFile>,
    /// The crates of the workspace.
    pub(super) packages: Vec<Package>,
    /// The names in `[workspace.dependencies]`.
    pub(super) workspace_dependencies: Vec<String>,
}

/// A file of the repository.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// From the root, with slashes.
    pub(super) path: String,
    /// Its text; empty for what is no UTF-8.
    pub(super) text: String,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    /// Its name.
    pub(super) name: String,
    /// What it depends on directly.
    pub(super) dependencies: Vec<Dependency>,
    /// The files that its libraries and programs begin with, from the repository's root.
    pub(super) roots: Vec<String>,
}

/// A direct dependency.
#[derive(Debug)]
pub(super) struct Dependency {
    /// The name of the crate that is depended on.
    pub(super) name: String,
    /// Whether its code ends up in ours or only in tests.
    pub(super) purpose: Purpose,
    /// Which of its features are taken.
    pub(super) features: Features,
}

/// Which features of a dependency are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Features {
    /// Its default ones, and perhaps more.
    Default,
    /// Only those that are named.
    Named,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The crate itself, or building it.
    Code,
    /// Its tests and benchmarks.
    Tests,
}

impl Repository {
    /// Reads the repository at `root` as git and cargo see it. Files that are not tracked yet count: they will be.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let list = output(root, &["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut paths: Vec<&str> = list.split_terminator('\0').collect();
        paths.sort_unstable();
        paths.dedup();
        // A path that is still listed but gone from the disk, or a link to a folder, is no file to look at.
        let files = paths.into_iter().filter_map(|path| {
            let bytes = fs::read(root.join(path)).ok()?;
            Some(SourceFile { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() })
        });
        let files = files.collect();
        let metadata =
            MetadataCommand::new().current_dir(root).no_deps().exec().context("cannot read the workspace")?;
        let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
        Ok(Self { files, packages: packages(&metadata), workspace_dependencies: workspace_dependencies(&manifest) })
    }

    /// The text of the file at `path`.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

fn packages(metadata: &Metadata) -> Vec<Package> {
    let from_root = |path: &cargo_metadata::camino::Utf8Path| {
        path.strip_prefix(&metadata.workspace_root).unwrap_or(path).as_str().replace('\\', "/")
    };
    let package = |package: &cargo_metadata::Package| Package {
        name: package.name.to_string(),
        dependencies: package
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                purpose: match dependency.kind {
                    DependencyKind::Development => Purpose::Tests,
                    _ => Purpose::Code,
                },
                features: match dependency.uses_default_features {
                    true => Features::Default,
                    false => Features::Named,
                },
            })
            .collect(),
        roots: package
            .targets
            .iter()
            .filter(|target| target.is_lib() || target.is_bin())
            .map(|target| from_root(&target.src_path))
            .collect(),
    };
    metadata.workspace_packages().into_iter().map(package).collect()
}

/// The keys of `[workspace.dependencies]`. Read line by line: the table is ours and has one line an entry, and a TOML
/// reader would be the heaviest part of this program.
fn workspace_dependencies(manifest: &str) -> Vec<String> {
    let table = manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    table
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().trim_matches('"').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_of_the_workspace_table_only() {
        let manifest = "[workspace]\nmembers = []\n\n[workspace.dependencies]\nours = { path = \"a\" }\n\n# why\n\
                        theirs = \"1.0\"\n\n[profile.dev]\nopt-level = 1\n";
        assert_eq!(workspace_dependencies(manifest), ["ours", "theirs"]);
        assert_eq!(workspace_dependencies("[package]\nname = \"x\"\n"), Vec::<String>::new());
    }

    #[test]
    fn reads_this_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let repository = Repository::read(root).unwrap();
        let xtask = repository.packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!(xtask.roots, ["xtask/src/main.rs"]);
        assert!(xtask.dependencies.iter().any(|dependency| dependency.name == "cargo_metadata"));
        assert!(repository.workspace_dependencies.iter().any(|name| name == "anyhow"));
        assert!(repository.text("xtask/src/tidy/repository.rs").unwrap().starts_with("//!"));
        assert!(repository.text("xtask/src/nothing.rs").is_none());
    }
}
