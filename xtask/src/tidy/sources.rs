//! What every source file has and what none holds.

use super::Finding;
use super::repository::{Repository, SourceFile};

/// The longest source file in lines, tests included.
const MAX_LINES: usize = 600;

/// The crate that may hold unsafe code, in the one module that it allows it for.
const UNSAFE_CRATE: &str = "lakh-journal";

/// Words that say that something is not finished. Documents may speak of them.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
];

/// Hosts of package registries: a file that names one builds on one network only.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Each source file says first what it is.
pub(super) fn heads(repository: &Repository) -> Vec<Finding> {
    let headless = rust_files(repository).filter(|file| !file.text.starts_with("//!"));
    headless.map(|file| Finding::new(&file.path, "does not begin with //! and what it is")).collect()
}

/// No source file is too long to be known.
pub(super) fn lengths(repository: &Repository) -> Vec<Finding> {
    let long = rust_files(repository).map(|file| (file, file.text.lines().count())).filter(|(_, n)| *n > MAX_LINES);
    long.map(|(file, lines)| Finding::new(&file.path, format!("has {lines} lines, more than {MAX_LINES}: split it")))
        .collect()
}

/// Each crate forbids unsafe code; the one that has some denies it, so that only a marked module holds it.
pub(super) fn unsafe_code(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &repository.packages {
        let level = if package.name == UNSAFE_CRATE { "deny" } else { "forbid" };
        let line = format!("#![{level}(unsafe_code)]");
        for root in &package.roots {
            if !repository.text(root).is_some_and(|text| text.lines().any(|candidate| candidate == line)) {
                findings.push(Finding::new(root, format!("lacks the line {line}")));
            }
        }
    }
    findings
}

/// Nothing is left to be done.
pub(super) fn leftovers(repository: &Repository) -> Vec<Finding> {
    let files = repository.files.iter().filter(|file| !has_extension(file, "md"));
    files.flat_map(|file| occurrences(file, LEFTOVERS, is_word, "is left over: do it or drop it")).collect()
}

/// No file names a package registry. Cargo's lock file cannot do otherwise.
pub(super) fn registry_hosts(repository: &Repository) -> Vec<Finding> {
    let files = repository.files.iter().filter(|file| !file.path.ends_with("Cargo.lock"));
    files.flat_map(|file| occurrences(file, REGISTRY_HOSTS, |_, _| true, "is a package registry")).collect()
}

/// No file names a path of somebody's machine.
pub(super) fn machine_paths(repository: &Repository) -> Vec<Finding> {
    let files = repository.files.iter();
    files
        .flat_map(|file| {
            occurrences(file, MACHINE_PATHS, |before, _| !continues_path(before), "is a path of one machine")
        })
        .collect()
}

fn rust_files(repository: &Repository) -> impl Iterator<Item = &SourceFile> {
    repository.files.iter().filter(|file| has_extension(file, "rs"))
}

fn has_extension(file: &SourceFile, extension: &str) -> bool {
    file.path.rsplit_once('.').is_some_and(|(_, last)| last == extension)
}

/// The lines of `file` that hold one of `words` where the text before and behind it satisfies `stands`.
fn occurrences(file: &SourceFile, words: &[&str], stands: fn(&str, &str) -> bool, what: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in file.text.lines().zip(1..) {
        for word in words {
            let found = line.match_indices(word).any(|(at, _)| stands(&line[..at], &line[at + word.len()..]));
            if found {
                findings.push(Finding::new(format!("{}:{number}", file.path), format!("{word} {what}")));
            }
        }
    }
    findings
}

/// Whether what stands between `before` and `behind` is a word of its own.
fn is_word(before: &str, behind: &str) -> bool {
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    !before.ends_with(in_word) && !behind.starts_with(in_word)
}

/// Whether a slash behind `before` goes on with a path: then it is no absolute one.
fn continues_path(before: &str) -> bool {
    before.ends_with(|character: char| character.is_alphanumeric() || "._-~*}$)".contains(character))
}

#[cfg(test)]
mod tests {
    use super::super::repository::Package;
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn repository(path: &str, text: &str) -> Repository {
        Repository { files: vec![file(path, text)], ..Repository::default() }
    }

    #[test]
    fn a_source_file_without_a_head_is_found() {
        assert_eq!(heads(&repository("a.rs", "//! What.\n")), []);
        assert_eq!(heads(&repository("a.md", "Text.\n")), []);
        for text in ["", "// What.\n", "\n//! What.\n", "use std::fs;\n"] {
            assert_eq!(heads(&repository("a.rs", text)).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_long_source_file_is_found() {
        assert_eq!(lengths(&repository("a.rs", &"//!\n".repeat(MAX_LINES))), []);
        assert_eq!(lengths(&repository("a.txt", &"//!\n".repeat(MAX_LINES + 1))), []);
        let found = lengths(&repository("a.rs", &"//!\n".repeat(MAX_LINES + 1)));
        assert_eq!(found, [Finding::new("a.rs", "has 601 lines, more than 600: split it")]);
    }

    #[test]
    fn a_crate_that_does_not_forbid_unsafe_code_is_found() {
        let cases = [
            ("lakh-engine", "#![forbid(unsafe_code)]", true),
            ("lakh-engine", "#![deny(unsafe_code)]", false),
            ("lakh-engine", "// #![forbid(unsafe_code)]", false),
            ("lakh-journal", "#![deny(unsafe_code)]", true),
            ("lakh-journal", "", false),
        ];
        for (name, line, good) in cases {
            let mut repository = repository("x/src/lib.rs", &format!("//! What.\n{line}\n"));
            let roots = vec!["x/src/lib.rs".to_owned()];
            repository.packages.push(Package { name: name.to_owned(), dependencies: Vec::new(), roots });
            assert_eq!(unsafe_code(&repository).is_empty(), good, "{name} {line}");
        }
    }

    #[test]
    fn leftovers_are_found_as_words_and_not_in_documents() {
        for word in LEFTOVERS {
            assert_eq!(
                leftovers(&repository("a.rs", &format!("//! What.\n    {word}\n")))[0].place,
                "a.rs:2",
                "{word}"
            );
            assert_eq!(leftovers(&repository("a.rs", &format!("my_{word}"))), []);
            assert_eq!(leftovers(&repository("a.md", word)), []);
        }
        let call = format!("{}(\"later\")", LEFTOVERS[2]);
        assert_eq!(leftovers(&repository("a.rs", &call)).len(), 1);
        assert_eq!(leftovers(&repository("a.rs", &format!("{}S", LEFTOVERS[0]))), []);
    }

    #[test]
    fn registries_are_found_but_in_cargos_own_lock_file() {
        for host in REGISTRY_HOSTS {
            let text = format!("url = https://{host}/x\n");
            assert_eq!(registry_hosts(&repository("a.md", &text)).len(), 1, "{host}");
            assert_eq!(registry_hosts(&repository("Cargo.lock", &text)), []);
            assert_eq!(registry_hosts(&repository("fuzz/Cargo.lock", &text)), []);
        }
    }

    #[test]
    fn absolute_paths_of_a_machine_are_found_and_others_are_not() {
        for path in MACHINE_PATHS {
            for before in ["", "see ", "\"", "=", "(", "file://", "`", ":"] {
                assert_eq!(machine_paths(&repository("a.md", &format!("{before}{path}x"))).len(), 1, "{before}{path}");
            }
            for before in ["net", "docs", "..", "~", "$DIR", "${DIR}", "https://example.org"] {
                assert_eq!(machine_paths(&repository("a.md", &format!("{before}{path}x"))), [], "{before}{path}");
            }
        }
    }
}
