//! The audit with a chain: an embedded one behind its own JSON-RPC, and journals that fit it and do not.

use std::path::Path;
use std::time::Duration;

use lakh_engine::command::{
    AdminAction, AdminCommand, Capacities, ChainEntry, ChainEntryKind, Epoch, Genesis as ExchangeGenesis, Mode,
    SettlementBinding,
};
use lakh_engine::ids::{AccountId, AssetId, Reason, Sequence};
use lakh_engine::units::Atoms;
use lakh_journal::{JournalOptions, RecordHeader};
use lakh_settlement::chain::embedded::server::EmbeddedServer;
use lakh_settlement::chain::embedded::{BlockClock, EmbeddedChain, Genesis as ChainGenesis};
use lakh_settlement::chain::transaction::{Transaction, TransactionSigner};
use lakh_settlement::chain::{Address, Chain as _};
use lakh_settlement::contract::deploy;

use super::*;

const CHAIN_ID: u64 = 31_337;

/// A chain with the settlement contract on it.
fn chain() -> (EmbeddedChain, Address) {
    let signer = TransactionSigner::from_secret(&[1; 32]).unwrap();
    let accounts = vec![(signer.address(), 1_000_000_000_000_000_000_000)];
    let genesis = ChainGenesis { chain_id: CHAIN_ID, accounts };
    let chain = EmbeddedChain::open(None, &genesis, BlockClock::System).unwrap();
    let setup = deploy::Setup { window_seconds: 1, ..deploy::Setup::in_one_hand(signer.address()) };
    let creation = Transaction {
        chain_id: CHAIN_ID,
        nonce: 0,
        max_priority_fee_per_gas_wei: 1,
        max_fee_per_gas_wei: 2_000_000_000,
        gas_limit: 16_000_000,
        to: None,
        value_wei: 0,
        data: deploy::settlement(&setup),
        blobs: None,
    };
    let hash = chain.send_raw_transaction(&signer.sign(&creation).raw).unwrap();
    let contract = chain.receipt(hash).unwrap().unwrap().contract_address.unwrap();
    (chain, contract)
}

pub(crate) fn genesis(settlement: SettlementBinding) -> Command {
    Command::Genesis(ExchangeGenesis {
        exchange_id: [7; 16],
        venue_tag: if settlement.is_none() { [7; 16] } else { settlement.venue_tag() },
        mode: Mode::Dev,
        hash_seed: 1,
        capacities: Capacities {
            accounts: 8,
            assets: 4,
            markets: 2,
            keys: 16,
            digests: 64,
            agenda: 4,
            digests_per_key: 2,
        },
        role_keys: [[0; 32]; ExchangeGenesis::ROLES],
        fee_notice_s: 0,
        share_parts: 1,
        settlement,
    })
}

/// A deposit with the hash that the contract would have given it.
fn deposit(settlement: SettlementBinding) -> Command {
    let entry = ChainEntry {
        queue_id: 1,
        kind: ChainEntryKind::Deposit,
        account: AccountId(1),
        asset: AssetId(0),
        amount: Atoms(5),
        extra: [0; 32],
        time_seconds: 1_800_000_000,
        prefix: [0; 32],
    };
    Command::ChainEntry(ChainEntry { prefix: entry.prefix_after(&settlement.origin()), ..entry })
}

pub(crate) fn write(directory: &Path, commands: &[Command]) {
    write_at(directory, commands.iter().map(|command| (1_800_000_000_000_000_000, command)));
}

/// Journals commands at these times, in nanoseconds, without evidence.
pub(crate) fn write_at<'a>(directory: &Path, commands: impl Iterator<Item = (u64, &'a Command)>) {
    let payload = |command: &Command| {
        let mut payload = Vec::new();
        codec::encode_payload(command, &[], &mut payload);
        payload
    };
    let records: Vec<_> = commands.map(|(time, command)| (time, payload(command), command)).collect();
    write_records(directory, records.iter().map(|(time, payload, command)| (*time, payload.as_slice(), *command)));
}

/// Journals payloads at these times, in nanoseconds, under the commands' headers.
pub(crate) fn write_records<'a>(directory: &Path, records: impl Iterator<Item = (u64, &'a [u8], &'a Command)>) {
    let options =
        JournalOptions { segment_bytes: 1 << 20, ring_bytes: 64 * 1024, ..JournalOptions::new(directory, [7; 16]) };
    let (mut writer, _) = lakh_journal::open(options).unwrap();
    let mut last = 0;
    for (sequence, (timestamp_ns, payload, command)) in (1..).zip(records) {
        let header = RecordHeader {
            sequence,
            timestamp_ns,
            kind: command.kind(),
            schema_version: codec::SCHEMA_VERSION,
            flags: 0,
            account: command.account().0,
        };
        writer.append(header, payload).unwrap();
        writer.publish();
        last = sequence;
    }
    assert!(writer.watch().wait_for(last, Duration::from_secs(20)));
    writer.close().unwrap();
}

#[test]
fn a_journal_is_held_against_its_chain() {
    let (chain, contract) = chain();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(EmbeddedServer::start(chain, ([127, 0, 0, 1], 0).into())).unwrap();
    let bound = SettlementBinding { chain_id: CHAIN_ID, contract: contract.0 };
    let audited = |commands: &[Command], chain: Option<String>| {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), commands);
        let path = directory.path().to_owned();
        run(&AuditArguments { directory: path, chain, json: true, ..AuditArguments::default() })
    };
    let url = || Some(server.url());
    audited(&[genesis(bound)], url()).unwrap();
    // The deposit follows on the origin, so that the journal alone shows nothing; the chain does.
    let invented = [genesis(bound), deposit(bound)];
    audited(&invented, None).unwrap();
    let error = audited(&invented, url()).unwrap_err();
    assert_eq!(error.to_string(), "journal and chain contradict each other in 1 point(s)");
    let other = SettlementBinding { chain_id: 1, ..bound };
    let error = audited(&[genesis(other)], url()).unwrap_err();
    assert!(format!("{error:#}").contains("the chain's id is 31337, and the journal is bound to chain 1"), "{error:#}");
    let error = audited(&[genesis(SettlementBinding::NONE)], url()).unwrap_err();
    assert!(error.to_string().contains("names no contract"), "{error:#}");
    runtime.block_on(server.stop()).unwrap();
}

#[test]
fn what_was_compared_stands_in_the_report() {
    let binding = SettlementBinding { chain_id: CHAIN_ID, contract: [3; 20] };
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[genesis(binding), deposit(binding)]);
    let arguments = AuditArguments { directory: directory.path().to_owned(), json: true, ..AuditArguments::default() };
    let (report, venue) = audited(&arguments).unwrap();
    assert_eq!((report.records, report.chain_entries, report.finding_count), (2, 1, 0));
    assert_eq!(venue, Venue::of_binding(binding));
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["chain"].is_null() && json["chain_entries"] == 1, "{json}");
}

#[test]
fn a_quarantined_record_is_passed_over_and_listed() {
    let Command::Genesis(genesis) = genesis(SettlementBinding::NONE) else { panic!("a genesis") };
    let mut role_keys = genesis.role_keys;
    role_keys[0] = [9; 32];
    let decision = |sequence, nonce| {
        let (authority, action) =
            (AdminAuthority::Role { role: 0, nonce }, AdminAction::Quarantine { sequence: Sequence(sequence) });
        Command::Admin(AdminCommand { authority, action, reason: Reason::new("it stopped the engine").unwrap() })
    };
    let commands = [
        Command::Genesis(ExchangeGenesis { role_keys, ..genesis }),
        Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }),
        Command::SessionEnded { account: AccountId(7) },
        decision(3, 1),
        Command::SessionEnded { account: AccountId(7) },
        // By a nonce that is used: what stands in front of it counts.
        decision(5, 1),
    ];
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &commands);
    let mut fates = Vec::new();
    let engine = crate::history::replay(directory.path(), |step| {
        fates.push((step.fate, step.events.len()));
        Ok(())
    })
    .unwrap()
    .engine;
    use Fate::{Applied, PassedOver};
    assert_eq!(fates[2..], [(PassedOver, 0), (Applied, 1), (Applied, 1), (Applied, 1)]);
    assert_eq!(engine.role_nonce(0), Some(1));
    let report = audit(directory.path(), true).unwrap();
    assert_eq!(report.quarantined, [3]);
    assert_eq!(report.finding_count, 2, "these decisions have no signature: {:?}", report.findings);
    let states = crate::journal_tool::states::check(directory.path(), true, true, None).unwrap();
    assert_eq!(states.state_hash, report.state_hash, "every replay does the same");
}
