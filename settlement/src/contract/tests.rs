//! Selectors against the compiler's ABI, layouts against the words that Solidity would read.

use lakh_engine::command::{ChainEntry, ChainEntryKind};
use lakh_engine::ids::{AccountId, Sequence};
use lakh_engine::units::Atoms;
use proptest::prelude::*;
use serde_json::Value;

use super::answer::{AssetInfo, BATCH_COMMITTED, BATCH_FINAL, BatchCommitted, Counts, QUEUED, Tip, decode_queued};
use super::*;
use crate::chain::Log;
use crate::inclusion::JournalProof;
use crate::receipt::Receipt;
use crate::sum_tree::SumTree;

fn header() -> Header {
    Header {
        batch_id: 1,
        first_sequence: Sequence(1),
        last_sequence: Sequence(9),
        first_time_seconds: 4,
        last_time_seconds: 5,
        queue_up_to: 6,
        fills: 7,
        previous_root: Hash([8; 32]),
        new_root: Hash([9; 32]),
        journal_hash: Hash([10; 32]),
        journal_root: Hash([11; 32]),
        queue_prefix: Hash([12; 32]),
        data_hash: Hash([13; 32]),
        steps_root: Hash::ZERO,
        withdrawals_root: Hash([15; 32]),
    }
}

pub(super) fn batch() -> SealedBatch {
    let tree = |byte, sum| Node { hash: Hash([byte; 32]), sum };
    SealedBatch {
        header: header(),
        lines: vec![AssetLine { tree: tree(1, 2), credited: 3 }, AssetLine { tree: tree(4, 5), credited: 6 }],
        changes: vec![AssetChange { asset: AssetId(1), sum: 7, credited: 8, withdrawals: tree(9, 10) }],
        previous_lines: 2,
        previous_trees: Hash([0xee; 32]),
        data: vec![0xda; 33],
        withdrawals: Vec::new(),
    }
}

fn abi_type(parameter: &Value) -> String {
    let name = parameter["type"].as_str().unwrap();
    let Some(suffix) = name.strip_prefix("tuple") else { return name.to_owned() };
    format!("({}){suffix}", abi_types(&parameter["components"]))
}

fn abi_types(parameters: &Value) -> String {
    parameters.as_array().unwrap().iter().map(abi_type).collect::<Vec<_>>().join(",")
}

/// The signatures of one type in a contract's ABI.
fn signatures(kind: &str) -> Vec<String> {
    let artifacts = [
        include_str!("../../contracts/artifacts/Settlement.json"),
        include_str!("../../contracts/artifacts/DemoToken.json"),
        include_str!("../../contracts/artifacts/Exits.json"),
        include_str!("../../contracts/artifacts/Keys.json"),
        include_str!("../../contracts/artifacts/Proofs.json"),
        include_str!("../../contracts/artifacts/Watchers.json"),
    ];
    let mut found = Vec::new();
    for artifact in artifacts {
        let artifact: Value = serde_json::from_str(artifact).unwrap();
        for item in artifact["abi"].as_array().unwrap().iter().filter(|item| item["type"] == kind) {
            found.push(format!("{}({})", item["name"].as_str().unwrap(), abi_types(&item["inputs"])));
        }
    }
    found
}

fn claim() -> WithdrawalClaim {
    let tree = Node { hash: Hash([0x21; 32]), sum: 0x22 };
    WithdrawalClaim {
        header: header(),
        trees: vec![(AssetId(1), tree)],
        asset: AssetId(1),
        index: 0x23,
        account: AccountId(0x24),
        amount: 0x25,
        path: vec![Node { hash: Hash([0x26; 32]), sum: 0x27 }, Node::EMPTY],
    }
}

fn receipt() -> Receipt {
    let (sequence, record_hash, path) = (Sequence(3), Hash([0x31; 32]), vec![Hash([0x32; 32]); 2]);
    let signature = CompactSignature::default();
    Receipt { shard: 1, epoch: 2, sequence, record_hash, index: 3, count: 4, path, signature }
}

fn journal_proof() -> JournalProof {
    JournalProof { sequence: Sequence(3), record_hash: Hash([0x33; 32]), index: 2, count: 9, path: vec![Hash::ZERO] }
}

#[test]
fn every_call_event_and_error_is_in_the_compilers_list() {
    let (stamp, address) = (Stamp { time_seconds: 1, block_number: 2 }, Address([1; 20]));
    let calls = [
        commit_batch(&batch(), CompactSignature::default()),
        commit_batch_blobs(&batch(), &header(), CompactSignature::default()),
        finalize(&header(), stamp),
        claim_from_batch(&claim(), stamp),
        tip(),
        counts(),
        window_seconds(),
        window_blocks(),
        operator(),
        vault(),
        queue_prefix(1),
        batch_hash(1),
        tip_root(),
        withdrawable(AssetId(1), address),
        super::claim(AssetId(1), address),
        is_claimed(1, AssetId(1), 1),
        asset_info(AssetId(1)),
        account_of(address),
        list_asset(address, 1, 1, 1),
        deposit(AssetId(1), 1),
        register_key([1; 32]),
        revoke_key([1; 32]),
        request_withdrawal(AssetId(1), 1),
        exits::exits_contract(),
        exits::watchers_contract(),
        exits::proofs_contract(),
        exits::keys_contract(),
        exits::signer_until(address),
        exits::prove_receipt_violated(&receipt(), &header(), stamp, &journal_proof()),
        exits::prove_equivocation(&receipt(), &receipt()),
        exits::frozen(),
        exits::rolled_back(),
        exits::vetoes(),
        exits::forced_fee(),
        exits::bond(),
        exits::force_withdraw(AssetId(1)),
        exits::start_freeze_clock(),
        exits::freeze(&entry()),
        exits::roll_back(&header(), stamp),
        exits::escape(AssetId(1), &SumTree::new().prove(AccountId(1)), &batch().lines),
        exits::has_escaped(AccountId(1), AssetId(1)),
        exits::is_reclaimed(1),
        exits::reclaim_deposit(&entry()),
        exits::veto((&header(), stamp), (&header(), stamp), &batch().lines, 1),
        approve(address, 1),
        balance_of(address),
        mint(address, 1),
    ];
    let functions: Vec<_> = signatures("function").iter().map(|signature| selector(signature)).collect();
    for (index, call) in calls.iter().enumerate() {
        assert_eq!(call.len() % 32, 4, "call {index}");
        assert!(functions.contains(&call[..4].try_into().unwrap()), "call {index}");
    }
    let events = signatures("event");
    for event in [QUEUED, BATCH_COMMITTED, BATCH_FINAL] {
        assert!(events.iter().any(|found| found == event), "{event}");
    }
    // Reasons have their names, and only what users and operators can meet is there.
    for error in signatures("error").iter().filter(|error| error.starts_with("Wrong")) {
        let name = error.split('(').next().unwrap();
        assert!(answer::reason(&selector(error)).starts_with(name), "{error}");
    }
}

#[test]
fn known_selectors() {
    assert_eq!(approve(Address::default(), 0)[..4], [0x09, 0x5e, 0xa7, 0xb3]);
    assert_eq!(balance_of(Address::default())[..4], [0x70, 0xa0, 0x82, 0x31]);
    assert_eq!(mint(Address::default(), 0)[..4], [0x40, 0xc1, 0x0f, 0x19]);
}

fn word(bytes: &[u8], index: usize) -> &[u8] {
    &bytes[4 + index * 32..][..32]
}

#[test]
fn a_commit_has_its_parts_where_their_offsets_say() {
    let bytes = commit_batch(&batch(), CompactSignature { r: [0xf1; 32], vs: [0xf2; 32] });
    let offset = |index: usize| usize::from(u16::from_be_bytes(word(&bytes, index)[30..].try_into().unwrap())) / 32;
    let (at_changes, at_data, at_lines) = (offset(0), offset(1), offset(10));
    assert_eq!((at_changes, at_data, at_lines), (11, 11 + 5, 11 + 5 + 3));
    let numbers: Vec<_> = bytes[4 + 2 * 32..][..64].chunks(4).map(|four| four[3]).collect();
    assert_eq!(numbers, [1, 2, 0, 1, 0, 1, 0, 9, 0, 4, 0, 5, 0, 6, 0, 7]);
    assert_eq!([4, 5, 6, 7, 8, 9].map(|index| word(&bytes, index)[0]), [10, 11, 12, 0xee, 0xf1, 0xf2]);
    let (middle, last) = (|index: usize| word(&bytes, index)[15], |index: usize| word(&bytes, index)[31]);
    assert_eq!((0..5).map(|index| last(at_changes + index)).collect::<Vec<_>>(), [1, 1, 8, 10, 9]);
    assert_eq!((0..5).map(|index| last(at_lines + index)).collect::<Vec<_>>(), [2, 1, 3, 4, 6]);
    assert_eq!([middle(at_changes + 2), middle(at_lines + 2), middle(at_lines + 4)], [7, 2, 5]);
    assert_eq!(last(at_data), 33);
    assert_eq!(bytes[4 + (at_data + 1) * 32..][..33], batch().data);
    assert!(bytes[4 + (at_data + 1) * 32 + 33..][..31].iter().all(|byte| *byte == 0));
    assert_eq!(bytes.len(), 4 + (at_lines + 5) * 32);
}

#[test]
fn a_commit_with_blobs_has_the_same_claim_between_other_offsets() {
    let header = Header { data_hash: Hash([0xb1; 32]), ..header() };
    let bytes = commit_batch_blobs(&batch(), &header, CompactSignature { r: [0xf1; 32], vs: [0xf2; 32] });
    let plain = commit_batch(&batch(), CompactSignature { r: [0xf1; 32], vs: [0xf2; 32] });
    assert_eq!(word(&bytes, 0), [0xb1; 32]);
    let offset = |index: usize| usize::from(u16::from_be_bytes(word(&bytes, index)[30..].try_into().unwrap())) / 32;
    assert_eq!((offset(1), offset(10)), (11, 11 + 5), "lines, changes");
    assert_eq!(bytes[4 + 2 * 32..4 + 10 * 32], plain[4 + 2 * 32..4 + 10 * 32]);
    assert_eq!(bytes[4 + 11 * 32..4 + 16 * 32], plain[4 + 19 * 32..]);
    assert_eq!(bytes[4 + 16 * 32..], plain[4 + 11 * 32..4 + 16 * 32]);
}

#[test]
fn a_claim_has_its_parts_where_their_offsets_say() {
    let bytes = claim_from_batch(&claim(), Stamp { time_seconds: 0x11, block_number: 0x12 });
    let last = |index: usize| word(&bytes, index)[31];
    assert_eq!([last(16), last(17)], [0x11, 0x12]);
    assert_eq!(usize::from(u16::from_be_bytes([word(&bytes, 18)[30], last(18)])), 24 * 32);
    assert_eq!([last(19), last(20), last(21), last(22)], [1, 0x23, 0x24, 0x25]);
    assert_eq!(usize::from(u16::from_be_bytes([word(&bytes, 23)[30], last(23)])), 28 * 32);
    assert_eq!([last(24), last(25), last(26), last(27)], [1, 1, 0x21, 0x22]);
    assert_eq!([last(28), last(29), last(30), last(31), last(32)], [2, 0x26, 0x27, 0, 0]);
    assert_eq!(bytes.len(), 4 + 33 * 32);
}

fn log(topics: Vec<Hash>, data: Vec<u8>) -> Log {
    Log {
        address: Address([1; 20]),
        topics,
        data,
        block_number: 1,
        block_hash: Hash::ZERO,
        transaction_hash: Hash::ZERO,
        log_index: 0,
    }
}

fn queued() -> Log {
    let words = [number(1), number(2), number(300), [0xee; 32], number(1_800_000_000), [0xaa; 32]];
    log(vec![answer::topic(QUEUED), answer::indexed(7), answer::indexed(3)], words.concat())
}

fn entry() -> ChainEntry {
    ChainEntry {
        queue_id: 7,
        kind: ChainEntryKind::Deposit,
        account: AccountId(3),
        asset: AssetId(2),
        amount: Atoms(300),
        extra: [0xee; 32],
        time_seconds: 1_800_000_000,
        prefix: [0xaa; 32],
    }
}

#[test]
fn a_queue_entry_is_read_and_a_strange_one_refused() {
    assert_eq!(decode_queued(&queued()), Some(entry()));
    let changed = |place: usize, byte: u8| {
        let mut log = queued();
        log.data[place] = byte;
        log
    };
    let mut strange = vec![
        changed(31, 6),          // a kind that there is not
        changed(30, 1),          // a kind over 8 bits
        changed(32 + 29, 1),     // an asset over 16 bits
        changed(2 * 32 + 23, 1), // an amount over 64 bits
        changed(4 * 32, 1),      // a time over 64 bits
    ];
    let mut other = queued();
    other.topics[0] = answer::topic(BATCH_FINAL);
    strange.push(other);
    let mut account = queued();
    account.topics[2].0[27] = 1;
    strange.push(account);
    let mut short = queued();
    short.data.pop();
    strange.push(short);
    let mut topics = queued();
    topics.topics.pop();
    strange.push(topics);
    assert!(strange.iter().all(|log| decode_queued(log).is_none()));
}

#[test]
fn batch_events_are_read() {
    let committed = log(vec![answer::topic(BATCH_COMMITTED), answer::indexed(4)], vec![5; 32]);
    assert_eq!(BatchCommitted::decode(&committed), Some(BatchCommitted { batch_id: 4, header_hash: Hash([5; 32]) }));
    assert_eq!(answer::decode_batch_final(&committed), None);
    let last = log(vec![answer::topic(BATCH_FINAL), answer::indexed(4)], Vec::new());
    assert_eq!(answer::decode_batch_final(&last), Some(4));
    assert_eq!(BatchCommitted::decode(&last), None);
}

#[test]
fn answers_are_read() {
    let tip: Vec<u8> = (1..=5).flat_map(|value: u8| number(value.into())).collect();
    let expected = Tip { batch_id: 1, last_sequence: 2, queue_up_to: 3, last_time_seconds: 4, final_batch: 5 };
    assert_eq!(Tip::decode(&tip), Some(expected));
    assert_eq!(Tip::decode(&tip[1..]), None);
    assert_eq!(Counts::decode(&tip[..96]), Some(Counts { assets: 1, accounts: 2, queue_length: 3 }));
    let info = AssetInfo::decode(&tip[..128]).unwrap();
    assert_eq!((info.token.0[19], info.scale, info.minimum, info.cap), (1, 2, 3, 4));
    assert_eq!(answer::address(&[0xff; 32]), None);
    assert_eq!(answer::large_number(&number(u128::MAX)), Some(u128::MAX));
    assert_eq!(answer::large_number(&[0xff; 32]), None);
}

#[test]
fn refusals_are_told_in_words() {
    let refusal = [&selector("WrongBatch(uint64,uint64)")[..], &number(3), &number(4)].concat();
    assert_eq!(answer::reason(&refusal), "WrongBatch(3, 4)");
    assert!(answer::is_error(&refusal, "WrongBatch(uint64,uint64)"));
    assert!(!answer::is_error(&refusal[..3], "WrongBatch(uint64,uint64)"));
    assert_eq!(answer::reason(&[]), "no reason given");
    assert_eq!(answer::reason(&[1, 2, 3, 4, 5]), "unknown error 0x01020304()");
    assert!(answer::reason(&[0xff; 100_000]).len() < 400);
}

#[test]
fn a_created_contract_is_where_the_chain_puts_it() {
    // The first contract of every development chain's first account.
    let creator = Address::from_hex("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266").unwrap();
    let expected = Address::from_hex("0x5fbdb2315678afecb367f032d93f642f64180aa3").unwrap();
    assert_eq!(deploy::created_address(creator, 0), expected);
}

proptest! {
    #![proptest_config(crate::testing::random_cases(128))]

    #[test]
    fn wild_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..260), topics in 0_usize..5) {
        let signatures = [QUEUED, BATCH_COMMITTED, BATCH_FINAL];
        let mut all: Vec<Hash> = signatures.iter().map(|signature| answer::topic(signature)).collect();
        all.push(Hash([0xff; 32]));
        let log = log(all.into_iter().take(topics).collect(), data.clone());
        let _ = (decode_queued(&log), BatchCommitted::decode(&log), answer::decode_batch_final(&log));
        let _ = (Tip::decode(&data), Counts::decode(&data), AssetInfo::decode(&data), answer::reason(&data));
    }
}
