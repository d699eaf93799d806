//! `lakh audit`: whether a journal is whole, says what the live engine did, and holds nothing that was not really asked
//! for by those whose money it moved.
//!
//! First every byte of the files: checksums, the hash chain, footers, zeros. Then a replay from the first record, which
//! compares the event digests and state hashes that the live engine left, and the node's signed checkpoints. Each record
//! that needs evidence must have it, the evidence must parse, with the gateway's own parser, to the identical command
//! bytes, and its signature must hold for a key that the journal itself had registered by then. With `--chain` the
//! settlement contract's queue and batches are held against the journal's; without it the report says that they were not.
//!
//! A finding is something that somebody has to answer for, and fails the audit. A note is worth knowing: an operator's
//! truncation, a file beside the journal that is not as it should be.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lakh_engine::codec;
use lakh_engine::command::{AdminAuthority, Command, FrameCommand, Genesis, ReplayGuard, SignedCommand};
use lakh_engine::event::Event;
use lakh_gateway::auth::evidence::{Evidence, SignedText, unverified_command};
use lakh_gateway::auth::signature::{Verdict, verify_bytes};
use lakh_gateway::directory::Directory;
use lakh_journal::verify::{self, Activity, Verification};
use lakh_journal::{BlockFlags, Follower};
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::comparison::{self, Comparison, ComparisonOptions};
use lakh_settlement::follower::{Fate, Venue};
use serde::Serialize;

use crate::admin;
use crate::audit_signatures::{SignatureAudit, Signer};
use crate::checkpoints::{self, Held};
use crate::history::{Replay, Step};
use crate::keys::hex;
use crate::progress;

/// Audits a journal.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct AuditArguments {
    /// The journal's directory.
    directory: PathBuf,
    /// Compare with the settlement contract that the journal's genesis names: the JSON-RPC address of a node, http://…
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
    /// The contract was created in this block or later: earlier ones are not looked through.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "chain")]
    first_block: u64,
    /// Checkpoints of the journal; without it, the file `checkpoints` beside the segments if there is one.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The node's public key, 64 hexadecimal digits, that must have signed each checkpoint.
    #[arg(long, value_name = "KEY")]
    signer: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) segments: usize,
    pub(crate) blocks: u64,
    pub(crate) records: u64,
    /// Starts of the node.
    pub(crate) openings: u64,
    /// Traders' requests whose signature holds and says exactly what was journaled.
    pub(crate) signed: u64,
    /// Traders' requests in a session that a signed logon had opened, on accounts that allow it.
    pub(crate) delegated: u64,
    /// Operators' decisions whose signature holds.
    pub(crate) operator: u64,
    /// Deposits that rest on the genesis configuration: nobody's signature stands behind them.
    pub(crate) genesis_deposits: u64,
    /// Entries of the settlement contract's queue: they follow on each other, which is not yet that the contract has
    /// them; its own hash of the last one says that.
    pub(crate) chain_entries: u64,
    /// Records that operators have taken out of the journal's meaning.
    pub(crate) quarantined: Vec<u64>,
    /// Blocks whose event digest is that of the replay.
    pub(crate) event_digests_compared: u64,
    /// Starts whose state hash is that of the replay.
    pub(crate) state_hashes_compared: u64,
    /// Checkpoints that fit; nothing where there is no file of them.
    pub(crate) checkpoints: Option<u64>,
    /// Who signed them; nothing where nobody said who must have.
    pub(crate) checkpoint_signer: Option<String>,
    pub(crate) last_block_hash: String,
    pub(crate) state_hash: String,
    /// The first findings, each with its sequence; empty when all is well.
    pub(crate) findings: Vec<String>,
    pub(crate) finding_count: u64,
    /// What is worth knowing and nobody's fault.
    pub(crate) notes: Vec<String>,
    pub(crate) seconds: f64,
    /// What the comparison with the chain came to; nothing where it was not asked for.
    pub(crate) chain: Option<Comparison>,
}

impl Report {
    fn find(&mut self, finding: String) {
        self.finding_count += 1;
        if self.findings.len() < FINDINGS_SHOWN {
            self.findings.push(finding);
        }
    }
}

/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// Findings that are spelled out.
const FINDINGS_SHOWN: usize = 20;

/// `lakh audit`. Fails when there is a finding.
pub(crate) fn run(arguments: &AuditArguments) -> Result<()> {
    let (mut report, venue) = audited(arguments)?;
    if let Some(url) = &arguments.chain {
        let venue = venue.context("the journal's genesis names no contract: there is no chain to compare with")?;
        report.chain = Some(compare(arguments, venue, url)?);
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_report(&report);
    }
    if report.finding_count > 0 {
        bail!("the audit has {} finding(s)", report.finding_count);
    }
    let contradictions = report.chain.as_ref().map_or(0, |chain| chain.finding_count);
    if contradictions > 0 {
        bail!("journal and chain contradict each other in {contradictions} point(s)");
    }
    Ok(())
}

/// Prints a report for people.
pub(crate) fn print_report(report: &Report) {
    println!("files               {} segment(s), {} blocks, every byte read", report.segments, report.blocks);
    println!("records             {}", report.records);
    println!("starts of the node  {}", report.openings);
    println!("signatures verified {}", report.signed);
    println!("in sessions         {}", report.delegated);
    println!("operators' acts     {}", report.operator);
    println!("genesis deposits    {} (unsigned, from the configuration)", report.genesis_deposits);
    println!("chain queue entries {}", report.chain_entries);
    println!("quarantined         {:?}", report.quarantined);
    println!("event digests       {} compared, all equal up to the last record", report.event_digests_compared);
    println!("state hashes        {} compared", report.state_hashes_compared);
    match (report.checkpoints, &report.checkpoint_signer) {
        (None, _) => println!("checkpoints         none"),
        (Some(count), Some(signer)) => println!("checkpoints         {count} fit, signed by {signer}"),
        (Some(count), None) => println!("checkpoints         {count} fit, signatures not checked (--signer KEY does)"),
    }
    println!("last block          {}", report.last_block_hash);
    println!("state hash          {}", report.state_hash);
    println!("findings            {}", report.finding_count);
    report.findings.iter().for_each(|finding| println!("  {finding}"));
    report.notes.iter().for_each(|note| println!("note: {note}"));
    match &report.chain {
        Some(chain) => println!("{chain}"),
        None => println!("chain               not compared (--chain URL does)"),
    }
    println!("audited in          {:.2} s", report.seconds);
}

/// Compares with the chain, from the journal's first record on.
fn compare(arguments: &AuditArguments, venue: Venue, url: &str) -> Result<Comparison> {
    let chain = RpcChain::new(&RpcOptions { url: url.to_owned(), blobs_url: None, timeout: NODE_TIMEOUT })?;
    let options =
        ComparisonOptions { journal_directory: arguments.directory.clone(), venue, first_block: arguments.first_block };
    let progress = progress::counter("comparing with the chain", arguments.json);
    let comparison = comparison::compare(&options, &chain, &mut |records| progress.set_position(records));
    progress.finish_and_clear();
    comparison.context("journal and chain cannot be compared")
}

/// Goes through the whole journal; asks no chain.
pub(crate) fn audit(directory: &Path, quiet: bool) -> Result<Report> {
    let arguments = AuditArguments { directory: directory.to_owned(), json: quiet, ..AuditArguments::default() };
    audited(&arguments).map(|(report, _)| report)
}

/// Goes through the whole journal, and says to which contract it is bound.
fn audited(arguments: &AuditArguments) -> Result<(Report, Option<Venue>)> {
    let started = Instant::now();
    let mut report = Report::default();
    match read_every_byte(arguments) {
        Ok(verification) => take_files(&verification, &mut report),
        // The replay below tells how far it is good.
        Err(error) => report.find(format!("{error:#}")),
    }
    let mut held = match held(arguments) {
        Ok(held) => held,
        Err(error) => {
            report.find(format!("{error:#}"));
            None
        }
    };
    let mut replay = Replay::from_first(&arguments.directory)?;
    let mut signatures = SignatureAudit::start()?;
    let progress = progress::counter("auditing", arguments.json);
    if let Err(error) = follow(&mut replay, &mut signatures, held.as_mut(), (&mut report, &progress)) {
        report.find(format!("{error:#}"));
    }
    for forged in signatures.finish()? {
        match forged.signer {
            Signer::Trader => report.signed -= 1,
            Signer::Operator => report.operator -= 1,
        }
        report.find(format!("sequence {}: the signature is not accepted", forged.sequence));
    }
    progress.finish_and_clear();
    if let Some(mut held) = held {
        if let Err(error) = held.finish() {
            report.find(format!("{error:#}"));
        }
        report.checkpoints = Some(held.compared);
        report.checkpoint_signer.clone_from(&arguments.signer);
    }
    report.records = replay.engine.sequence().0;
    report.event_digests_compared = replay.compared.event_digests;
    report.state_hashes_compared = replay.compared.state_hashes;
    report.state_hash = hex(&replay.engine.state_hash());
    report.seconds = started.elapsed().as_secs_f64();
    Ok((report, replay.engine.settlement().and_then(Venue::of_binding)))
}

fn read_every_byte(arguments: &AuditArguments) -> Result<Verification> {
    let live = Follower::open(&arguments.directory)?.is_attached();
    let activity = if live { Activity::Live } else { Activity::AtRest };
    let progress = progress::counter("reading every byte", arguments.json);
    let verification = verify::verify(&arguments.directory, activity, &|records| progress.inc(records))?;
    progress.finish_and_clear();
    Ok(verification)
}

/// What the files say of themselves.
fn take_files(verification: &Verification, report: &mut Report) {
    report.segments = verification.segments.len();
    report.blocks = verification.blocks();
    report.openings = verification.term;
    report.last_block_hash = hex(&verification.last_block_hash);
    for finding in &verification.findings {
        report.notes.push(format!("{}: {}", finding.path.display(), finding.detail));
    }
    let done = [
        (BlockFlags::AFTER_OPERATOR_TRUNCATION, "an operator had given up what had stood"),
        (BlockFlags::AFTER_REORDERED_WRITES, "writes that were in flight when power was lost had been removed"),
        (BlockFlags::AFTER_TORN_TAIL, "a block that was never acknowledged had been removed"),
    ];
    for opening in verification.segments.iter().flat_map(|segment| &segment.openings) {
        for (_, what) in done.iter().filter(|(flag, _)| opening.flags.contains(*flag)) {
            let at = opening.next_sequence;
            report.notes.push(format!("block {}: {what} from record {at} on", opening.block));
        }
    }
}

/// The checkpoints to hold the journal against.
fn held(arguments: &AuditArguments) -> Result<Option<Held>> {
    let beside = checkpoints::path_in(&arguments.directory);
    let path = match &arguments.checkpoints {
        Some(path) => path,
        None if beside.exists() => &beside,
        None => {
            ensure!(arguments.signer.is_none(), "there are no checkpoints that {} could be held to", beside.display());
            return Ok(None);
        }
    };
    Held::new(path, arguments.signer.as_deref()).map(Some)
}

/// Replays to the end, looking at every record.
fn follow(
    replay: &mut Replay,
    signatures: &mut SignatureAudit,
    mut held: Option<&mut Held>,
    (report, progress): (&mut Report, &indicatif::ProgressBar),
) -> Result<()> {
    let mut venue: Option<(Genesis, Directory)> = None;
    while let Some(step) = replay.step()? {
        if let Command::Genesis(genesis) = step.command
            && venue.is_none()
        {
            let directory = Directory::bound(genesis.venue_tag, genesis.mode, genesis.settlement);
            venue = Some((*genesis, directory));
        }
        let Some((genesis, directory)) = &venue else { bail!("the journal does not begin with a genesis") };
        match check(&step, (genesis, directory), report) {
            _ if step.fate == Fate::PassedOver => report.quarantined.push(step.sequence.0),
            Ok(signer) => {
                let evidence = Evidence::decode(step.evidence)?;
                for signed in evidence.signatures(directory).iter().flatten() {
                    signatures.add(step.sequence.0, signer, signed)?;
                }
            }
            Err(error) => report.find(format!("sequence {}: {error:#}", step.sequence)),
        }
        step.events.iter().for_each(|event| directory.apply(event));
        progress.inc(1);
        if let Some(held) = &mut held {
            held.compare(replay)?;
        }
    }
    Ok(())
}

/// Whether one record has the evidence that it needs; counts it and tells whose. Its signatures are yet to be verified.
fn check(step: &Step<'_>, (genesis, directory): (&Genesis, &Directory), report: &mut Report) -> Result<Signer> {
    let evidence = Evidence::decode(step.evidence)?;
    match step.command {
        Command::Signed(SignedCommand { replay_guard, .. }) | Command::Frame(FrameCommand { replay_guard, .. }) => {
            let rebuilt = unverified_command(&evidence, directory)?;
            if bytes_of(&rebuilt) != bytes_of(step.command) {
                bail!("what was signed is another command than what was journaled");
            }
            match (replay_guard, &evidence) {
                (ReplayGuard::Session { .. }, Evidence::SessionDelegated { .. }) => report.delegated += 1,
                (ReplayGuard::Session { .. }, _) | (_, Evidence::SessionDelegated { .. }) => {
                    bail!("a signature where none is needed, or none where one is")
                }
                (ReplayGuard::Digest { .. } | ReplayGuard::Nonce { .. }, _) => report.signed += 1,
            }
            Ok(Signer::Trader)
        }
        Command::Admin(command) => match (command.authority, evidence) {
            (AdminAuthority::Role { role, .. }, Evidence::Admin(signed)) => {
                check_operator(step.command, (role, &signed), genesis, directory)?;
                report.operator += 1;
                Ok(Signer::Operator)
            }
            (
                AdminAuthority::TwoRoles { role, second_role, .. },
                Evidence::TwoAdmins { signed, second_key, second_signature },
            ) => {
                let second = SignedText { public_key: second_key, signature: second_signature, ..signed };
                check_operator(step.command, (role, &signed), genesis, directory)?;
                check_operator(step.command, (second_role, &second), genesis, directory)?;
                report.operator += 1;
                Ok(Signer::Operator)
            }
            (AdminAuthority::Genesis | AdminAuthority::Node, Evidence::None) => Ok(Signer::Operator),
            _ => bail!("an operator's decision without the evidence that its authority needs"),
        },
        Command::Deposit(_) => {
            let is_credited = step.events.iter().any(|event| matches!(event, Event::DepositCredited { .. }));
            if is_credited && !genesis.settlement.is_none() {
                bail!("money that the contract, which holds all of it, does not have");
            }
            report.genesis_deposits += 1;
            nothing(&evidence)
        }
        // The entry's own prefix hash is its evidence, and the engine took it only if it held.
        Command::ChainEntry(_) => {
            report.chain_entries += 1;
            nothing(&evidence)
        }
        Command::Genesis(_)
        | Command::Epoch(_)
        | Command::AdvanceTime
        | Command::Continue
        | Command::SessionEnded { .. }
        | Command::BatchSealed(_) => nothing(&evidence),
    }
}

/// Whether the role's key has signed what was journaled.
fn check_operator(
    journaled: &Command,
    (role, signed): (u8, &SignedText<'_>),
    genesis: &Genesis,
    directory: &Directory,
) -> Result<()> {
    if genesis.role_keys.get(usize::from(role)) != Some(signed.public_key) {
        bail!("an operator's decision is signed by another key than its role's");
    }
    let rebuilt = Command::Admin(verified_admin(signed, directory)?);
    if bytes_of(&rebuilt) != bytes_of(journaled) {
        bail!("what the operator signed is another command than what was journaled");
    }
    Ok(())
}

/// The operator's command that a signed text stands for, once its signature holds.
pub(crate) fn verified_admin(
    signed: &SignedText<'_>,
    directory: &Directory,
) -> Result<lakh_engine::command::AdminCommand> {
    if verify_bytes(signed.public_key, signed.text, signed.signature) == Verdict::Refused {
        bail!("the operator's signature does not hold");
    }
    admin::parse(core::str::from_utf8(signed.text)?, directory)
}

/// The node's own record, which nobody signs.
fn nothing(evidence: &Evidence<'_>) -> Result<Signer> {
    if *evidence == Evidence::None { Ok(Signer::Operator) } else { bail!("evidence behind a record that has none") }
}

fn bytes_of(command: &Command) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(codec::MAX_COMMAND_BYTES);
    codec::encode_command(command, &mut bytes);
    bytes
}

#[cfg(test)]
#[path = "audit_tests.rs"]
pub(crate) mod tests;
