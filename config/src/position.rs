//! Where in a TOML document a refused byte stands: line, column and key path.
//!
//! The parser tells a byte offset only. The path is rebuilt from the text for the message alone, line by line: table
//! headers, counted where they repeat, and the last key before the offset. Nothing is decided by it.

use std::collections::BTreeMap;

/// A place in a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// Such as `market[1].tick_size`; empty at the top.
    pub(crate) key: String,
}

impl Position {
    /// The place of the byte at `offset` in `text`; the end, for one behind it.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (mut table, mut key) = (String::new(), String::new());
        let mut repeats = BTreeMap::<String, usize>::new();
        for line in text[..line_start].lines().chain(text[line_start..].lines().take(1)).map(str::trim) {
            if let Some(name) = line.strip_prefix("[[").and_then(|rest| rest.split("]]").next()) {
                let count = repeats.entry(name.to_owned()).or_insert(0);
                table = format!("{name}[{count}]");
                *count += 1;
                key.clear();
            } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                name.clone_into(&mut table);
                key.clear();
            } else if let Some((name, _)) = line.split_once('=')
                && is_key(name.trim())
            {
                name.trim().clone_into(&mut key);
            }
        }
        let dot = if table.is_empty() || key.is_empty() { "" } else { "." };
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: format!("{table}{dot}{key}"),
        }
    }
}

/// Whether `name` is a bare key, maybe dotted.
fn is_key(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tables_and_finds_the_key() {
        let text = "a = 1\n[x]\nb = [\n  2,\n]\n[[m.n]]\nc = 3\n# d = 4\n[[m.n]]\n  é = 5\nf = 6";
        let cases = [
            ("a = 1", 1, 1, "a"),
            ("[x]", 2, 1, "x"),
            ("2,", 4, 3, "x.b"),
            ("c = 3", 7, 1, "m.n[0].c"),
            ("# d", 8, 1, "m.n[0].c"),
            ("= 5", 10, 5, "m.n[1]"),
            ("6", 11, 5, "m.n[1].f"),
        ];
        for (at, line, column, key) in cases {
            let offset = text.rfind(at).unwrap();
            assert_eq!(Position::of(text, offset), Position { line, column, key: key.to_owned() }, "{at}");
        }
    }

    #[test]
    fn any_offset_has_a_place() {
        let text = "[é]\nk = 1\n";
        for offset in 0..text.len() + 3 {
            assert!(Position::of(text, offset).line >= 1);
        }
        assert_eq!(Position::of("", 0), Position { line: 1, column: 1, key: String::new() });
    }
}
