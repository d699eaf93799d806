//! What can go wrong here, as one enum: a caller prints it and stops.
//!
//! A wrong line in a flow is no error but a finding: it is counted in the report. An error means that there is no
//! report.

use std::path::PathBuf;

use crate::recorder::FailedChecks;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadtestError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A flow file breaks its format.
    #[error("{}:{line}: {message}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The engine refused a command of the set-up, before the first line of the flow.
    #[error("the engine refused the set-up: {0}")]
    SetUp(String),
    /// The connection to the venue could not be made, or ended.
    #[error("connection to the venue, {action}: {message}")]
    Connection {
        /// What was being done.
        action: &'static str,
        /// What was said.
        message: String,
    },
    /// The venue said nothing for this long though something was due.
    #[error("no answer from the venue within {seconds} s")]
    TimedOut {
        /// For how long.
        seconds: u64,
    },
    /// The venue sent what this client cannot read.
    #[error("unreadable message from the venue: {0}")]
    Protocol(String),
    /// The venue refused a request for a reason that is not the order flow's: overload, signature, time, limits.
    #[error("line {line}: the venue refused the request with {code}: {message}")]
    Refused {
        /// The flow's line, or 0 for a request that belongs to none.
        line: u64,
        /// The API's error number.
        code: i64,
        /// The API's text.
        message: String,
    },
    /// A venue that was started for the occasion did not do what it should.
    #[error("{0}")]
    Venue(String),
    /// Options that cannot be carried out.
    #[error("options: {0}")]
    Options(String),
    /// A check during the load failed, so that there is no figure.
    #[error("no figure, since checks failed: {}", [&.0.faults[..], &.0.refusals].concat().join("; "))]
    ChecksFailed(FailedChecks),
}

impl LoadtestError {
    /// A connection error out of whatever the socket said.
    pub(crate) fn connection(action: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Connection { action, message: cause.to_string() }
    }
}
