//! What the poster is told, what it says, and why it stops.

use std::path::PathBuf;

use lakh_engine::units::Timestamp;

use super::attempts::Purpose;
use crate::batch::MAX_CALLDATA_BYTES;
use crate::follower::Venue;
use crate::keccak::Hash;

/// How the poster works.
#[derive(Clone, Debug)]
pub struct PosterOptions {
    /// Which contract on which chain.
    pub venue: Venue,
    /// The contract was created in this block or later.
    pub first_block: u64,
    /// Blocks that have to stand on a transaction until it counts as final; 0 for a chain without reorganisations.
    pub confirmations: u64,
    /// Where attempts are kept; `None` only where the chain ends with the process.
    pub attempts_file: Option<PathBuf>,
    /// How the data of batches travel.
    pub data: DataRoute,
}

/// How the data of batches may travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataRoute {
    /// In calls, which every node keeps.
    #[default]
    Calldata,
    /// In a call or in blobs, whichever costs less when it is sent.
    Cheapest,
}

/// Journal and chain say different things. Nothing that is sent can heal that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// The chain has batches that the journal never decided on: the journal has lost its end, or is another one.
    #[error("the chain has batch {chain}, the journal ends with batch {journal}")]
    TipAhead {
        /// The chain's last batch.
        chain: u64,
        /// The journal's last batch.
        journal: u64,
    },
    /// A committed batch is not the journal's.
    #[error("batch {batch_id} has header {chain} on the chain and {journal} by the journal")]
    HeaderDiffers {
        /// Which.
        batch_id: u64,
        /// Its header's hash on the chain.
        chain: Hash,
        /// Its header's hash by the journal.
        journal: Hash,
    },
    /// The chain lost a batch that was final by the configured confirmations.
    #[error("the chain lost batch {batch_id}, which had its confirmations")]
    Rewound {
        /// Which.
        batch_id: u64,
    },
}

/// Why the poster has stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PosterStop {
    /// Journal and chain say different things.
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
    /// The chain is another one.
    #[error("the chain's id is {found}, not {expected}")]
    OtherChain {
        /// What it says.
        found: u64,
        /// What it should say.
        expected: u64,
    },
    /// A batch was refused in a block although the trial had gone well.
    #[error("batch {batch_id} was refused by transaction {transaction}, although the trial had passed")]
    Reverted {
        /// Which.
        batch_id: u64,
        /// The transaction.
        transaction: Hash,
    },
    /// A batch that no transaction has room for.
    #[error(
        "batch {batch_id} needs a call of {bytes} bytes, and a transaction has room for {MAX_CALLDATA_BYTES}; blobs are not allowed, not there or too small"
    )]
    TooLarge {
        /// Which.
        batch_id: u64,
        /// Bytes of its call.
        bytes: usize,
    },
    /// Attempts cannot be kept, so none may be sent.
    #[error("transactions cannot be kept: {0}")]
    Storage(String),
}

/// What a step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PosterStatus {
    /// Nothing to do.
    Idle,
    /// A transaction is under way.
    Pending(Purpose),
    /// The contract or the node refuses; it is tried again.
    Refused {
        /// What was tried.
        purpose: Purpose,
        /// Why not.
        reason: String,
    },
    /// The chain gives no usable answer. Batches wait.
    Waiting {
        /// Since when.
        since: Timestamp,
        /// What it said last.
        reason: String,
    },
    /// It is over.
    Stopped(PosterStop),
}
