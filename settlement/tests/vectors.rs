//! The vectors that hold Rust and Solidity to one encoding: `vectors/*.json`, read by the contracts' tests too.
//!
//! This test computes them and compares with the committed files. It writes them only where `LAKH_WRITE_VECTORS` is set,
//! which belongs to a change of format and to no other.
//!
//! Amounts are strings, since JSON numbers above 2^53 are not safe; hashes and addresses are hex.

use std::fs;
use std::path::Path;

use lakh_engine::command::{ChainEntry, ChainEntryKind, SettlementBinding};
use lakh_engine::ids::{AccountId, AssetId, Sequence};
use lakh_engine::units::Atoms;
use lakh_settlement::blobs::{self, Packed};
use lakh_settlement::chain::Address;
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::commitment::{AssetLine, Header, Stamp, balances_root, batch_hash, trees_hash};
use lakh_settlement::diff::{self, LeafUpdate};
use lakh_settlement::follower::Venue;
use lakh_settlement::receipt::Interval;
use lakh_settlement::sum_tree::{BalanceProof, Node, SumTree};
use lakh_settlement::typed_data::{batch_digest, domain_separator, interval_digest, recover, register_key_digest};
use lakh_settlement::withdrawals::{Withdrawal, WithdrawalTree, withdrawals_root};
use lakh_settlement::{Hash, keccak256};
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}

fn hash(hash: Hash) -> String {
    hash.to_string()
}

fn decimal(number: impl Into<u128>) -> String {
    number.into().to_string()
}

fn hashes(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| hash(node.hash)).collect()
}

fn sums(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| decimal(node.sum)).collect()
}

/// Compares with the committed file, or writes it.
fn check(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = format!("{value:#}\n");
    if std::env::var_os("LAKH_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).expect("the folder is there");
    }
    let committed = fs::read_to_string(&path).expect("the file is committed");
    assert_eq!(committed, text, "{name} differs from what the code computes");
}

#[test]
fn sum_tree() {
    let balances =
        [(0, 1_u64), (1, 1_000_000), (2, 0), (3, u64::MAX), (4, 7), (1_000, 123_456_789), (65_536, u64::MAX)];
    let mut tree = SumTree::new();
    let empty = tree.root();
    balances.iter().for_each(|(account, balance)| tree.set(AccountId(*account), Atoms(*balance)));
    let root = tree.root();
    let mut proofs = Vec::new();
    for (account, _) in balances {
        let BalanceProof { balance, path, .. } = tree.prove(AccountId(account));
        let leaf = Node::balance(AccountId(account), balance);
        proofs.push(json!({
            "account": account, "balance": decimal(balance.raw()), "leaf": hash(leaf.hash),
            "path_hashes": hashes(&path), "path_sums": sums(&path),
        }));
    }
    let value = json!({
        "empty_root": hash(empty.hash), "root": hash(root.hash), "sum": decimal(root.sum), "proofs": proofs,
    });
    check("sum_tree.json", &value);
}

#[test]
fn withdrawals() {
    let withdrawal = |account, amount| Withdrawal { account: AccountId(account), amount: Atoms(amount) };
    let lists = [
        (0_u16, vec![withdrawal(1, 5)]),
        (2, vec![withdrawal(3, u64::MAX), withdrawal(3, u64::MAX), withdrawal(0, 1)]),
        (63, (1..=6).map(|account| withdrawal(account, u64::from(account) * 1_000)).collect()),
    ];
    let (mut assets, mut roots) = (Vec::new(), Vec::new());
    for (asset, list) in lists {
        let tree = WithdrawalTree::new(list).expect("not empty");
        roots.push((AssetId(asset), tree.root()));
        let mut claims = Vec::new();
        for (index, item) in (0_u32..).zip(tree.withdrawals()) {
            let path = tree.prove(index).expect("it is there");
            claims.push(json!({
                "index": index, "account": item.account.0, "amount": decimal(item.amount.raw()),
                "leaf": hash(item.leaf().hash), "path_hashes": hashes(&path), "path_sums": sums(&path),
            }));
        }
        let root = tree.root();
        assets.push(json!({
            "asset": asset, "tree_hash": hash(root.hash), "sum": decimal(root.sum), "claims": claims,
        }));
    }
    check("withdrawals.json", &json!({ "root": hash(withdrawals_root(&roots)), "assets": assets }));
}

#[test]
fn typed_data() {
    let venue = Venue { chain_id: 31_337, contract: Address([0x5e; 20]) };
    let signer = TransactionSigner::from_secret(&[0x51; 32]).expect("a secret");
    let header_hash = keccak256(b"header");
    let (owner, key) = (Address([0xa1; 20]), [0xed; 32]);
    let batch = batch_digest(venue, header_hash);
    let signature = signer.sign_digest(batch);
    assert_eq!(recover(batch, signature), Some(signer.address()));
    let mut interval = Interval::new(3, 7);
    let records: Vec<Hash> = (0..11_u8).map(|number| keccak256(&[number])).collect();
    for (sequence, record) in (500..).zip(&records) {
        assert!(interval.push(Sequence(sequence), *record));
    }
    let interval = interval.sign(venue, &signer).expect("it has records");
    let receipts: Vec<Value> = (500..511)
        .map(|sequence| {
            let receipt = interval.receipt(Sequence(sequence)).expect("it is there");
            let root = receipt.root().expect("a whole path");
            json!({
                "sequence": receipt.sequence.0, "record_hash": hash(receipt.record_hash), "index": receipt.index,
                "count": receipt.count, "path": receipt.path.iter().map(|step| hash(*step)).collect::<Vec<_>>(),
                "root": hash(root), "digest": hash(interval_digest(venue, 3, 7, root)),
                "r": hex(&receipt.signature.r), "vs": hex(&receipt.signature.vs),
            })
        })
        .collect();
    let value = json!({
        "chain_id": decimal(venue.chain_id), "contract": venue.contract.to_string(),
        "domain_separator": hash(domain_separator(venue)),
        "signer": signer.address().to_string(),
        "batch": {
            "header_hash": hash(header_hash), "digest": hash(batch), "r": hex(&signature.r), "vs": hex(&signature.vs),
        },
        "register_key": {
            "owner": owner.to_string(), "key": hex(&key), "epoch": "3", "expiry": "1900000000",
            "digest": hash(register_key_digest(venue, owner, key, 3, 1_900_000_000)),
        },
        "receipts": { "shard": "3", "epoch": "7", "list": receipts },
    });
    check("typed_data.json", &value);
}

#[test]
fn commitment() {
    let line =
        |seed: &[u8], sum: u128, credited: u128| AssetLine { tree: Node { hash: keccak256(seed), sum }, credited };
    let lines = [line(b"first", 999, 1_000), line(b"second", 0, 0), line(b"third", u128::MAX - 1, u128::MAX)];
    let seeded = |name: &str| keccak256(name.as_bytes());
    let header = Header {
        batch_id: 1,
        first_sequence: Sequence(1),
        last_sequence: Sequence(u64::MAX),
        first_time_seconds: 1_800_000_000,
        last_time_seconds: 1_800_000_060,
        queue_up_to: 3,
        fills: 123_456,
        previous_root: balances_root(&[]),
        new_root: balances_root(&lines),
        journal_hash: seeded("journal hash"),
        journal_root: seeded("journal root"),
        queue_prefix: seeded("queue prefix"),
        data_hash: seeded("data"),
        steps_root: Hash::ZERO,
        withdrawals_root: seeded("withdrawals"),
    };
    let stamp = Stamp { time_seconds: 1_800_000_072, block_number: 20_000_000 };
    let trees = lines.map(|line| line.tree);
    let value = json!({
        "lines": {
            "tree_hash": hashes(&trees),
            "sum": sums(&trees),
            "credited": lines.map(|line| decimal(line.credited)),
        },
        "trees_hash": hash(trees_hash(&lines)),
        "roots": (0..=lines.len()).map(|count| hash(balances_root(&lines[..count]))).collect::<Vec<_>>(),
        "header": {
            "bytes": hex(&header.encode()),
            "batch_id": decimal(header.batch_id),
            "first_sequence": decimal(header.first_sequence.0),
            "last_sequence": decimal(header.last_sequence.0),
            "first_time": decimal(header.first_time_seconds),
            "last_time": decimal(header.last_time_seconds),
            "queue_up_to": decimal(header.queue_up_to),
            "fills": decimal(header.fills),
            "prev_root": hash(header.previous_root),
            "new_root": hash(header.new_root),
            "journal_hash": hash(header.journal_hash),
            "journal_root": hash(header.journal_root),
            "queue_prefix": hash(header.queue_prefix),
            "data_hash": hash(header.data_hash),
            "steps_root": hash(header.steps_root),
            "withdrawals_root": hash(header.withdrawals_root),
        },
        "header_hash": hash(header.hash()),
        "stamp": { "time": decimal(stamp.time_seconds), "block_number": decimal(stamp.block_number) },
        "batch_hash": hash(batch_hash(header.hash(), stamp)),
    });
    check("commitment.json", &value);
}

#[test]
fn queue() {
    let (chain_id, contract) = (31_337, [0x5e; 20]);
    let entry = |kind, account, asset, amount, extra| ChainEntry {
        queue_id: 0,
        kind,
        account: AccountId(account),
        asset: AssetId(asset),
        amount: Atoms(amount),
        extra,
        time_seconds: 1_800_000_000 + u64::from(account),
        prefix: [0; 32],
    };
    let mut owner = [0; 32];
    owner[12..].copy_from_slice(&[0xa1; 20]);
    let entries = [
        entry(ChainEntryKind::Deposit, 1, 0, 1_000_000, owner),
        entry(ChainEntryKind::RegisterKey, 1, 0, 0, [0xed; 32]),
        entry(ChainEntryKind::Deposit, u32::MAX, 63, u64::MAX, owner),
        entry(ChainEntryKind::RevokeKey, 1, 0, 0, [0xed; 32]),
        entry(ChainEntryKind::Withdrawal, 1, 0, 999_999, [0; 32]),
    ];
    let settlement = SettlementBinding { chain_id, contract };
    let origin = settlement.origin();
    let mut prefix = origin;
    let mut rows = Vec::new();
    for entry in entries {
        prefix = entry.prefix_after(&prefix);
        rows.push(json!({
            "kind": entry.kind as u8, "account": entry.account.0, "asset": entry.asset.0,
            "amount": decimal(entry.amount.raw()), "extra": hex(&entry.extra), "time": decimal(entry.time_seconds),
            "prefix": hex(&prefix),
        }));
    }
    let value = json!({
        "chain_id": chain_id, "contract": hex(&contract), "origin": hex(&origin),
        "venue_tag": hex(&settlement.venue_tag()), "entries": rows,
    });
    check("queue.json", &value);
}

#[test]
fn state_diff() {
    let update = |account, asset, balance| LeafUpdate {
        account: AccountId(account),
        asset: AssetId(asset),
        balance: Atoms(balance),
    };
    let updates = [
        update(0, 1, 300),
        update(1, 0, 0),
        update(1, 1, 127),
        update(1, 63, 128),
        update(70_000, 0, u64::MAX),
        update(u32::MAX, u16::MAX, 1),
    ];
    let bytes = diff::encode(&updates).expect("in order");
    let rows: Vec<_> =
        updates.iter().map(|item| json!([item.account.0, item.asset.0, decimal(item.balance.raw())])).collect();
    let value = json!({ "updates": rows, "bytes": hex(&bytes), "data_hash": hash(keccak256(&bytes)) });
    check("diff.json", &value);
}

/// What the contract sees of blobs is their versioned hashes; how data become blobs is told by the keccak256 of each blob.
#[test]
fn blob_data() {
    let cases: Vec<Value> = [0_usize, 1, 28, 1_000, 126_972, 126_973, 300_000]
        .iter()
        .map(|length| {
            let data: Vec<u8> = (0..*length).map(|index| u8::try_from(index % 251).expect("below 251")).collect();
            let packed = Packed::of(&data).expect("short enough");
            let packed_blobs = blobs::pack(&data).expect("short enough");
            json!({
                "data_length": length,
                "first_bytes": hex(&packed_blobs[0][..64]),
                "blobs_keccak256": packed_blobs.iter().map(|blob| hash(keccak256(blob.as_slice()))).collect::<Vec<_>>(),
                "versioned_hashes": packed.hashes().iter().map(|versioned| hash(*versioned)).collect::<Vec<_>>(),
                "data_hash": hash(blobs::data_hash(packed.hashes())),
            })
        })
        .collect();
    check("blobs.json", &json!({ "data_bytes": "byte i is i modulo 251", "cases": cases }));
}
