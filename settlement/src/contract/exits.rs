//! The calls by which users leave without the operator, and by which watchers and anybody stop a venue.
//!
//! Which contract takes which call: [`force_withdraw`] to [`roll_back`] the settlement contract; [`escape`] and
//! [`reclaim_deposit`] the contract that it names by [`exits_contract`]; [`veto`] the one that it names by
//! [`watchers_contract`]; [`prove_receipt_violated`] and [`prove_equivocation`]
//! the one that it names by [`proofs_contract`].

use lakh_engine::command::ChainEntry;
use lakh_engine::ids::{AccountId, AssetId};

use crate::chain::Address;
use crate::commitment::{AssetLine, Header, Stamp};
use crate::inclusion::JournalProof;
use crate::receipt::Receipt;
use crate::sum_tree::BalanceProof;
use crate::words::{WORD, number};

use super::{Encoder, HEADER_WORDS, plain};

const ENTRY: &str = "(uint64,uint8,uint32,uint16,uint64,bytes32,uint64)";

impl Encoder {
    fn entry(self, entry: &ChainEntry) -> Self {
        let numbered = self.number(entry.queue_id).number(entry.kind as u8).number(entry.account.0);
        numbered.number(entry.asset.0).number(entry.amount.0).word(entry.extra).number(entry.time_seconds)
    }
}

/// `exits`: the contract that takes [`escape`] and [`reclaim_deposit`].
pub fn exits_contract() -> Vec<u8> {
    plain("exits()")
}

/// `watchers`: the contract that takes [`veto`].
pub fn watchers_contract() -> Vec<u8> {
    plain("watchers()")
}

/// `keys`: the contract that takes [`signer_until`].
pub fn keys_contract() -> Vec<u8> {
    plain("keys()")
}

/// `signerUntil`: until when receipts of a header key prove something, in seconds of the chain's time; 0 for nobody's key.
pub fn signer_until(signer: Address) -> Vec<u8> {
    Encoder::new("signerUntil(address)", 1).address(signer).finish()
}

/// `proofs`: the contract that takes [`prove_receipt_violated`] and [`prove_equivocation`].
pub fn proofs_contract() -> Vec<u8> {
    plain("proofs()")
}

/// `frozen`: whether the venue has stopped for ever; the answer is 1 or 0.
pub fn frozen() -> Vec<u8> {
    plain("frozen()")
}

/// `rolledBack`: whether a frozen venue is back at its last final batch; the answer is 1 or 0.
pub fn rolled_back() -> Vec<u8> {
    plain("rolledBack()")
}

/// `vetoes`: how often watchers have dropped batches.
pub fn vetoes() -> Vec<u8> {
    plain("vetoes()")
}

/// `forcedFee`: what [`force_withdraw`] costs, in wei.
pub fn forced_fee() -> Vec<u8> {
    plain("forcedFee()")
}

/// `bond`: what [`veto`] puts at stake, in wei; asked of the watchers' contract.
pub fn bond() -> Vec<u8> {
    plain("bond()")
}

/// `forceWithdraw`: all of an asset, whatever orders it is in. Sent with [`forced_fee`].
pub fn force_withdraw(asset: AssetId) -> Vec<u8> {
    Encoder::new("forceWithdraw(uint16)", 1).number(asset.0).finish()
}

/// `startFreezeClock`: counts blocks from now on, where no clock runs.
pub fn start_freeze_clock() -> Vec<u8> {
    plain("startFreezeClock()")
}

/// `freeze`: the venue's oldest entry has waited for too long.
pub fn freeze(oldest: &ChainEntry) -> Vec<u8> {
    Encoder::new(&format!("freeze({ENTRY})"), 7).entry(oldest).finish()
}

/// `rollBack`: a frozen venue goes back to its last final batch.
pub fn roll_back(header: &Header, stamp: Stamp) -> Vec<u8> {
    Encoder::new(concat!("rollBack(", header_type!(), ",(uint64,uint64))"), HEADER_WORDS + 2)
        .header(header)
        .stamp(stamp)
        .finish()
}

/// `escape`: a balance of the last final batch leaves; with all lines of that batch.
pub fn escape(asset: AssetId, proof: &BalanceProof, lines: &[AssetLine]) -> Vec<u8> {
    let steps = proof.path.iter().flat_map(|node| [node.hash.0, number(node.sum)]);
    let AccountId(account) = proof.account;
    Encoder::new("escape(uint32,uint16,uint128,(bytes32,bytes32)[],(bytes32,uint128)[])", 5)
        .number(account)
        .number(asset.0)
        .number(proof.balance.raw())
        .lines(lines)
        .list(proof.path.len(), steps)
        .finish()
}

/// `hasEscaped`: whether a balance has left; the answer is 1 or 0.
pub fn has_escaped(account: AccountId, asset: AssetId) -> Vec<u8> {
    Encoder::new("hasEscaped(uint32,uint16)", 2).number(account.0).number(asset.0).finish()
}

/// `isReclaimed`: whether a deposit was given back; the answer is 1 or 0.
pub fn is_reclaimed(queue_id: u64) -> Vec<u8> {
    Encoder::new("isReclaimed(uint64)", 1).number(queue_id).finish()
}

/// `reclaimDeposit`: a deposit that no final batch had consumed goes back.
pub fn reclaim_deposit(entry: &ChainEntry) -> Vec<u8> {
    Encoder::new(&format!("reclaimDeposit({ENTRY})"), 7).entry(entry).finish()
}

/// `veto`: a batch is not what the journal comes to. Sent by a watcher with [`bond`].
pub fn veto(
    (header, stamp): (&Header, Stamp),
    (previous, previous_stamp): (&Header, Stamp),
    previous_lines: &[AssetLine],
    divergent_sequence: u64,
) -> Vec<u8> {
    const SIGNATURE: &str = concat!(
        "veto(",
        header_type!(),
        ",(uint64,uint64),",
        header_type!(),
        ",(uint64,uint64),(bytes32,bytes32)[],uint64)"
    );
    Encoder::new(SIGNATURE, 2 * (HEADER_WORDS + 2) + 2)
        .header(header)
        .stamp(stamp)
        .header(previous)
        .stamp(previous_stamp)
        .lines(previous_lines)
        .number(divergent_sequence)
        .finish()
}

/// A receipt as the contract's signatures have it.
macro_rules! receipt_type {
    () => {
        "(uint16,uint64,uint64,bytes32,uint64,uint64,bytes32[],(bytes32,bytes32))"
    };
}

impl Encoder {
    fn receipt(self, receipt: &Receipt) -> Self {
        /// Words of a receipt before its path.
        const RECEIPT_WORDS: usize = 9;
        let words = [
            number(receipt.shard.into()),
            number(receipt.epoch.into()),
            number(receipt.sequence.0.into()),
            receipt.record_hash.0,
            number(receipt.index.into()),
            number(receipt.count.into()),
            number((RECEIPT_WORDS * WORD) as u128),
            receipt.signature.r,
            receipt.signature.vs,
            number(receipt.path.len() as u128),
        ];
        let mut encoder = self.offset();
        encoder.tail.extend(words.iter().chain(receipt.path.iter().map(|hash| &hash.0)).flatten());
        encoder
    }
}

/// `proveReceiptViolated`: the batch, which was committed at `stamp`, has another record where the receipt promised one;
/// `committed` shows what the batch has there.
pub fn prove_receipt_violated(receipt: &Receipt, header: &Header, stamp: Stamp, committed: &JournalProof) -> Vec<u8> {
    const SIGNATURE: &str =
        concat!("proveReceiptViolated(", receipt_type!(), ",", header_type!(), ",(uint64,uint64),bytes32,bytes32[])");
    Encoder::new(SIGNATURE, HEADER_WORDS + 5)
        .receipt(receipt)
        .header(header)
        .stamp(stamp)
        .hash(committed.record_hash)
        .list(committed.path.len(), committed.path.iter().map(|hash| hash.0))
        .finish()
}

/// `proveEquivocation`: the two receipts promise different records in one place.
pub fn prove_equivocation(one: &Receipt, other: &Receipt) -> Vec<u8> {
    const SIGNATURE: &str = concat!("proveEquivocation(", receipt_type!(), ",", receipt_type!(), ")");
    Encoder::new(SIGNATURE, 2).receipt(one).receipt(other).finish()
}
