//! What signed questions have used up: a text that was used for a question never changes anything afterwards.
//!
//! Bounds: a number of digests in each of two generations; beyond that signed questions are refused.

use std::collections::HashSet;

use lakh_engine::units::Timestamp;
use parking_lot::Mutex;

use crate::api_error::ApiError;
use crate::request::refusal;

/// For how long a digest that a question used is remembered at least: the longest window and a second ahead, and one
/// more to be safe.
const READ_DIGEST_LIFE_NS: u64 = 62_000_000_000;

/// Digests of signed texts that questions have used, in two generations, so that each is remembered for 62 to 124
/// seconds. Shared by all verifiers of a gateway: the second use may come over another connection.
#[derive(Debug)]
pub struct ReadDigests {
    capacity: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    began_at: Timestamp,
    young: HashSet<[u8; 16]>,
    old: HashSet<[u8; 16]>,
}

impl ReadDigests {
    /// Remembers at most `capacity` digests a generation; beyond that signed questions are refused.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, generations: Mutex::default() }
    }

    /// Remembers the digest of a question, which may come again as a question.
    ///
    /// # Errors
    /// -1003 when there is no room: a question that cannot be remembered must not be answered.
    pub(super) fn remember(&self, digest: [u8; 16], now: Timestamp) -> Result<(), ApiError> {
        let mut generations = self.generations.lock();
        if now.0.saturating_sub(generations.began_at.0) >= READ_DIGEST_LIFE_NS {
            generations.old = std::mem::take(&mut generations.young);
            generations.began_at = now;
        }
        if generations.young.len() >= self.capacity && !generations.young.contains(&digest) {
            return Err(refusal::too_many_requests());
        }
        generations.young.insert(digest);
        Ok(())
    }

    /// Whether a question has used this digest.
    pub(super) fn contains(&self, digest: &[u8; 16]) -> bool {
        let generations = self.generations.lock();
        generations.young.contains(digest) || generations.old.contains(digest)
    }
}
