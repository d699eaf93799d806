//! What a committed batch published: its call from its transaction, its data from the call or from the transaction's blobs.
//!
//! Nothing here is believed: the header has to hash to what the contract confirmed, and the data have to be those that the
//! header names, so that a node can hide them and cannot change them.
//!
//! Whoever misses a blob has to know why. Within [`BLOB_LIFE_SECONDS`] every blob was really published, since the chain takes
//! no block whose blobs are not; a node that does not have one then is the wrong node to ask, not a reason to veto.

use crate::blobs::{BLOB_LIFE_SECONDS, Blob, data_hash, unpack};
use crate::chain::{BlockTag, Chain, ChainError};
use crate::commitment::{AssetLine, Header, Stamp};
use crate::contract::committed::CommitCall;
use crate::keccak::{Hash, keccak256};

/// A batch on the chain, by its event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    pub(crate) header_hash: Hash,
    pub(crate) transaction_hash: Hash,
    pub(crate) stamp: Stamp,
}

/// The call that committed a batch.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) header: Header,
    pub(crate) lines: Vec<AssetLine>,
    at: DataPlace,
}

/// Where the data are.
#[derive(Debug)]
enum DataPlace {
    Call(Vec<u8>),
    Blobs { hashes: Vec<Hash>, stamp: Stamp },
}

/// The published data.
#[derive(Debug)]
pub(crate) enum Data {
    /// Those that the header names.
    There(Vec<u8>),
    /// What was published is not what it should be: in words.
    Wrong(String),
    /// The node does not have them: in words.
    Missing(String),
}

impl Published {
    /// `None` where the node does not know the transaction, or it is no commit of that batch.
    pub(crate) fn read(chain: &dyn Chain, commit: &Commit) -> Result<Option<Self>, ChainError> {
        let Some(sent) = chain.sent(commit.transaction_hash)? else { return Ok(None) };
        let call = CommitCall::decode(&sent.data).filter(|call| call.header.hash() == commit.header_hash);
        Ok(call.map(|CommitCall { header, lines, data }| {
            let blobs = || DataPlace::Blobs { hashes: sent.blob_hashes, stamp: commit.stamp };
            Self { header, lines, at: data.map_or_else(blobs, DataPlace::Call) }
        }))
    }

    /// The data, which are asked for where they are in blobs.
    pub(crate) fn data(&self, chain: &dyn Chain) -> Result<Data, ChainError> {
        let wrong = || Data::Wrong("its published data are not those of its header".to_owned());
        let (hashes, stamp) = match &self.at {
            DataPlace::Call(data) if keccak256(data) == self.header.data_hash => return Ok(Data::There(data.clone())),
            DataPlace::Call(_) => return Ok(wrong()),
            DataPlace::Blobs { hashes, .. } if data_hash(hashes) != self.header.data_hash => return Ok(wrong()),
            DataPlace::Blobs { hashes, stamp } => (hashes, stamp),
        };
        let mut blobs: Vec<Blob> = Vec::with_capacity(hashes.len());
        for hash in hashes {
            match chain.blob(*hash, stamp)? {
                Some(blob) => blobs.push(blob),
                None => return Ok(Data::Missing(missing(chain, *hash, stamp)?)),
            }
        }
        Ok(match unpack(&blobs) {
            Ok(data) => Data::There(data),
            Err(error) => Data::Wrong(format!("its blobs hold no data: {error}")),
        })
    }
}

/// Why a blob may be missing, and what helps.
fn missing(chain: &dyn Chain, hash: Hash, stamp: &Stamp) -> Result<String, ChainError> {
    let now_s = chain.block(BlockTag::Latest)?.map_or(stamp.time_seconds, |head| head.timestamp_s);
    let days = now_s.saturating_sub(stamp.time_seconds) / (24 * 3_600);
    let blob = format!(
        "blob {hash} of block {}, {days} days old, is not on the node that was asked for blobs",
        stamp.block_number
    );
    Ok(if now_s.saturating_sub(stamp.time_seconds) > BLOB_LIFE_SECONDS {
        format!("{blob}: blobs are kept for {} days", BLOB_LIFE_SECONDS / (24 * 3_600))
    } else {
        format!(
            "{blob}, though it was published and is kept for {} days: ask another consensus node",
            BLOB_LIFE_SECONDS / (24 * 3_600)
        )
    })
}
