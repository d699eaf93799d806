//! `lakh audit`: whether everything in a journal was really asked for by those whose money it moved.
//!
//! The reader has checked checksums and the hash chain. Here each record that needs evidence must have it, the evidence
//! must parse, with the gateway's own parser, to the identical command bytes, and its signature must hold for a key
//! that the journal itself had registered by then. The replay beside it shows what that comes to.
//!
//! With `--chain` the settlement contract's queue and batches are held against the journal's; without it the report says
//! that they were not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lakh_engine::codec;
use lakh_engine::command::{AdminAuthority, Command, FrameCommand, Genesis, ReplayGuard, SignedCommand};
use lakh_gateway::auth::evidence::{Evidence, SignedText, command_from_evidence};
use lakh_gateway::auth::signature::{Verdict, verify_bytes};
use lakh_gateway::directory::Directory;
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::comparison::{self, Comparison, ComparisonOptions};
use lakh_settlement::follower::{Fate, Venue};
use serde::Serialize;

use crate::admin;
use crate::history::{self, Step};
use crate::keys::hex;
use crate::progress;

/// Audits a journal.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArguments {
    /// The journal's directory.
    directory: PathBuf,
    /// Compare with the settlement contract that the journal's genesis names: the JSON-RPC address of a node, http://…
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
    /// The contract was created in this block or later: earlier ones are not looked through.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "chain")]
    first_block: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) records: u64,
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
    pub(crate) state_hash: String,
    /// The first findings, each with its sequence; empty when all is well.
    pub(crate) findings: Vec<String>,
    pub(crate) finding_count: u64,
    /// What the comparison with the chain came to; nothing where it was not asked for.
    pub(crate) chain: Option<Comparison>,
}

/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// Findings that are spelled out.
const FINDINGS_SHOWN: usize = 20;

/// `lakh audit`. Fails when there is a finding.
pub(crate) fn run(arguments: &AuditArguments) -> Result<()> {
    let (mut report, venue) = replayed(&arguments.directory, arguments.json)?;
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
        bail!("the audit found {} record(s) that nobody can be held to", report.finding_count);
    }
    let contradictions = report.chain.as_ref().map_or(0, |chain| chain.finding_count);
    if contradictions > 0 {
        bail!("journal and chain contradict each other in {contradictions} point(s)");
    }
    Ok(())
}

/// Prints a report for people.
pub(crate) fn print_report(report: &Report) {
    println!("records             {}", report.records);
    println!("signatures verified {}", report.signed);
    println!("in sessions         {}", report.delegated);
    println!("operators' acts     {}", report.operator);
    println!("genesis deposits    {} (unsigned, from the configuration)", report.genesis_deposits);
    println!("chain queue entries {}", report.chain_entries);
    println!("quarantined         {:?}", report.quarantined);
    println!("state hash          {}", report.state_hash);
    println!("findings            {}", report.finding_count);
    for finding in &report.findings {
        println!("  {finding}");
    }
    match &report.chain {
        Some(chain) => println!("{chain}"),
        None => println!("chain               not compared (--chain URL does)"),
    }
}

/// Compares with the chain, from the journal's first record on.
fn compare(arguments: &AuditArguments, venue: Venue, url: &str) -> Result<Comparison> {
    let chain = RpcChain::new(&RpcOptions { url: url.to_owned(), timeout: NODE_TIMEOUT })?;
    let options =
        ComparisonOptions { journal_directory: arguments.directory.clone(), venue, first_block: arguments.first_block };
    let progress = progress::counter("comparing with the chain", arguments.json);
    let comparison = comparison::compare(&options, &chain, &mut |records| progress.set_position(records));
    progress.finish_and_clear();
    comparison.context("journal and chain cannot be compared")
}

/// Goes through the whole journal; asks no chain.
pub(crate) fn audit(directory: &Path, quiet: bool) -> Result<Report> {
    replayed(directory, quiet).map(|(report, _)| report)
}

/// Goes through the whole journal, and says to which contract it is bound.
fn replayed(directory: &Path, quiet: bool) -> Result<(Report, Option<Venue>)> {
    let progress = progress::counter("auditing", quiet);
    let mut report = Report::default();
    let mut venue: Option<(Genesis, Directory)> = None;
    let engine = history::replay(directory, |_, step| {
        if let Command::Genesis(genesis) = step.command
            && venue.is_none()
        {
            let directory = Directory::bound(genesis.venue_tag, genesis.mode, genesis.settlement);
            venue = Some((*genesis, directory));
        }
        let Some((genesis, directory)) = &venue else { bail!("the journal does not begin with a genesis") };
        if step.fate == Fate::PassedOver {
            report.quarantined.push(step.sequence.0);
            progress.inc(1);
            return Ok(());
        }
        if let Err(error) = check(step, genesis, directory, &mut report) {
            report.finding_count += 1;
            if report.findings.len() < FINDINGS_SHOWN {
                report.findings.push(format!("sequence {}: {error:#}", step.sequence));
            }
        }
        step.events.iter().for_each(|event| directory.apply(event));
        progress.inc(1);
        Ok(())
    })?;
    progress.finish_and_clear();
    report.records = engine.sequence().0;
    report.state_hash = hex(&engine.state_hash());
    Ok((report, engine.settlement().and_then(Venue::of_binding)))
}

/// Whether one record has the evidence that it needs; counts it.
fn check(step: &Step<'_>, genesis: &Genesis, directory: &Directory, report: &mut Report) -> Result<()> {
    let evidence = Evidence::decode(step.evidence)?;
    match step.command {
        Command::Signed(SignedCommand { replay_guard, .. }) | Command::Frame(FrameCommand { replay_guard, .. }) => {
            let rebuilt = command_from_evidence(&evidence, directory)?;
            if bytes_of(&rebuilt) != bytes_of(step.command) {
                bail!("what was signed is another command than what was journaled");
            }
            match replay_guard {
                ReplayGuard::Session { .. } => report.delegated += 1,
                ReplayGuard::Digest { .. } | ReplayGuard::Nonce { .. } => report.signed += 1,
            }
            Ok(())
        }
        Command::Admin(command) => match (command.authority, evidence) {
            (AdminAuthority::Role { role, .. }, Evidence::Admin(signed)) => {
                check_operator(step.command, (role, &signed), genesis, directory)?;
                report.operator += 1;
                Ok(())
            }
            (
                AdminAuthority::TwoRoles { role, second_role, .. },
                Evidence::TwoAdmins { signed, second_key, second_signature },
            ) => {
                let second = SignedText { public_key: second_key, signature: second_signature, ..signed };
                check_operator(step.command, (role, &signed), genesis, directory)?;
                check_operator(step.command, (second_role, &second), genesis, directory)?;
                report.operator += 1;
                Ok(())
            }
            (AdminAuthority::Genesis | AdminAuthority::Node, Evidence::None) => Ok(()),
            _ => bail!("an operator's decision without the evidence that its authority needs"),
        },
        Command::Deposit(_) => {
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

fn nothing(evidence: &Evidence<'_>) -> Result<()> {
    if *evidence == Evidence::None { Ok(()) } else { bail!("evidence behind a record that has none") }
}

fn bytes_of(command: &Command) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(codec::MAX_COMMAND_BYTES);
    codec::encode_command(command, &mut bytes);
    bytes
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
