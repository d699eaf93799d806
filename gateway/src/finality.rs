//! How far what happened has come: in the journal, on the settlement chain, there for good.
//!
//! Whatever a client is told is durable to the configured level before it is told. Behind that come batches, each of which
//! covers a range of the journal: whoever settles says which of them the chain has ([`ChainProgress`]), and the sealed
//! batches of the journal say up to which record each reaches (`SealedBatches`).
//! Bounds: `BATCHES_MAX` batches; what an older one covers is told as less than it is while the chain is so far behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use lakh_engine::ids::Sequence;
use lakh_engine::wire::{DecodeError, Wire};

use crate::saved::{put_each, take_each};

/// Batches that are remembered.
const BATCHES_MAX: usize = 4_096;

/// How far something can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// The journal has it, to the configured level.
    Durable,
    /// The settlement chain has it.
    Committed,
    /// The settlement chain has it for good.
    Final,
}

impl Finality {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Durable => "DURABLE",
            Self::Committed => "COMMITTED",
            Self::Final => "FINAL",
        }
    }
}

/// The last batch that the chain has, and the last that it has for good. Written by whoever settles, read by the publisher.
#[derive(Debug, Default)]
pub struct ChainProgress {
    committed: AtomicU64,
    last_final: AtomicU64,
    /// The last record of the last batch that is final, as far as the publisher knows that batch.
    final_through: AtomicU64,
}

impl ChainProgress {
    /// The chain has come so far.
    pub fn set(&self, committed_batch: u64, final_batch: u64) {
        self.committed.store(committed_batch, Ordering::Relaxed);
        self.last_final.store(final_batch, Ordering::Relaxed);
    }

    /// The last record that a final batch covers; 0 if there is none. It may be told a quarter of a second late.
    pub fn final_through(&self) -> Sequence {
        Sequence(self.final_through.load(Ordering::Relaxed))
    }
}

/// The last record of each of the latest batches.
#[derive(Debug, Default)]
pub(crate) struct SealedBatches(VecDeque<(u64, Sequence)>);

impl SealedBatches {
    /// A batch was sealed behind this record.
    pub(crate) fn seal(&mut self, batch: u64, last: Sequence) {
        if self.0.len() == BATCHES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((batch, last));
    }

    /// The last record that the batches up to this one cover.
    fn through(&self, batch: u64) -> Sequence {
        let count = self.0.partition_point(|(known, _)| *known <= batch);
        count.checked_sub(1).map_or(Sequence(0), |newest| self.0[newest].1)
    }

    /// What becomes of a record while the chain stays where it is: looked up once for a whole answer.
    pub(crate) fn reached(&self, chain: &ChainProgress) -> Reached {
        let batch = |number: &AtomicU64| self.through(number.load(Ordering::Relaxed));
        Reached { committed: batch(&chain.committed), last_final: batch(&chain.last_final) }
    }

    /// Says up to which record the chain's final batches reach, for those who have no batches of their own.
    pub(crate) fn tell(&self, chain: &ChainProgress) {
        chain.final_through.store(self.reached(chain).last_final.0, Ordering::Relaxed);
    }

    /// Appends all of it, for a snapshot.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put_each(self.0.iter(), out, Wire::encode);
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let batches: VecDeque<(u64, Sequence)> = take_each(input, Wire::decode)?.into();
        let rises = batches.iter().zip(batches.iter().skip(1)).all(|(one, next)| one.0 < next.0 && one.1 <= next.1);
        if rises && batches.len() <= BATCHES_MAX { Ok(Self(batches)) } else { Err(DecodeError::BadValue) }
    }
}

/// How far the chain reaches into the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    committed: Sequence,
    last_final: Sequence,
}

impl Reached {
    /// How far a record can be relied on.
    pub(crate) fn finality_of(&self, sequence: Sequence) -> Finality {
        match sequence {
            _ if sequence <= self.last_final => Finality::Final,
            _ if sequence <= self.committed => Finality::Committed,
            _ => Finality::Durable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_covers_is_as_final_as_it() {
        let (mut batches, chain) = (SealedBatches::default(), ChainProgress::default());
        for (batch, last) in [(1, 10), (2, 25), (3, 25), (4, 40)] {
            batches.seal(batch, Sequence(last));
        }
        let at = |sequence| batches.reached(&chain).finality_of(Sequence(sequence));
        assert_eq!(at(1), Finality::Durable, "the chain has nothing yet");
        chain.set(3, 1);
        let expected =
            [(10, Finality::Final), (11, Finality::Committed), (25, Finality::Committed), (26, Finality::Durable)];
        for (sequence, finality) in expected {
            assert_eq!(at(sequence), finality, "{sequence}");
        }
        assert_eq!(chain.final_through(), Sequence(0), "nobody has said it yet");
        batches.tell(&chain);
        assert_eq!(chain.final_through(), Sequence(10));
        chain.set(4, 4);
        batches.tell(&chain);
        assert_eq!((at(40), at(41)), (Finality::Final, Finality::Durable));
        assert_eq!(chain.final_through(), Sequence(40));
    }

    #[test]
    fn only_so_many_are_remembered_and_they_read_back() {
        let mut batches = SealedBatches::default();
        for batch in 1..=5_000 {
            batches.seal(batch, Sequence(batch * 10));
        }
        assert_eq!(batches.0.len(), BATCHES_MAX);
        assert_eq!((batches.through(904), batches.through(905)), (Sequence(0), Sequence(9_050)));
        let mut out = Vec::new();
        batches.save(&mut out);
        let back = SealedBatches::load(&mut out.as_slice()).unwrap();
        assert_eq!(back.0, batches.0);
        let mut swapped = SealedBatches::default();
        swapped.seal(2, Sequence(1));
        swapped.seal(1, Sequence(2));
        let mut out = Vec::new();
        swapped.save(&mut out);
        assert_eq!(SealedBatches::load(&mut out.as_slice()).unwrap_err(), DecodeError::BadValue);
    }
}
