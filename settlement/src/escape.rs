//! The way out of a venue whose operator is gone, as a list of calls that anybody may send, in their order.
//!
//! freeze (once the queue's oldest entry has waited for a week) → back to the last final batch → each balance and each
//! deposit that this batch did not know, to its owner. What has been done already is left out, so whoever is interrupted
//! asks again. Needs a chain and nothing else, see [`crate::rebuild`].

use lakh_engine::command::{ChainEntry, ChainEntryKind};
use lakh_engine::ids::{AccountId, Sequence};

use crate::chain::{Address, BlockTag, Call, Chain, ChainError};
use crate::commitment::{Header, Stamp};
use crate::contract::{answer, exits};
use crate::follower::Venue;
use crate::keccak::Hash;
use crate::rebuild::Rebuilt;

/// A call that anybody may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitStep {
    /// What it does, in words.
    pub what: String,
    /// The contract that takes it.
    pub to: Address,
    /// Selector and arguments.
    pub data: Vec<u8>,
}

/// The calls that are left until everybody, or `account` alone, is out.
///
/// Where the venue is not frozen and nothing waits in its queue, nobody can freeze it: the list is empty, and somebody has
/// to ask for a forced withdrawal first ([`exits::force_withdraw`]).
///
/// # Errors
/// See [`ChainError`].
pub fn exit_steps(
    chain: &dyn Chain,
    venue: Venue,
    rebuilt: &mut Rebuilt,
    account: Option<AccountId>,
) -> Result<Vec<ExitStep>, ChainError> {
    let contract = venue.contract;
    let mut steps = Vec::new();
    if !flag(chain, contract, exits::frozen())? {
        let Some(oldest) = rebuilt.waiting.first() else { return Ok(steps) };
        let what = format!("freeze the venue: queue entry {} has waited for too long", oldest.queue_id);
        steps.push(ExitStep { what, to: contract, data: exits::freeze(oldest) });
    }
    if !flag(chain, contract, exits::rolled_back())? {
        let (header, stamp) = match &rebuilt.last_final {
            Some(last) => (last.header, last.stamp),
            None => (NO_HEADER, Stamp { time_seconds: 0, block_number: 0 }),
        };
        let what = format!("go back to batch {}, the last final one", header.batch_id);
        steps.push(ExitStep { what, to: contract, data: exits::roll_back(&header, stamp) });
    }
    let to = answer::address(&ask(chain, contract, exits::exits_contract())?);
    let to = to.ok_or_else(|| malformed("it names no contract of exits"))?;
    let is_wanted = |other: AccountId| account.is_none_or(|account| account == other);
    if let Some(last) = &mut rebuilt.last_final {
        let balances: Vec<_> = last.balances().filter(|(_, account, _)| is_wanted(*account)).collect();
        for (asset, account, balance) in balances {
            if flag(chain, to, exits::has_escaped(account, asset))? {
                continue;
            }
            let proof = last.prove(asset, account).expect("its balance was just found");
            let what = format!("pay account {account} its {balance} atoms of asset {asset}");
            steps.push(ExitStep { what, to, data: exits::escape(asset, &proof, &last.lines) });
        }
    }
    let is_deposit = |entry: &&ChainEntry| entry.kind == ChainEntryKind::Deposit && is_wanted(entry.account);
    for entry in rebuilt.waiting.iter().filter(is_deposit) {
        if !flag(chain, to, exits::is_reclaimed(entry.queue_id))? {
            let what = format!("give account {} its deposit {} back", entry.account, entry.queue_id);
            steps.push(ExitStep { what, to, data: exits::reclaim_deposit(entry) });
        }
    }
    Ok(steps)
}

/// What is shown in place of a header where no batch is final.
pub(crate) const NO_HEADER: Header = Header {
    batch_id: 0,
    first_sequence: Sequence(0),
    last_sequence: Sequence(0),
    first_time_seconds: 0,
    last_time_seconds: 0,
    queue_up_to: 0,
    fills: 0,
    previous_root: Hash::ZERO,
    new_root: Hash::ZERO,
    journal_hash: Hash::ZERO,
    journal_root: Hash::ZERO,
    queue_prefix: Hash::ZERO,
    data_hash: Hash::ZERO,
    steps_root: Hash::ZERO,
    withdrawals_root: Hash::ZERO,
};

fn ask(chain: &dyn Chain, to: Address, data: Vec<u8>) -> Result<Vec<u8>, ChainError> {
    chain.call(&Call::question(to, data), BlockTag::Latest)
}

fn flag(chain: &dyn Chain, to: Address, data: Vec<u8>) -> Result<bool, ChainError> {
    let number = answer::number(&ask(chain, to, data)?);
    number.map(|number| number != 0).ok_or_else(|| malformed("no settlement contract answers there"))
}

fn malformed(reason: &str) -> ChainError {
    ChainError::Malformed { method: "the settlement contract", reason: reason.to_owned() }
}
