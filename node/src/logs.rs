//! Logs on standard error, for people or for machines, and never a secret in them.
//!
//! What this program logs names no api key, no signed text and no signature. Libraries under it would, at their most
//! talkative, print every frame that passes: those are held down whatever the filter says.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Libraries that see what traders send.
const HELD_DOWN: [&str; 7] =
    ["tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "axum", "rustls", "tokio_rustls"];

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Logs from here on. `LAKH_LOG` says what; without it, warnings and errors.
pub(crate) fn start(format: LogFormat) {
    let wanted = EnvFilter::try_from_env("LAKH_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let allowed = HELD_DOWN.iter().fold(Targets::new().with_default(LevelFilter::TRACE), |targets, library| {
        targets.with_target(*library, LevelFilter::INFO)
    });
    // Both as one filter: of two the more talkative would decide what is looked at at all, and a look a frame costs.
    let filter = wanted.and(allowed);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => tracing_subscriber::registry().with(lines.with_filter(filter)).init(),
        LogFormat::Json => tracing_subscriber::registry().with(lines.json().with_filter(filter)).init(),
    }
}
