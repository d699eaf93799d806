//! What somebody needs to be paid: every withdrawal of an account with its proof, as data that wallets and scripts read.
//!
//! A withdrawal is paid by the contract's `claimFromBatch`, to the account's owner, whoever calls it. [`ClaimData`] has
//! its arguments under the names that the contract's ABI has for them, and the whole call as bytes; what to send is
//! [`ClaimData::call`] to [`ClaimData::contract`] without ether. Numbers over 32 bits are decimal text, since JSON's are
//! not exact; bytes are `0x` and hexadecimal digits.
//!
//! Two ways lead here: a running node asks its service ([`crate::service::SettlementService::claims_data`]), and anybody
//! with the journal and a chain asks [`claims_in_journal`], with no node at all and for all batches there ever were.
//!
//! Invariants: a call is given only with the stamp that the contract confirmed, and only once the batch is final, so that
//! none is given which would be refused for good. Bounds: a withdrawal takes about 3 KiB as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use lakh_engine::ids::{AccountId, AssetId};
use serde::{Deserialize, Serialize};

use crate::chain::{Address, BlockTag, Call, Chain, ChainError, encode_hex};
use crate::commitment::{HEADER_VERSION, Header, Stamp};
use crate::commits::stamps_of;
use crate::contract::answer::{self, Tip};
use crate::contract::{self, CLAIM_FROM_BATCH, WithdrawalClaim};
use crate::follower::{FollowError, Progress, Replica, Venue};
use crate::sum_tree::Node;

/// Records replayed at once.
const CHUNK_RECORDS: usize = 4_096;

/// How far a withdrawal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimState {
    /// Its batch is decided and not on the chain yet.
    Sealed,
    /// Its batch is on the chain and not final yet.
    Committed,
    /// It can be claimed. Where the call is missing, its stamp is still being looked for.
    Final,
    /// It was claimed: paid, or waiting as `withdrawable` where the token had refused ([`contract::claim`]).
    Claimed,
}

/// A header under the ABI's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of `Header`, under the contract's names")]
pub struct HeaderData {
    pub version: String,
    pub batch_id: String,
    pub first_sequence: String,
    pub last_sequence: String,
    pub first_time: String,
    pub last_time: String,
    pub queue_up_to: String,
    pub fills: String,
    pub prev_root: String,
    pub new_root: String,
    pub journal_hash: String,
    pub journal_root: String,
    pub queue_prefix: String,
    pub data_hash: String,
    pub steps_root: String,
    pub withdrawals_root: String,
}

/// When the batch came to the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StampData {
    /// The block's time, in seconds since the Unix epoch.
    pub time: String,
    /// The block's number.
    pub block_number: String,
}

/// All withdrawals of one asset in the batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineData {
    /// The asset.
    pub asset: u16,
    /// Root hash of their tree.
    pub tree_hash: String,
    /// What they come to, in atoms.
    pub sum: String,
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithdrawalData {
    /// Of what.
    pub asset: u16,
    /// Its place among the asset's withdrawals in the batch.
    pub index: u32,
    /// Whose; its owner is paid.
    pub account: u32,
    /// How much, in atoms.
    pub amount: String,
}

/// A sibling on the way from a leaf to its tree's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepData {
    /// Its hash.
    pub hash: String,
    /// The sum below it.
    pub sum: String,
}

/// The arguments of `claimFromBatch`, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimArguments {
    /// The batch.
    pub header: HeaderData,
    /// When it came to the chain; missing until it is known.
    pub stamp: Option<StampData>,
    /// All assets that have withdrawals in the batch.
    pub lines: Vec<LineData>,
    /// What is claimed.
    pub withdrawal: WithdrawalData,
    /// The proof.
    pub path: Vec<StepData>,
}

/// One withdrawal, ready to be claimed or on its way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimData {
    /// On which chain.
    pub chain_id: u64,
    /// Whom to call.
    pub contract: String,
    /// The batch.
    pub batch_id: u64,
    /// How far it is.
    pub state: ClaimState,
    /// The function's signature.
    pub function: &'static str,
    /// Its arguments.
    pub arguments: ClaimArguments,
    /// The encoded call, once it can be sent.
    pub call: Option<String>,
}

/// Why claims cannot be had from a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The journal cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The chain gives no usable answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// A withdrawal as data. `stamp` is when its batch came to the chain, `tip` where the chain is.
pub fn claim_data(venue: Venue, claim: &WithdrawalClaim, stamp: Option<Stamp>, tip: Tip) -> ClaimData {
    let batch_id = claim.header.batch_id;
    let state = match batch_id {
        _ if batch_id > tip.batch_id => ClaimState::Sealed,
        _ if batch_id > tip.final_batch => ClaimState::Committed,
        _ => ClaimState::Final,
    };
    let known =
        |stamp: Stamp| StampData { time: stamp.time_seconds.to_string(), block_number: stamp.block_number.to_string() };
    let line = |(asset, tree): &(AssetId, Node)| LineData {
        asset: asset.0,
        tree_hash: tree.hash.to_string(),
        sum: tree.sum.to_string(),
    };
    let step = |node: &Node| StepData { hash: node.hash.to_string(), sum: node.sum.to_string() };
    let call = stamp.filter(|_| state == ClaimState::Final).map(|stamp| contract::claim_from_batch(claim, stamp));
    ClaimData {
        chain_id: venue.chain_id,
        contract: venue.contract.to_string(),
        batch_id,
        state,
        function: CLAIM_FROM_BATCH,
        arguments: ClaimArguments {
            header: header_data(&claim.header),
            stamp: stamp.map(known),
            lines: claim.trees.iter().map(line).collect(),
            withdrawal: WithdrawalData {
                asset: claim.asset.0,
                index: claim.index,
                account: claim.account.0,
                amount: claim.amount.to_string(),
            },
            path: claim.path.iter().map(step).collect(),
        },
        call: call.map(|bytes| encode_hex(&bytes)),
    }
}

/// Asks the chain which of the final ones were claimed already, and marks them. Their calls are taken away, since they
/// would be refused.
///
/// # Errors
/// See [`ChainError`]; those before the question that failed are marked.
pub fn mark_claimed(chain: &dyn Chain, contract: Address, claims: &mut [ClaimData]) -> Result<(), ChainError> {
    for claim in claims.iter_mut().filter(|claim| claim.state == ClaimState::Final) {
        let WithdrawalData { asset, index, .. } = claim.arguments.withdrawal;
        let answer = ask(chain, contract, contract::is_claimed(claim.batch_id, AssetId(asset), index))?;
        match answer::number(&answer) {
            Some(0) => {}
            Some(1) => (claim.state, claim.call) = (ClaimState::Claimed, None),
            _ => return Err(malformed("neither yes nor no")),
        }
    }
    Ok(())
}

/// Every withdrawal of an account in a journal's batches, the oldest first, as the chain has them now. `first_block` is
/// a block before the contract was created.
///
/// # Errors
/// A journal that cannot be followed, a chain that does not answer, or one that has other batches than the journal, whose
/// stamps are then missing.
pub fn claims_in_journal(
    directory: &Path,
    venue: Venue,
    chain: &dyn Chain,
    first_block: u64,
    account: AccountId,
) -> Result<Vec<ClaimData>, ClaimsError> {
    let claims = withdrawals_in_journal(directory, venue, account)?;
    let tip = Tip::decode(&ask(chain, venue.contract, contract::tip())?);
    let tip = tip.ok_or_else(|| malformed("no settlement contract answers there"))?;
    let wanted: BTreeMap<u64, _> = claims
        .iter()
        .filter(|claim| claim.header.batch_id <= tip.batch_id)
        .map(|claim| (claim.header.batch_id, claim.header))
        .collect();
    let stamps = stamps_of(chain, venue.contract, first_block, &wanted)?;
    let mut found = Vec::with_capacity(claims.len());
    for mut claim in claims {
        let on_chain = stamps.get(&claim.header.batch_id).copied();
        let stamp = on_chain.map(|(header, stamp)| {
            claim.header = header;
            stamp
        });
        found.push(claim_data(venue, &claim, stamp, tip));
    }
    mark_claimed(chain, venue.contract, &mut found)?;
    Ok(found)
}

fn withdrawals_in_journal(
    directory: &Path,
    venue: Venue,
    account: AccountId,
) -> Result<Vec<WithdrawalClaim>, FollowError> {
    let mut replica = Replica::open(directory, venue)?;
    let (mut batches, mut claims) = (Vec::new(), Vec::new());
    loop {
        let progress = replica.advance(CHUNK_RECORDS, &mut batches)?;
        for batch in batches.drain(..) {
            let places = batch.withdrawals_of(account).into_iter();
            claims.extend(places.filter_map(|(asset, index)| batch.claim(asset, index)));
        }
        if progress == Progress::CaughtUp {
            return Ok(claims);
        }
    }
}

fn header_data(header: &Header) -> HeaderData {
    HeaderData {
        version: HEADER_VERSION.to_string(),
        batch_id: header.batch_id.to_string(),
        first_sequence: header.first_sequence.0.to_string(),
        last_sequence: header.last_sequence.0.to_string(),
        first_time: header.first_time_seconds.to_string(),
        last_time: header.last_time_seconds.to_string(),
        queue_up_to: header.queue_up_to.to_string(),
        fills: header.fills.to_string(),
        prev_root: header.previous_root.to_string(),
        new_root: header.new_root.to_string(),
        journal_hash: header.journal_hash.to_string(),
        journal_root: header.journal_root.to_string(),
        queue_prefix: header.queue_prefix.to_string(),
        data_hash: header.data_hash.to_string(),
        steps_root: header.steps_root.to_string(),
        withdrawals_root: header.withdrawals_root.to_string(),
    }
}

fn ask(chain: &dyn Chain, contract: Address, data: Vec<u8>) -> Result<Vec<u8>, ChainError> {
    chain.call(&Call::question(contract, data), BlockTag::Latest)
}

fn malformed(reason: &str) -> ChainError {
    ChainError::Malformed { method: "the settlement contract", reason: reason.to_owned() }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
