//! The commit of the next batch: how its data travel, tried and sent.
//!
//! In the call's own bytes, or in blobs where the configuration allows that ([`DataRoute`]), the chain has them and they cost
//! less at the moment. Data that do not fit one of the two take the other. The choice is made anew for each payload and
//! then stays: nodes take no replacement of one kind for the other under a nonce, and two payloads for one nonce there must
//! not be. So that a price which rises meanwhile rarely stops a batch, a transaction with blobs offers from the start
//! what would still be cheaper than calldata.

use std::sync::Arc;

use lakh_engine::units::Timestamp;

use super::{
    Contradiction, DataRoute, MAX_GAS, Payload, Poster, PosterStatus, PosterStop, Purpose, Trouble, View, refused,
};
use crate::batch::{MAX_CALLDATA_BYTES, SealedBatch};
use crate::blobs::{BLOB_GAS, MAX_DATA_BYTES, Packed, blob_count};
use crate::chain::transaction::Blobs;
use crate::chain::{BlockTag, Call, Chain, ChainError};
use crate::commitment::Header;
use crate::contract;
use crate::typed_data::{self, CompactSignature};

/// Gas of a commit without its data, about: what a call pays beside its bytes, which decides whether their floor price
/// (EIP-7623) counts.
const COMMIT_GAS: u64 = 49_000;

/// How a batch's data travel.
enum Way {
    Call,
    /// At most so much for a unit of blob gas at first, in wei.
    Blobs(u128),
}

impl Poster {
    pub(super) fn commit(&mut self, chain: &dyn Chain, view: &View, now: Timestamp) -> Result<PosterStatus, Trouble> {
        let batch_id = view.tip.batch_id + 1;
        let purpose = Purpose::Commit(batch_id);
        let Some(held) = self.batches.get(&batch_id) else { return Ok(PosterStatus::Idle) };
        let Some(batch) = &held.batch else { return Err(Contradiction::Rewound { batch_id }.into()) };
        let way = self.way(chain, batch)?;
        let (call, packed) = match way {
            Way::Call => (self.call(batch.calldata(self.sign_header(&batch.header))), None),
            Way::Blobs(_) => {
                let packed = held.packed.clone().or_else(|| Packed::of(&batch.data).map(Arc::new));
                let packed = packed.expect("the way was chosen for data that fit");
                let header = packed.header(&batch.header);
                let data = contract::commit_batch_blobs(batch, &header, self.sign_header(&header));
                (Call { blob_hashes: packed.hashes().to_vec(), ..self.call(data) }, Some(packed))
            }
        };
        if let (Some(packed), Some(held)) = (&packed, self.batches.get_mut(&batch_id)) {
            held.packed = Some(Arc::clone(packed));
        }
        if let Err(error) = chain.call(&call, BlockTag::Latest) {
            return refused(purpose, error);
        }
        let gas = match chain.estimate_gas(&call) {
            Ok(gas) => (gas + gas / 4).min(MAX_GAS),
            Err(error) => return refused(purpose, error),
        };
        let blobs = match (way, packed) {
            (Way::Blobs(max_fee_per_blob_gas_wei), Some(packed)) => {
                Some(Blobs { max_fee_per_blob_gas_wei, sidecar: Arc::new(packed.sidecar()) })
            }
            _ => None,
        };
        self.begin(chain, view, Payload { purpose, data: call.data, gas_limit: gas, blobs }, now)
    }

    fn sign_header(&self, header: &Header) -> CompactSignature {
        self.keys.header.sign_digest(typed_data::batch_digest(self.options.venue, header.hash()))
    }

    fn way(&self, chain: &dyn Chain, batch: &SealedBatch) -> Result<Way, Trouble> {
        let bytes = batch.calldata(CompactSignature::default()).len();
        let too_large = || PosterStop::TooLarge { batch_id: batch.header.batch_id, bytes };
        let fits_call = bytes <= MAX_CALLDATA_BYTES;
        let may_take_blobs = self.options.data == DataRoute::Cheapest && batch.data.len() <= MAX_DATA_BYTES;
        let blob_fee = if may_take_blobs { chain.blob_base_fee()? } else { None };
        let Some(blob_fee) = blob_fee else {
            return if fits_call { Ok(Way::Call) } else { Err(too_large().into()) };
        };
        // Twice the price of now, so that it may rise for a while.
        let twice = blob_fee.saturating_mul(2).max(1);
        if !fits_call {
            return Ok(Way::Blobs(twice));
        }
        let bearable = bearable_blob_fee(&batch.data, gas_price(chain)?);
        Ok(if blob_fee < bearable { Way::Blobs(bearable.max(twice)) } else { Way::Call })
    }
}

fn gas_price(chain: &dyn Chain) -> Result<u128, ChainError> {
    let fees = chain.fees()?;
    Ok(fees.base_fee_wei.saturating_add(fees.priority_fee_wei))
}

/// The price of a unit of blob gas at which data cost the same in blobs as in a call, in wei.
fn bearable_blob_fee(data: &[u8], gas_price_wei: u128) -> u128 {
    let blob_gas = u128::from(BLOB_GAS) * blob_count(data.len()) as u128;
    u128::from(calldata_gas(data)).saturating_mul(gas_price_wei) / blob_gas
}

/// Gas that data cost in a call: 4 for a byte that is 0 and 16 for another, or the floor of 10 and 40 for the whole
/// transaction, where that is more (EIP-7623).
fn calldata_gas(data: &[u8]) -> u64 {
    let zeroes = data.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeroes + 4 * (data.len() as u64 - zeroes);
    (4 * tokens).max((10 * tokens).saturating_sub(COMMIT_GAS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_data_cost_in_a_call_is_the_greater_of_both_prices() {
        for (data, gas) in [
            (vec![], 0),
            (vec![1; 100], 1_600),
            (vec![0; 100], 400),
            (vec![1; 10_000], 400_000 - COMMIT_GAS),
            (vec![0; 10_000], 100_000 - COMMIT_GAS),
        ] {
            assert_eq!(calldata_gas(&data), gas, "{} bytes", data.len());
        }
    }

    #[test]
    fn blobs_are_borne_up_to_the_price_of_calldata() {
        // 100 bytes: 1,600 gas at 1,000 wei against 131,072 units of blob gas.
        assert_eq!(bearable_blob_fee(&[1; 100], 1_000), 12);
        assert_eq!(bearable_blob_fee(&[], 1_000), 0, "nothing to be saved");
        // Two blobs cost twice as much.
        let (one, two) = (bearable_blob_fee(&[1; 126_000], 1_000), bearable_blob_fee(&[1; 127_000], 1_000));
        assert!(one > 2 * two - two / 50 && one < 2 * two, "{one} {two}");
        assert_eq!(bearable_blob_fee(&[1; 100_000], u128::MAX), u128::MAX / 131_072);
    }
}
