//! `lakh soak start`: how long a start takes on a long journal: from its first record, and from a snapshot and what follows.
//!
//! The journal is one that an engine really came to: orders that rest, trade and are cancelled, of 64 accounts, about 10,000
//! of them resting at a time, each record with filler of a signature's size where its evidence stands, which no start
//! reads. What is timed is the program `lakh run` itself, from its being started until its doors are open. The files are
//! in the page cache, since they have just been written.

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lakh_config::Config;
use lakh_engine::codec;
use lakh_engine::command::{
    CancelOrder, Command, EvidenceGrade, Operation, OrderReference, PlaceOrder, ReplayGuard, Side, SignedCommand,
    TimeInForce,
};
use lakh_engine::ids::{AccountId, KeyId, MarketId, OrderId, Sequence};
use lakh_engine::units::{Lots, Ticks, Timestamp};
use lakh_journal::AppendError;
use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::{Value, json};

use crate::history::Replay;
use crate::pipeline::journal_options;
use crate::{history, progress, sequencer};

/// Accounts, each with one key.
const ACCOUNTS: u32 = 64;
/// Orders that rest at a time.
const RESTING: usize = 10_000;
/// Bytes where a record's evidence stands: what a JSON request leaves beside its command.
const EVIDENCE: [u8; 180] = [0x5A; 180];
/// Nanoseconds between two records.
const PACE_NS: u64 = 10_000;
/// Records behind the snapshot whose reports are kept before the rest comes.
const REPORTED: u64 = 64;
/// Records between two notes of the event digest, as the sequencer leaves them.
const NOTE_EVERY: u64 = 65_536;
/// How long the disk may take for what waits.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct StartArguments {
    /// Records of the journal.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    records: u64,
    /// Records behind the snapshot, in a hundredth of all.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..100))]
    tail_percent: u64,
}

/// Makes the journal in a temporary folder and times the starts.
pub(crate) fn run(arguments: &StartArguments) -> Result<Value> {
    let scratch = tempfile::Builder::new().prefix("lakh-soak-").tempdir()?;
    let mut options = VenueOptions::new(&std::env::current_exe()?, scratch.path());
    options.keys = ACCOUNTS;
    options.segment_bytes = 256 << 20;
    options.digest_capacity = 1_024;
    options.start()?.stop()?;
    let behind = arguments.records / 100 * arguments.tail_percent;
    let mut requests = Requests::default();
    requests.append(&options, arguments.records - behind)?;
    let snapshot = snapshot(&options)?;
    // A start takes up no snapshot that is ahead of the log of reports: as in a venue that runs, that goes on behind it.
    requests.append(&options, arguments.records - behind + REPORTED)?;
    options.start()?.stop()?;
    requests.append(&options, arguments.records)?;
    let from_snapshot = start(&options)?;
    ensure!(from_snapshot["recovery"]["fromSnapshot"] == snapshot["sequence"], "no start from it: {from_snapshot}");
    for entry in fs::read_dir(options.journal())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lks") {
            fs::remove_file(path)?;
        }
    }
    let from_first = start(&options)?;
    ensure!(from_first["recovery"]["fromSnapshot"] == 0, "there is no snapshot any more: {from_first}");
    Ok(
        json!({ "records": arguments.records, "snapshot": snapshot, "fromSnapshot": from_snapshot, "fromFirst": from_first }),
    )
}

/// Takes a snapshot with the program, in a process of its own.
fn snapshot(options: &VenueOptions) -> Result<Value> {
    let mut command = std::process::Command::new(&options.program);
    let output = command.args(["journal", "snapshot", "--json"]).arg(options.journal()).output()?;
    ensure!(output.status.success(), "no snapshot: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Times one start, and stops the venue.
fn start(options: &VenueOptions) -> Result<Value> {
    let begun = Instant::now();
    let venue = options.start()?;
    let milliseconds = u64::try_from(begun.elapsed().as_millis())?;
    let recovery = venue.ready()["recovery"].clone();
    venue.stop()?;
    Ok(json!({ "milliseconds": milliseconds, "recovery": recovery }))
}

/// What 64 traders ask for, one after the other.
#[derive(Default)]
struct Requests {
    count: u64,
    signed: NextNonces,
    /// Orders that rest or have traded, the oldest first, with the account that placed each.
    placed: VecDeque<(u32, OrderId)>,
}

impl Requests {
    /// Appends records to the journal of a venue that is down, up to the record `last`.
    fn append(&mut self, options: &VenueOptions, last: u64) -> Result<()> {
        let config = Config::from_toml(&options.configuration(), "soak")?;
        let journal = options.journal();
        let exchange_id = history::open(&journal)?.exchange_id();
        let mut replay = Replay::from_first(&journal)?;
        while replay.step()?.is_some() {}
        let mut engine = replay.engine;
        let (mut writer, _) = lakh_journal::open(journal_options(&config, exchange_id)?)?;
        let watch = writer.watch();
        let bar = progress::counter("making the journal", false);
        let (mut payload, mut events) = (Vec::new(), Vec::new());
        while engine.sequence().0 < last {
            let sequence = Sequence(engine.sequence().0 + 1);
            let timestamp = Timestamp(engine.now().0 + PACE_NS);
            let command = if engine.agenda_pending() { Command::Continue } else { self.next(sequence) };
            payload.clear();
            codec::encode_payload(&command, &EVIDENCE, &mut payload);
            let header = sequencer::record_header(sequence, timestamp, &command);
            while let Err(error) = writer.append(header, &payload) {
                ensure!(error == AppendError::Full, "{error}");
                writer.publish();
                ensure!(watch.wait_for(sequence.0 - 1, PATIENCE), "the disk does not keep up: {:?}", watch.stopped());
            }
            engine.apply(sequence, timestamp, &command, &mut events);
            if sequence.0.is_multiple_of(NOTE_EVERY) {
                writer.note_state(sequence.0, [0; 32], engine.event_digest());
            }
            if sequence.0.is_multiple_of(64) {
                writer.publish();
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        writer.close().context("the journal cannot be closed")
    }

    /// Half of it bids, more than a third cancels of the oldest once enough rest, and the rest takes the best bid.
    fn next(&mut self, sequence: Sequence) -> Command {
        self.count += 1;
        let account = 1 + u32::try_from(self.count % u64::from(ACCOUNTS)).expect("below 64");
        let market = MarketId(0);
        let oldest = if self.placed.len() > RESTING { self.placed.pop_front() } else { None };
        let (account, operation) = match oldest {
            Some((account, order)) => {
                let target = OrderReference::OrderId(order);
                (account, Operation::CancelOrder(CancelOrder { market, target }))
            }
            None if self.count.is_multiple_of(10) => {
                let take = PlaceOrder::limit(market, Side::Ask, Ticks(9_000), Lots(2));
                let order = PlaceOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..take };
                (account, Operation::PlaceOrder(order))
            }
            None => {
                self.placed.push_back((account, OrderId(sequence.0 * 64)));
                let price = Ticks(9_000 + self.count * 7_919 % 1_000);
                (account, Operation::PlaceOrder(PlaceOrder::limit(market, Side::Bid, price, Lots(3))))
            }
        };
        self.signed.next(account, operation)
    }
}

/// Requests of accounts whose keys have their numbers, each with the next nonce of its key.
#[derive(Default)]
pub(crate) struct NextNonces {
    /// The last nonce of each account's key, by its number.
    pub(crate) last: Vec<u64>,
}

impl NextNonces {
    /// The account asks for this.
    pub(crate) fn next(&mut self, account: u32, operation: Operation) -> Command {
        let index = account as usize;
        self.last.resize(self.last.len().max(index + 1), 0);
        let nonce = &mut self.last[index];
        *nonce += 1;
        Command::Signed(SignedCommand {
            account: AccountId(account),
            key: KeyId(account),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: *nonce },
            valid_until: Timestamp(0),
            operation,
        })
    }
}
