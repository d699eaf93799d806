//! `lakh replay`: applies a journal from its first record and says what it comes to.
//!
//! Anybody who has the journal gets the same fills, the same event digest and the same state hash as the live engine.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use lakh_engine::event::Event;
use lakh_loadtest::flow::fills::FillWriter;
use serde::Serialize;

use crate::history;
use crate::keys::hex;
use crate::progress;

/// Replays a journal.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArguments {
    /// The journal's directory.
    directory: PathBuf,
    /// Write each fill as a line `taker-client-id maker-client-id side quantity price` (lots, ticks).
    #[arg(long, value_name = "FILE")]
    fills: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a replay comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Replayed {
    pub(crate) records: u64,
    pub(crate) trades: u64,
    pub(crate) state_hash: String,
    pub(crate) event_digest: String,
    pub(crate) seconds: f64,
}

/// `lakh replay`.
pub(crate) fn run(arguments: &ReplayArguments) -> Result<()> {
    let replayed = replay(&arguments.directory, arguments.fills.as_deref(), arguments.json)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&replayed)?);
        return Ok(());
    }
    println!("records       {}", replayed.records);
    println!("trades        {}", replayed.trades);
    println!("state hash    {}", replayed.state_hash);
    println!("event digest  {}", replayed.event_digest);
    println!("seconds       {:.2}", replayed.seconds);
    Ok(())
}

/// Applies the journal, writing its fills where asked.
pub(crate) fn replay(directory: &Path, fills: Option<&Path>, quiet: bool) -> Result<Replayed> {
    let started = Instant::now();
    let progress = progress::counter("replaying", quiet);
    let create = |path: &Path| -> Result<_> {
        let file = File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
        Ok(FillWriter::new(BufWriter::new(file)))
    };
    let mut fills = fills.map(create).transpose()?;
    let mut trades = 0;
    let engine = history::replay(directory, |step| {
        for event in step.events {
            trades += u64::from(matches!(event, Event::Trade(_)));
            if let Some(fills) = &mut fills {
                fills.observe(step.sequence, event)?;
            }
        }
        progress.inc(1);
        Ok(())
    })?
    .engine;
    if let Some(fills) = fills {
        fills.finish()?.flush()?;
    }
    progress.finish_and_clear();
    Ok(Replayed {
        records: engine.sequence().0,
        trades,
        state_hash: hex(&engine.state_hash()),
        event_digest: hex(&engine.event_digest()),
        seconds: started.elapsed().as_secs_f64(),
    })
}
