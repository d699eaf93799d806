//! What the poster pays for gas: enough for two doublings of the base fee at first, more when nobody takes it.

use crate::chain::Fees;
use crate::chain::transaction::Transaction;

/// How many times the first fee a replacement may pay.
pub const FEE_CAP: u128 = 5;

/// The first attempt's fee and the part of it for the block's maker, in wei for a unit of gas.
pub(super) fn first(fees: Fees) -> (u128, u128) {
    let priority = fees.priority_fee_wei.max(1);
    (fees.base_fee_wei.saturating_mul(2).saturating_add(priority), priority)
}

/// The same payload for a fee that nodes take as a replacement: both parts at least 10 % higher than the newest
/// attempt's; with blobs both and the fee for blob gas at least twice as high. `None` once that would be more than
/// [`FEE_CAP`] times the first. `blob_base_fee_wei` is what blob gas costs now.
pub(super) fn bumped(
    attempt: &Transaction,
    newest: &Transaction,
    fees: Fees,
    blob_base_fee_wei: u128,
) -> Option<Transaction> {
    let (fresh, fresh_priority) = first(fees);
    let has_blobs = newest.blobs.is_some();
    let raised = |fee: u128| fee.saturating_add(if has_blobs { fee } else { fee / 8 }).saturating_add(1);
    let cap = |fee: u128| fee.saturating_mul(FEE_CAP);
    let newest_fee = newest.max_fee_per_gas_wei;
    let least = newest_fee.saturating_add(if has_blobs { newest_fee } else { newest_fee / 10 }).saturating_add(1);
    if least > cap(attempt.max_fee_per_gas_wei) {
        return None;
    }
    let max_fee_per_gas_wei = raised(newest_fee).max(fresh).min(cap(attempt.max_fee_per_gas_wei));
    let priority = raised(newest.max_priority_fee_per_gas_wei).max(fresh_priority);
    let max_priority_fee_per_gas_wei = priority.min(max_fee_per_gas_wei);
    let mut next = Transaction { max_fee_per_gas_wei, max_priority_fee_per_gas_wei, ..newest.clone() };
    if let (Some(blobs), Some(first)) = (&mut next.blobs, &attempt.blobs) {
        let fresh = blob_base_fee_wei.saturating_mul(2).min(cap(first.max_fee_per_blob_gas_wei));
        blobs.max_fee_per_blob_gas_wei = raised(blobs.max_fee_per_blob_gas_wei).max(fresh);
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::blobs::Packed;
    use crate::chain::transaction::Blobs;

    fn transaction(max_fee: u128, priority: u128) -> Transaction {
        Transaction {
            chain_id: 1,
            nonce: 0,
            max_priority_fee_per_gas_wei: priority,
            max_fee_per_gas_wei: max_fee,
            gas_limit: 21_000,
            to: None,
            value_wei: 0,
            data: vec![7],
            blobs: None,
        }
    }

    #[test]
    fn each_replacement_pays_a_tenth_more_until_the_cap() {
        let fees = Fees { base_fee_wei: 1_000, priority_fee_wei: 10 };
        let (max_fee, priority) = first(fees);
        assert_eq!((max_fee, priority), (2_010, 10));
        let attempt = transaction(max_fee, priority);
        let mut newest = attempt.clone();
        let mut count = 0;
        while let Some(next) = bumped(&attempt, &newest, fees, 0) {
            assert!(next.max_fee_per_gas_wei * 10 >= newest.max_fee_per_gas_wei * 11);
            assert!(next.max_priority_fee_per_gas_wei * 10 >= newest.max_priority_fee_per_gas_wei * 11);
            assert!(next.max_fee_per_gas_wei <= FEE_CAP * max_fee);
            assert_eq!(next.data, attempt.data);
            newest = next;
            count += 1;
        }
        assert!(newest.max_fee_per_gas_wei * 11 > FEE_CAP * max_fee * 10, "it stops near the cap only");
        assert!((10..20).contains(&count), "{count}");
        let dear = Fees { base_fee_wei: 1_000_000, priority_fee_wei: 10 };
        assert_eq!(bumped(&attempt, &attempt, dear, 0).unwrap().max_fee_per_gas_wei, FEE_CAP * max_fee);
    }
    #[test]
    fn with_blobs_every_fee_doubles_until_the_cap() {
        let fees = Fees { base_fee_wei: 1_000, priority_fee_wei: 10 };
        let (max_fee, priority) = first(fees);
        let sidecar = Arc::new(Packed::of(&[1]).unwrap().sidecar());
        let blobs = Some(Blobs { max_fee_per_blob_gas_wei: 100, sidecar });
        let attempt = Transaction { blobs, ..transaction(max_fee, priority) };
        let blob_fee = |transaction: &Transaction| transaction.blobs.as_ref().unwrap().max_fee_per_blob_gas_wei;
        let (mut newest, mut count) = (attempt.clone(), 0);
        while let Some(next) = bumped(&attempt, &newest, fees, 1) {
            assert!(next.max_fee_per_gas_wei >= 2 * newest.max_fee_per_gas_wei);
            assert!(next.max_priority_fee_per_gas_wei >= 2 * newest.max_priority_fee_per_gas_wei);
            assert!(blob_fee(&next) >= 2 * blob_fee(&newest));
            assert!(next.max_fee_per_gas_wei <= FEE_CAP * max_fee);
            (newest, count) = (next, count + 1);
        }
        assert_eq!((count, blob_fee(&newest)), (2, 403));
        let dear = bumped(&attempt, &attempt, fees, 1_000_000).unwrap();
        assert_eq!(blob_fee(&dear), 100 * FEE_CAP, "a price that has risen is followed up to the cap");
    }
}
