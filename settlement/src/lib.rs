//! From the journal to the chain: what a batch says, how it is hashed, and the chains that take it.
//!
//! A follower of the journal replays it and seals batches; the contract `Settlement` (folder `contracts/`) takes them.
//! Both compute the same hashes from the same bytes: this crate in Rust, the contract in Solidity, held together by the
//! committed vectors in `vectors/`, which this crate's tests write and both sides' tests read.
//!
//! | module | what it is |
//! |---|---|
//! | [`sum_tree`] | who has how much of one asset: a Merkle tree whose nodes carry sums |
//! | [`commitment`] | all assets after a batch, and the batch's header |
//! | [`diff`] | the balances that a batch changed, as published |
//! | [`queue`] | what users told the venue through the contract |
//! | [`withdrawals`] | what a batch pays out |
//! | [`chain`] | a chain behind one interface: over JSON-RPC, or embedded in this process |
//!
//! Invariants: outside of [`chain`] nothing reads a clock, a file or a socket; equal input gives equal bytes on every
//! machine; a decoder takes any bytes and answers with a value or an error, never a panic, and accepts one encoding of a
//! value only.
#![forbid(unsafe_code)]

pub mod chain;
pub mod commitment;
pub mod diff;
mod keccak;
pub mod queue;
pub mod sum_tree;
#[cfg(test)]
mod testing;
pub mod withdrawals;
mod words;

pub use keccak::{Hash, keccak256};
