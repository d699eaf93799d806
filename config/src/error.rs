//! Why a configuration is refused. Every message says which file, which key and what is wrong with it.

use std::io;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read, is no UTF-8 or is too long.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file's path.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The text is no TOML, lacks a key, has one that means nothing, or one of the wrong type.
    #[error("{file}:{line}:{column}: {}{reason}", prefix(key))]
    Syntax {
        /// The file's path, or the name that the caller gave the text.
        file: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// Where in the document, such as `market[1].tick_size`; empty at its top.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A value is impossible, by itself or together with others.
    #[error("{file}: {key}: {reason}")]
    Value {
        /// The file's path, or the name that the caller gave the text.
        file: String,
        /// Which one, such as `market[1].tick_size`. Tables are counted from 0.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// A key path before a reason.
fn prefix(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}: ") }
}

/// A refused value before it is known in which file and table it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    key: String,
    reason: String,
}

impl Fault {
    /// `key` is impossible because of `reason`.
    pub(crate) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }

    /// The same one, seen from the table `table`.
    pub(crate) fn inside(self, table: &str) -> Self {
        Self { key: format!("{table}.{}", self.key), reason: self.reason }
    }

    /// The same one, in its file.
    pub(crate) fn in_file(self, file: &str) -> ConfigError {
        ConfigError::Value { file: file.to_owned(), key: self.key, reason: self.reason }
    }
}
