//! Which levels of a book changed since the last depth message.
//!
//! Messages cover the feed sequence without gap or overlap: the first sequence of one is the last of the one before
//! plus one. A message holds each changed level once, with the quantity that it has when the message is made.

use std::collections::BTreeSet;

use lakh_engine::units::Timestamp;

use crate::market_data::book::LevelKey;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepthDiff {
    first_feed_sequence: u64,
    levels: BTreeSet<LevelKey>,
    changed_at: Timestamp,
}

impl DepthDiff {
    /// Nothing yet, after this feed sequence.
    pub const fn after(feed_sequence: u64) -> Self {
        Self { first_feed_sequence: feed_sequence + 1, levels: BTreeSet::new(), changed_at: Timestamp::ZERO }
    }

    /// The first change that is covered.
    pub const fn first_feed_sequence(&self) -> u64 {
        self.first_feed_sequence
    }

    /// When the last noted change was.
    pub const fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// The changed levels: bids before asks, each by rising price.
    pub fn levels(&self) -> impl Iterator<Item = LevelKey> {
        self.levels.iter().copied()
    }

    /// How many levels changed.
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// True where no level changed.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// A level changed.
    pub fn note(&mut self, level: LevelKey, timestamp: Timestamp) {
        self.levels.insert(level);
        self.changed_at = timestamp;
    }
}
