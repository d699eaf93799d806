//! `lakh journal diff`: where two journals first differ.
//!
//! Records decide: two journals with the same records give the same state, however they were cut into blocks. Blocks
//! are compared besides, since two copies of one journal must agree in them, too.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use lakh_journal::JournalReader;
use serde_json::{Value, json};

use crate::keys::hex;
use crate::progress;

/// Compares two journals.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArguments {
    /// One journal's directory.
    left: PathBuf,
    /// The other's.
    right: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A record for comparison; the reader lends its own.
#[derive(PartialEq, Eq)]
struct Owned {
    header: lakh_journal::RecordHeader,
    payload: Vec<u8>,
}

/// `lakh journal diff`. Fails where the journals contradict each other; that one goes on is no contradiction.
pub(crate) fn run(arguments: &DiffArguments) -> Result<()> {
    let open = |path: &PathBuf| {
        JournalReader::open(path).with_context(|| format!("the journal in {} cannot be opened", path.display()))
    };
    let (mut left, mut right) = (open(&arguments.left)?, open(&arguments.right)?);
    let bar = progress::counter("comparing", arguments.json);
    let mut common = 0;
    let mut other_block = None;
    let ended = loop {
        match (next(&mut left)?, next(&mut right)?) {
            (Some(one), Some(other)) if one == other => {
                common = one.header.sequence;
                let hash = |reader: &JournalReader| reader.block().map(|block| block.hash);
                if other_block.is_none() && hash(&left) != hash(&right) {
                    other_block = Some(common);
                }
                bar.inc(1);
            }
            (Some(one), Some(other)) => break Some((one, other)),
            (None, None) => break None,
            (one, _) => {
                bar.finish_and_clear();
                let longer = if one.is_some() { &arguments.left } else { &arguments.right };
                tell(arguments, common, other_block, &json!({ "longer": longer.display().to_string() }));
                return Ok(());
            }
        }
    };
    bar.finish_and_clear();
    let Some((one, other)) = ended else {
        tell(arguments, common, other_block, &json!({ "equal": true }));
        return Ok(());
    };
    let side = |record: &Owned| json!({ "sequence": record.header.sequence, "timestamp_ns": record.header.timestamp_ns, "kind": record.header.kind, "account": record.header.account, "payload": hex(&record.payload) });
    let difference = json!({ "left": side(&one), "right": side(&other) });
    tell(arguments, common, other_block, &difference);
    bail!("the journals differ from record {} on", one.header.sequence.min(other.header.sequence));
}

fn next(reader: &mut JournalReader) -> Result<Option<Owned>> {
    Ok(reader.next()?.map(|record| Owned { header: record.header, payload: record.payload.to_vec() }))
}

fn tell(arguments: &DiffArguments, common: u64, other_block: Option<u64>, found: &Value) {
    if arguments.json {
        let mut value = found.clone();
        value["equal_until"] = json!(common);
        value["blocks_differ_from"] = json!(other_block);
        println!("{value}");
        return;
    }
    println!("equal until record {common}");
    if let Some(sequence) = other_block {
        println!("cut into other blocks from record {sequence} on: not two copies of one journal");
    }
    match found {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| println!("{name}: {value}")),
        other => println!("{other}"),
    }
}
