//! Blobs from a consensus node's HTTP API: execution nodes keep none.
//!
//! | asked | for what |
//! |---|---|
//! | `/eth/v1/config/spec`, `/eth/v1/beacon/genesis` | once: which slot a block's time is |
//! | `/eth/v1/beacon/blobs/{slot}?versioned_hashes={hash}` | one blob |
//!
//! A node that has no `/eth/v1/config/spec` is a development chain's (anvil, the embedded one), whose slots are its blocks.
//!
//! Invariants: a blob is handed on only if it has the versioned hash that was asked for, whatever the node says; a blob that
//! is not there is told apart from a node that does not answer. Bounds: those of [`super::rpc`].

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ChainError;
use super::hex::Bytes;
use super::rpc::{no_answer, read};
use crate::blobs::{Blob, versioned_hash};
use crate::commitment::Stamp;
use crate::keccak::Hash;

const METHOD: &str = "/eth/v1/beacon/blobs";
const NOT_FOUND: u16 = 404;
/// What nodes answer whose server has no such path for this method.
const NO_SUCH_PATH: [u16; 3] = [NOT_FOUND, 405, 501];

/// Which slot a block is in.
#[derive(Clone, Copy)]
enum Slots {
    /// That of its height.
    Blocks,
    /// That of its time.
    Times { genesis_s: u64, slot_ms: u64 },
}

/// Where blobs are asked for.
pub(super) struct Beacon {
    url: String,
    slots: Mutex<Option<Slots>>,
}

impl Beacon {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), slots: Mutex::new(None) }
    }

    /// A blob of a transaction in `block`; `None` where the node does not have it.
    pub(super) fn blob(&self, agent: &ureq::Agent, hash: Hash, block: &Stamp) -> Result<Option<Blob>, ChainError> {
        let slot = match self.slots(agent)? {
            Slots::Blocks => block.block_number,
            Slots::Times { genesis_s, slot_ms } => {
                let since_ms = u128::from(block.time_seconds.saturating_sub(genesis_s)) * 1_000;
                u64::try_from(since_ms / u128::from(slot_ms)).unwrap_or(u64::MAX)
            }
        };
        let (status, body) = self.ask(agent, &format!("{METHOD}/{slot}?versioned_hashes={hash}"))?;
        if status == NOT_FOUND {
            return Ok(None);
        }
        let blobs: Vec<Bytes> = data(status, &body)?;
        let mut found = blobs.iter().filter_map(|bytes| Blob::try_from(bytes.0.as_slice()).ok());
        Ok(found.find(|blob| versioned_hash(blob) == Some(hash)))
    }

    fn slots(&self, agent: &ureq::Agent) -> Result<Slots, ChainError> {
        if let Some(slots) = *self.slots.lock() {
            return Ok(slots);
        }
        let (status, body) = self.ask(agent, "/eth/v1/config/spec")?;
        let slots = if NO_SUCH_PATH.contains(&status) {
            Slots::Blocks
        } else {
            let spec: Spec = data(status, &body)?;
            let (status, body) = self.ask(agent, "/eth/v1/beacon/genesis")?;
            let genesis: Genesis = data(status, &body)?;
            let slot_ms = spec.slot_duration_ms.as_deref().map(str::parse::<u64>);
            let slot_ms = slot_ms.or_else(|| {
                Some(spec.seconds_per_slot.as_ref()?.parse::<u64>().map(|seconds| seconds.saturating_mul(1_000)))
            });
            match (slot_ms, genesis.genesis_time.parse()) {
                (Some(Ok(slot_ms @ 1..=3_600_000)), Ok(genesis_s)) => Slots::Times { genesis_s, slot_ms },
                _ => return Err(ChainError::malformed(METHOD, "no time of the first slot, or no length of a slot")),
            }
        };
        *self.slots.lock() = Some(slots);
        Ok(slots)
    }

    fn ask(&self, agent: &ureq::Agent, path: &str) -> Result<(u16, Vec<u8>), ChainError> {
        let request = agent.get(format!("{}{path}", self.url)).header("accept", "application/json");
        read(METHOD, request.call().map_err(|error| no_answer(&error))?)
    }
}

/// What an answer holds.
fn data<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, ChainError> {
    if status != 200 {
        return Err(ChainError::no_answer(format!("the blobs' node answers with HTTP status {status}")));
    }
    let answer: Result<Answer<T>, _> = serde_json::from_slice(body);
    answer
        .map(|answer| answer.data)
        .map_err(|error| ChainError::malformed(METHOD, super::printable(&error.to_string())))
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

/// Numbers are texts in this API.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Spec {
    slot_duration_ms: Option<String>,
    seconds_per_slot: Option<String>,
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: String,
}
