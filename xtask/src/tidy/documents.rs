//! Documents that name files and dependencies say what is there, all of it and nothing else.

use super::Finding;
use super::dependencies::is_ours;
use super::repository::Repository;

/// Why each dependency is one.
const DECISIONS: &str = "docs/decisions.md";

/// Where what is.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Every crate from outside has a line "- `name`: why" under "Dependencies" in the decisions, and every line a crate.
pub(super) fn reasons_for_dependencies(repository: &Repository) -> Vec<Finding> {
    let Some(text) = repository.text(DECISIONS) else { return vec![Finding::new(DECISIONS, "is missing")] };
    let explained: Vec<&str> = section(text, "Dependencies").flat_map(|(_, line)| subjects(line)).collect();
    let external = || repository.workspace_dependencies.iter().map(String::as_str).filter(|name| !is_ours(name));
    let unexplained = external()
        .filter(|name| !explained.contains(name))
        .map(|name| Finding::new(DECISIONS, format!("has no line \"- `{name}`: why\" under \"Dependencies\"")));
    let stale = explained
        .iter()
        .filter(|name| !external().any(|known| known == **name))
        .map(|name| Finding::new(DECISIONS, format!("explains {name}, which is not in [workspace.dependencies]")));
    unexplained.chain(stale).collect()
}

/// The code map in the architecture has a line "- `path`: what" for every source file of a crate, and every path that it
/// names is a file, or a folder with a slash at its end.
pub(super) fn code_map(repository: &Repository) -> Vec<Finding> {
    let Some(text) = repository.text(ARCHITECTURE) else { return vec![Finding::new(ARCHITECTURE, "is missing")] };
    let mapped: Vec<(usize, &str)> = section(text, "Code map")
        .flat_map(|(number, line)| subjects(line).into_iter().map(move |path| (number, path)))
        .collect();
    let exists = |path: &str| {
        repository
            .files
            .iter()
            .any(|file| if path.ends_with('/') { file.path.starts_with(path) } else { file.path == path })
    };
    let gone = mapped.iter().filter(|(_, path)| !exists(path)).map(|(number, path)| {
        Finding::new(format!("{ARCHITECTURE}:{number}"), format!("names {path}, which is not there"))
    });
    let missing = repository
        .files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| is_crate_source(path) && !mapped.iter().any(|(_, known)| known == path))
        .map(|path| Finding::new(ARCHITECTURE, format!("has no line \"- `{path}`: what\" under \"Code map\"")));
    gone.chain(missing).collect()
}

/// The tables of the journal's format are the same, row by row, in its document and beside the code.
pub(super) fn journal_tables(repository: &Repository) -> Vec<Finding> {
    const FORMAT: &str = "docs/journal_format.md";
    let Some(document) = repository.text(FORMAT) else { return vec![Finding::new(FORMAT, "is missing")] };
    let layouts = ["archive", "block", "heads", "record", "recovery", "segment", "snapshot"];
    let rows_beside_code: Vec<(String, &str)> = layouts
        .iter()
        .map(|module| format!("journal/src/{module}.rs"))
        .flat_map(|path| {
            let text = repository.text(&path).unwrap_or_default();
            let rows = text.lines().filter_map(|line| line.strip_prefix("//! ")).filter(|line| is_row(line));
            rows.map(move |row| (path.clone(), row)).collect::<Vec<_>>()
        })
        .collect();
    let files: Vec<usize> = section(document, "Files of a journal's directory").map(|(number, _)| number).collect();
    let numbered = || (1..).zip(document.lines()).filter(|(number, line)| is_row(line) && !files.contains(number));
    let only_in_document = numbered()
        .filter(|(_, row)| !rows_beside_code.iter().any(|(_, other)| other == row))
        .map(|(number, row)| Finding::new(format!("{FORMAT}:{number}"), format!("no module has this row: {row}")));
    let only_beside_code = rows_beside_code
        .iter()
        .filter(|(_, row)| !numbered().any(|(_, other)| other == *row))
        .map(|(path, row)| Finding::new(path, format!("{FORMAT} does not have this row: {row}")));
    only_in_document.chain(only_beside_code).collect()
}

/// Whether the line is a row of a table: not its head, whose first cell names a column, and not the line under it.
fn is_row(line: &str) -> bool {
    let is_head =
        |line: &str| ["offset", "part", "words", "head or"].iter().any(|head| line[1..].trim_start().starts_with(head));
    line.starts_with('|') && !line.starts_with("|---") && !is_head(line)
}

/// A lock file of npm that says where a package was loaded from is good on one network only.
pub(super) fn lock_files(repository: &Repository) -> Vec<Finding> {
    let locks = repository.files.iter().filter(|file| file.path.rsplit('/').next() == Some("package-lock.json"));
    locks
        .filter(|file| file.text.contains("\"resolved\""))
        .map(|file| Finding::new(&file.path, "holds addresses: make it with --omit-lockfile-registry-resolved"))
        .collect()
}

/// Whether `path` is a source file of a crate: `crate/src/….rs`.
fn is_crate_source(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    parts.next() == Some("src") && path.ends_with(".rs")
}

/// The lines under the heading `title`, with their numbers, up to the next heading of its level or above.
fn section<'a>(text: &'a str, title: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let level = |line: &str| line.bytes().take_while(|byte| *byte == b'#').count();
    let is_title = move |line: &str| level(line) > 0 && line.trim_start_matches('#').trim() == title;
    let mut depth = 0;
    (1..).zip(text.lines()).skip_while(move |(_, line)| !is_title(line)).enumerate().map_while(
        move |(index, (number, line))| {
            if index == 0 {
                depth = level(line);
            }
            (index == 0 || level(line) == 0 || level(line) > depth).then_some((number, line))
        },
    )
}

/// What a line "- `one`, `two`: text" is about. Nothing for other lines.
fn subjects(line: &str) -> Vec<&str> {
    let Some((list, _)) = line.trim_start().strip_prefix("- `").and_then(|rest| rest.split_once("`:")) else {
        return Vec::new();
    };
    list.split("`, `").collect()
}

#[cfg(test)]
mod tests {
    use super::super::repository::SourceFile;
    use super::*;

    fn repository(files: &[(&str, &str)], versions: &[&str]) -> Repository {
        let file = |(path, text): &(&str, &str)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() };
        Repository {
            files: files.iter().map(file).collect(),
            workspace_dependencies: versions.iter().map(|name| (*name).to_owned()).collect(),
            ..Repository::default()
        }
    }

    fn messages(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.message)).collect()
    }

    #[test]
    fn a_dependency_without_a_reason_and_a_reason_without_a_dependency_are_found() {
        let text = "# D\n- `outside`: of the section\n## Dependencies\n### A\n- `clap`, `serde`: why\n- plain\n## Else\n- `x`: y\n";
        assert_eq!(reasons_for_dependencies(&repository(&[(DECISIONS, text)], &["clap", "serde", "lakh-engine"])), []);
        let found = messages(reasons_for_dependencies(&repository(&[(DECISIONS, text)], &["clap", "rand", "outside"])));
        let expected = [
            "docs/decisions.md: has no line \"- `rand`: why\" under \"Dependencies\"",
            "docs/decisions.md: has no line \"- `outside`: why\" under \"Dependencies\"",
            "docs/decisions.md: explains serde, which is not in [workspace.dependencies]",
        ];
        assert_eq!(found, expected);
        assert_eq!(messages(reasons_for_dependencies(&repository(&[], &[]))), ["docs/decisions.md: is missing"]);
    }

    #[test]
    fn a_row_that_stands_in_one_place_only_is_found() {
        let head = "| offset | size | type | meaning |\n|---:|---:|---|---|\n";
        let document = format!(
            "# J\n## Files of a journal's directory\n| `x` | y |\n## Block\n{head}| 0 | 4 | u32 | one |\n| 4 | 4 | u32 | two |\n"
        );
        let module = "//! | offset | size | type | meaning |\n//! |---:|---:|---|---|\n//! | 0 | 4 | u32 | one |\n//! | 4 | 8 | u64 | two |\n";
        let files = [("docs/journal_format.md", document.as_str()), ("journal/src/block.rs", module)];
        let expected = [
            "docs/journal_format.md:8: no module has this row: | 4 | 4 | u32 | two |",
            "journal/src/block.rs: docs/journal_format.md does not have this row: | 4 | 8 | u64 | two |",
        ];
        assert_eq!(messages(journal_tables(&repository(&files, &[]))), expected);
    }

    #[test]
    fn a_file_without_a_line_and_a_line_without_a_file_are_found() {
        let map = "# A\n## Code map\n### engine\n- `engine/src/lib.rs`: root\n- `web/`: page\n- `gone.rs`: no\n- `no/`: no\n## B\n";
        let files = [
            (ARCHITECTURE, map),
            ("engine/src/lib.rs", ""),
            ("engine/src/book/side.rs", ""),
            ("engine/tests/book.rs", ""),
            ("web/page.html", ""),
        ];
        let found = messages(code_map(&repository(&files, &[])));
        let expected = [
            "ARCHITECTURE.md:6: names gone.rs, which is not there",
            "ARCHITECTURE.md:7: names no/, which is not there",
            "ARCHITECTURE.md: has no line \"- `engine/src/book/side.rs`: what\" under \"Code map\"",
        ];
        assert_eq!(found, expected);
        assert_eq!(messages(code_map(&repository(&[], &[]))), ["ARCHITECTURE.md: is missing"]);
    }

    #[test]
    fn a_lock_file_with_addresses_is_found() {
        let with = "{\"resolved\": \"x\"}";
        assert_eq!(lock_files(&repository(&[("web/package-lock.json", with)], &[])).len(), 1);
        assert_eq!(lock_files(&repository(&[("package-lock.json", with)], &[])).len(), 1);
        assert_eq!(lock_files(&repository(&[("package-lock.json", "{}"), ("other.json", with)], &[])), []);
    }
}
