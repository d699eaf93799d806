//! From the journal to the chain: what a batch says, and how it is hashed.
//!
//! A follower of the journal replays it and seals batches; the contract `Settlement` (folder `contracts/`) takes them.
//! Both compute the same hashes from the same bytes: this crate in Rust, the contract in Solidity, held together by the
//! committed vectors in `vectors/`, which this crate's tests write and both sides' tests read.
//!
//! | module | what it encodes |
//! |---|---|
//! | [`sum_tree`] | who has how much of one asset: a Merkle tree whose nodes carry sums |
//! | [`commitment`] | all assets after a batch, and the batch's header |
//! | [`diff`] | the balances that a batch changed, as published |
//! | [`blobs`] | the same in blobs |
//! | [`withdrawals`] | what a batch pays out |
//! | [`batch`] | all of a batch in one, and the journal's Merkle root |
//! | [`typed_data`] | what is signed |
//! | [`receipt`] | promises that a record stands at its place |
//! | [`inclusion`] | whether it does |
//! | [`contract`] | calls, answers and events of the contracts |
//!
//! | module | what it does |
//! |---|---|
//! | [`chain`] | asks a chain, over JSON-RPC or in this process |
//! | [`follower`] | replays the journal and seals batches |
//! | [`poster`] | brings batches to the chain, each once |
//! | [`watcher`] | reads the contract's queue |
//! | [`service`] | all of it as one object that is polled |
//! | [`notary`] | signs records as they come, and makes receipts |
//! | [`claims`] | what somebody needs to be paid |
//! | [`final_balances`] | what everybody has in the last final batch, with proofs |
//! | [`rebuild`] | every balance from chain data alone |
//! | [`escape`] | the calls by which everybody leaves |
//! | [`watch`] | whether each batch on the chain is what it should be, and the veto |
//! | [`comparison`] | whether journal and chain say the same |
//! | [`promise`] | whether the venue kept what a receipt promised, and the proof where it did not |
//!
//! Invariants: nothing that encodes reads a clock, a file or a socket; equal input gives equal bytes on every machine; a
//! decoder takes any bytes and answers with a value or an error, never a panic, and accepts one encoding of a value only.
#![forbid(unsafe_code)]

pub mod batch;
pub mod blobs;
pub mod chain;
pub mod claims;
pub mod commitment;
mod commits;
pub mod comparison;
pub mod contract;
pub mod diff;
pub mod escape;
pub mod final_balances;
pub mod follower;
pub mod inclusion;
mod journal_root;
mod keccak;
mod log_ranges;
pub mod notary;
pub mod poster;
pub mod promise;
mod published;
pub mod rebuild;
pub mod receipt;
pub mod service;
pub mod sum_tree;
#[cfg(test)]
mod test_anvil;
#[cfg(test)]
mod test_venue;
#[cfg(test)]
mod testing;
pub mod typed_data;
pub mod watch;
pub mod watcher;
pub mod withdrawals;
mod words;

pub use keccak::{Hash, keccak256};
