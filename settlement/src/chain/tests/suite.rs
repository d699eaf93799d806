//! What every chain must answer.

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718 as _;

use super::super::transaction::{Blobs, Decoded};
use super::super::{BlockTag, Call, Chain, ChainError, Log, LogFilter, NonceAt, Receipt, Sent, TransactionStatus};
use super::*;
use crate::blobs::{Packed, Sidecar, unpack};
use crate::commitment::Stamp;

/// What must not depend on the implementation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Where the counter is, which stands at 10.
    pub(super) counter: Address,
    /// What each transaction used.
    pub(super) gas_used: Vec<u64>,
}

/// From an empty chain to a counter that stands at 10, through every question.
pub(super) fn every_question(chain: &dyn Chain) -> Outcome {
    beginning(chain);
    let deployed = deployment(chain);
    let counter = deployed.contract_address.expect("a contract was created");
    let mut receipts = vec![deployed];
    receipts.extend(successes(chain, counter));
    receipts.push(reverts(chain, counter));
    refusals(chain, counter);
    blocks_hang_together(chain);
    Outcome { counter, gas_used: receipts.iter().map(|receipt| receipt.gas_used).collect() }
}

fn call(to: Address, data: Vec<u8>) -> Call {
    Call { from: signer().address(), to: Some(to), data, value_wei: 0, blob_hashes: Vec::new() }
}

/// Anvil mines a moment after it has taken a transaction, and like every chain tells nobody: it must be asked again.
fn receipt(chain: &dyn Chain, hash: Hash) -> Receipt {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(receipt) = chain.receipt(hash).unwrap() {
            assert_eq!(receipt.transaction_hash, hash);
            return receipt;
        }
        assert!(Instant::now() < patience, "no block for {hash}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn beginning(chain: &dyn Chain) {
    assert_eq!(chain.chain_id().unwrap(), CHAIN_ID);
    assert_eq!(chain.block_number(BlockTag::Latest).unwrap(), 0);
    assert_eq!(chain.block_number(BlockTag::Finalized).unwrap(), 0);
    assert_eq!(chain.block(BlockTag::Number(1_000_000)).unwrap(), None);
    assert_eq!(chain.balance(signer().address()).unwrap(), TEN_THOUSAND_ETHER);
    assert_eq!(chain.balance(Address([9; 20])).unwrap(), 0);
    assert!(chain.code(Address([9; 20])).unwrap().is_empty());
    assert_eq!(chain.receipt(Hash([1; 32])).unwrap(), None);
    let fees = chain.fees().unwrap();
    assert!(fees.base_fee_wei > 0 && fees.base_fee_wei + fees.priority_fee_wei <= 5_000_000_000, "{fees:?}");
    for at in [NonceAt::Latest, NonceAt::Pending] {
        assert_eq!(chain.nonce(signer().address(), at).unwrap(), 0);
    }
}

fn deployment(chain: &dyn Chain) -> Receipt {
    let creation =
        Call { from: signer().address(), to: None, data: counter_code(), value_wei: 0, blob_hashes: Vec::new() };
    let code = chain.call(&creation, BlockTag::Latest).unwrap();
    assert_eq!(code, counter_code()[28..], "creation gives back the code");
    let gas_limit = chain.estimate_gas(&creation).unwrap();
    let hash = send(chain, &Transaction { gas_limit, ..transaction(0, None, counter_code()) });
    let receipt = receipt(chain, hash);
    assert_eq!((receipt.status, receipt.block_number), (TransactionStatus::Succeeded, 1));
    assert!(receipt.gas_used <= gas_limit, "{} of {gas_limit}", receipt.gas_used);
    let counter = receipt.contract_address.expect("a contract was created");
    assert_eq!(chain.code(counter).unwrap(), code);
    let paid = u128::from(receipt.gas_used) * receipt.effective_gas_price_wei;
    assert_eq!(chain.balance(signer().address()).unwrap(), TEN_THOUSAND_ETHER - paid);
    receipt
}

fn successes(chain: &dyn Chain, counter: Address) -> [Receipt; 2] {
    let estimated = chain.estimate_gas(&call(counter, add(3))).unwrap();
    let first = receipt(chain, send(chain, &transaction(1, Some(counter), add(3))));
    assert!((first.gas_used..first.gas_used * 5 / 4).contains(&estimated), "{estimated} for {}", first.gas_used);
    let second = receipt(chain, send(chain, &transaction(2, Some(counter), add(7))));
    for (receipt, height, count) in [(&first, 2, 3), (&second, 3, 10)] {
        assert_eq!(receipt.status, TransactionStatus::Succeeded);
        assert_eq!(receipt.contract_address, None);
        let expected = Log {
            address: counter,
            topics: vec![COUNTED, sender_topic()],
            data: word(count).to_vec(),
            block_number: height,
            block_hash: chain.block(BlockTag::Number(height)).unwrap().unwrap().hash,
            transaction_hash: receipt.transaction_hash,
            log_index: 0,
        };
        assert_eq!(receipt.logs, [expected]);
    }
    assert_eq!(chain.call(&call(counter, count()), BlockTag::Latest).unwrap(), word(10));
    assert_eq!(chain.nonce(signer().address(), NonceAt::Pending).unwrap(), 3);
    log_queries(chain, counter, &[&first.logs[..], &second.logs].concat());
    [first, second]
}

fn sender_topic() -> Hash {
    let mut topic = [0; 32];
    topic[12..].copy_from_slice(&signer().address().0);
    Hash(topic)
}

fn log_queries(chain: &dyn Chain, counter: Address, logs: &[Log]) {
    let all = LogFilter { address: counter, from_block: 0, to_block: 3, topics: Vec::new() };
    let other = Hash([5; 32]);
    let cases = [
        (all.clone(), logs),
        (LogFilter { from_block: 2, to_block: 2, ..all.clone() }, &logs[..1]),
        (LogFilter { from_block: 3, ..all.clone() }, &logs[1..]),
        (LogFilter { to_block: 1, ..all.clone() }, &[]),
        (LogFilter { topics: vec![vec![COUNTED]], ..all.clone() }, logs),
        (LogFilter { topics: vec![vec![], vec![other, sender_topic()]], ..all.clone() }, logs),
        (LogFilter { topics: vec![vec![COUNTED], vec![other]], ..all.clone() }, &[]),
        (LogFilter { topics: vec![vec![other]], ..all.clone() }, &[]),
        (LogFilter { address: Address([9; 20]), ..all.clone() }, &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(chain.logs(&filter).unwrap(), expected, "{filter:?}");
    }
}

fn reverts(chain: &dyn Chain, counter: Address) -> Receipt {
    let too_much_at_once = call(counter, add(11));
    for error in [
        chain.call(&too_much_at_once, BlockTag::Latest).unwrap_err(),
        chain.estimate_gas(&too_much_at_once).unwrap_err(),
    ] {
        assert_eq!(error.revert_data(), Some(&too_much(11)[..]), "{error}");
    }
    let receipt = receipt(chain, send(chain, &transaction(3, Some(counter), add(11))));
    assert_eq!((receipt.status, receipt.logs.len()), (TransactionStatus::Reverted, 0));
    assert_eq!(chain.nonce(signer().address(), NonceAt::Latest).unwrap(), 4);
    assert_eq!(chain.call(&call(counter, count()), BlockTag::Latest).unwrap(), word(10));
    receipt
}

fn refusals(chain: &dyn Chain, counter: Address) {
    let head = chain.block(BlockTag::Latest).unwrap();
    let good = transaction(4, Some(counter), add(1));
    let wrong = [
        ("a used nonce", Transaction { nonce: 3, ..good.clone() }),
        ("another chain", Transaction { chain_id: CHAIN_ID + 1, ..good.clone() }),
        ("more than there is", Transaction { value_wei: 2 * TEN_THOUSAND_ETHER, ..good.clone() }),
        ("more gas than a transaction may use", Transaction { gas_limit: (1 << 24) + 1, ..good.clone() }),
        ("too little gas to begin", Transaction { gas_limit: 20_999, ..good.clone() }),
        ("a tip above the whole", Transaction { max_priority_fee_per_gas_wei: 6_000_000_000, ..good }),
    ];
    let mut raws: Vec<_> = wrong.iter().map(|(why, transaction)| (*why, signer().sign(transaction).raw)).collect();
    raws.push(("no transaction", vec![2, 0xc0]));
    raws.push(("nothing", Vec::new()));
    for (why, raw) in raws {
        let error = chain.send_raw_transaction(&raw).expect_err(why);
        assert!(matches!(error, ChainError::Refused { .. }), "{why}: {error:?}");
        assert_eq!(error.revert_data(), None, "{why}");
    }
    for (from_block, topics) in [(2, 0), (1, 5)] {
        let filter = LogFilter { address: counter, from_block, to_block: 1, topics: vec![Vec::new(); topics] };
        assert!(matches!(chain.logs(&filter).unwrap_err(), ChainError::Refused { .. }), "{filter:?}");
    }
    assert_eq!(chain.block(BlockTag::Latest).unwrap(), head, "what is refused leaves no block");
    assert_eq!(chain.nonce(signer().address(), NonceAt::Pending).unwrap(), 4);
}

/// Behind [`every_question`]: a transaction with two blobs, which are there afterwards, and everything that is none. What it
/// used.
pub(super) fn blobs(chain: &dyn Chain, counter: Address) -> u64 {
    let data = vec![7; 130_000];
    let packed = Packed::of(&data).unwrap();
    let sidecar = packed.sidecar();
    assert_eq!(chain.blob_base_fee().unwrap(), Some(1), "the least there is");
    let with = |sidecar: Sidecar| {
        let blobs = Some(Blobs { max_fee_per_blob_gas_wei: 10, sidecar: Arc::new(sidecar) });
        Transaction { blobs, ..transaction(4, Some(counter), add(0)) }
    };
    let (mut swapped, mut unproved) = (sidecar.clone(), sidecar.clone());
    swapped.0.blobs.swap(0, 1);
    unproved.0.cell_proofs.pop();
    for (why, wrong) in [("blobs of other hashes", swapped), ("a proof is missing", unproved)] {
        let error = chain.send_raw_transaction(&signer().sign(&with(wrong)).raw).expect_err(why);
        assert!(matches!(error, ChainError::Refused { .. }), "{why}: {error:?}");
    }
    let good = with(sidecar);
    let block_form = Decoded::from_raw(&signer().sign(&good).raw).unwrap().envelope.encoded_2718();
    assert!(matches!(chain.send_raw_transaction(&block_form), Err(ChainError::Refused { .. })), "without its blobs");
    let question = Call { blob_hashes: packed.hashes().to_vec(), ..call(counter, add(0)) };
    assert_eq!(chain.call(&question, BlockTag::Latest).unwrap(), Vec::<u8>::new());
    let estimated = chain.estimate_gas(&question).unwrap();
    let hash = send(chain, &good);
    let receipt = receipt(chain, hash);
    assert_eq!((receipt.status, receipt.block_number), (TransactionStatus::Succeeded, 5));
    assert!(receipt.gas_used <= estimated, "{} of {estimated}", receipt.gas_used);
    let sent = chain.sent(hash).unwrap().unwrap();
    assert_eq!(sent, Sent { data: add(0), blob_hashes: packed.hashes().to_vec() });
    let block = chain.block(BlockTag::Number(5)).unwrap().unwrap();
    let stamp = Stamp { time_seconds: block.timestamp_s, block_number: 5 };
    let found: Vec<_> = sent.blob_hashes.iter().map(|hash| chain.blob(*hash, &stamp).unwrap().unwrap()).collect();
    assert!(unpack(&found).unwrap() == data);
    assert!(chain.blob(Hash([1; 32]), &stamp).unwrap().is_none(), "nobody ever sent it");
    assert_eq!(chain.sent(Hash([1; 32])).unwrap(), None);
    receipt.gas_used
}

fn blocks_hang_together(chain: &dyn Chain) {
    let head = chain.block_number(BlockTag::Latest).unwrap();
    assert_eq!(head, 4);
    let blocks: Vec<_> = (0..=head).map(|height| chain.block(BlockTag::Number(height)).unwrap().unwrap()).collect();
    for (pair, number) in blocks.windows(2).zip(1..) {
        assert_eq!((pair[1].number, pair[1].parent_hash), (number, pair[0].hash));
        assert!(pair[1].timestamp_s >= pair[0].timestamp_s);
    }
    assert_eq!(chain.block(BlockTag::Latest).unwrap().as_ref(), blocks.last());
}
