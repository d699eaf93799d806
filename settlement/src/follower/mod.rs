//! The journal replayed for the chain: engine, ledger, and the batches at exactly the records where the journal has them.
//!
//! A batch is a decision once the journal has it (`BatchSealed`), some records after the last one that it covers. A
//! replay has to know where to seal before it gets to the decision; so the journal is scanned once for decisions, then
//! replayed. What is sealed on the way must be what was decided, byte for byte, else nothing is settled any more.
//!
//! Invariants: no engine is asked, the journal alone speaks; a batch is handed out once, after its decision; equal
//! journals give equal batches whenever and however often the replay began anew.
//!
//! Bounds: one call to [`Replica::advance`] applies as many records as it is told, and seals at most once a record. A
//! sealed batch is kept until its decision comes; at most one is decided on at a time.

mod families;
mod ledger;
mod quarantines;

use std::collections::VecDeque;
use std::path::Path;

use lakh_engine::Engine;
use lakh_engine::codec::{self, DecodeError};
use lakh_engine::command::{BatchSealed, Command, SettlementBinding};
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::{Follower, JournalError, JournalReader, Record};

pub use self::ledger::{Ledger, LedgerError, MAX_ASSETS, Step};
pub use self::quarantines::{Fate, Quarantines};
use crate::batch::SealedBatch;
use crate::chain::Address;
use crate::keccak::Hash;

/// Which contract on which chain a venue is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Venue {
    /// The chain.
    pub chain_id: u64,
    /// The settlement contract.
    pub contract: Address,
}

impl Venue {
    /// The same as the engine's genesis has it.
    pub const fn binding(self) -> SettlementBinding {
        SettlementBinding { chain_id: self.chain_id, contract: self.contract.0 }
    }

    /// From the genesis; `None` where the venue is bound to no contract.
    pub fn of_binding(binding: SettlementBinding) -> Option<Self> {
        (!binding.is_none()).then_some(Self { chain_id: binding.chain_id, contract: Address(binding.contract) })
    }

    /// The queue's prefix hash before its first entry.
    pub fn queue_origin(self) -> Hash {
        Hash(self.binding().origin())
    }
}

/// Why the journal cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record is no command of this version.
    #[error("record {sequence} is no command that this version knows: {error:?}")]
    Record {
        /// Which.
        sequence: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A record's time is before the last one's, or its number not the next.
    #[error("record {sequence} stands out of order")]
    Order {
        /// Which.
        sequence: u64,
    },
    /// The journal is another venue's.
    #[error("the journal is bound to contract {found} on chain {found_chain}, not to {} on chain {}", expected.contract, expected.chain_id)]
    OtherVenue {
        /// The chain that the journal names; 0 for none.
        found_chain: u64,
        /// The contract that the journal names; zeroes for none.
        found: Address,
        /// What was asked for.
        expected: Venue,
    },
    /// The records cannot be settled.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A decision that the records do not lead to: they, this program or the one that decided are not what they were.
    #[error("batch {batch_id} comes out as another one than the journal says: {detail}")]
    BatchDiffers {
        /// Which.
        batch_id: u64,
        /// What differs.
        detail: String,
    },
    /// The journal has a decision that came from elsewhere: the replay has to begin anew, and will then find it.
    #[error("batch {batch_id} was decided on by somebody else")]
    SealedElsewhere {
        /// Which.
        batch_id: u64,
    },
}

/// How far the replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There may be more.
    Behind,
    /// Every durable record is applied.
    CaughtUp,
}

/// See the module.
pub struct Replica {
    venue: Venue,
    follower: Follower,
    engine: Engine,
    ledger: Ledger,
    events: Vec<Event>,
    /// Decisions that the scan found and the replay has not come to seal yet.
    decided: VecDeque<BatchSealed>,
    /// Records that are passed over.
    quarantines: Quarantines,
    /// Sealed where a decision says something else.
    differing: Option<SealedBatch>,
    /// Sealed, not decided yet.
    pending: VecDeque<SealedBatch>,
    /// The last record that the scan saw.
    scanned: Sequence,
}

impl core::fmt::Debug for Replica {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replica").field("sequence", &self.engine.sequence()).finish_non_exhaustive()
    }
}

impl Replica {
    /// At the beginning of the journal in `directory`, which it scans.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub fn open(directory: &Path, venue: Venue) -> Result<Self, FollowError> {
        let Scan { decided, quarantines, scanned } = scan(directory)?;
        Ok(Self {
            venue,
            follower: Follower::open(directory)?,
            engine: Engine::new(),
            ledger: Ledger::new(venue.queue_origin()),
            events: Vec::with_capacity(Engine::MAX_EVENTS),
            decided,
            quarantines,
            differing: None,
            pending: VecDeque::new(),
            scanned,
        })
    }

    /// Applies up to `max_records` records. Batches whose decision comes along are appended to `batches`.
    ///
    /// # Errors
    /// See [`FollowError`]; the replica is of no use afterwards.
    pub fn advance(&mut self, max_records: usize, batches: &mut Vec<SealedBatch>) -> Result<Progress, FollowError> {
        for _ in 0..max_records {
            let Some(command) = self.apply_next()? else { return Ok(Progress::CaughtUp) };
            if let Command::BatchSealed(decision) = command {
                self.settle(&decision, batches)?;
            }
            self.seal_where_decided()?;
        }
        Ok(Progress::Behind)
    }

    /// Seals the open batch at the last record; the decision is the caller's to journal.
    ///
    /// # Errors
    /// See [`LedgerError`].
    ///
    /// # Panics
    /// Unless [`Self::may_seal`].
    pub fn seal(&mut self) -> Result<&SealedBatch, LedgerError> {
        assert!(self.may_seal(), "one batch at a time, behind the known decisions, at the end of a block");
        let batch = self.ledger.seal(self.engine.last_batch().0 + 1)?;
        self.pending.push_back(batch);
        Ok(&self.pending[0])
    }

    /// Whether a batch may end here: none waits for its decision, all known decisions are behind, a block ends here.
    pub fn may_seal(&self) -> bool {
        self.pending.is_empty()
            && self.engine.sequence() >= self.scanned
            && self.ledger.is_at_block_end()
            // A forced withdrawal whose orders are not all off yet is consumed and not paid.
            && !self.engine.agenda_pending()
            && self.ledger.sequence() > self.ledger.sealed_sequence()
    }

    /// The batch that waits for its decision.
    pub fn pending(&self) -> Option<&SealedBatch> {
        self.pending.front()
    }

    /// What the last record caused.
    pub fn last_events(&self) -> &[Event] {
        &self.events
    }

    /// Behind [`FollowError::BatchDiffers`]: what the records come to instead.
    pub(crate) fn take_differing(&mut self) -> Option<SealedBatch> {
        self.differing.take()
    }

    /// The replayed engine.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Applies one record to engine and ledger; `None` if there is none.
    fn apply_next(&mut self) -> Result<Option<Command>, FollowError> {
        let Some(record) = self.follower.poll()? else { return Ok(None) };
        let (sequence, timestamp) = (Sequence(record.header.sequence), Timestamp(record.header.timestamp_ns));
        let command = decode(&record)?;
        if sequence.0 != self.engine.sequence().0 + 1 || timestamp < self.engine.now() {
            return Err(FollowError::Order { sequence: sequence.0 });
        }
        self.quarantines.apply(&mut self.engine, (sequence, timestamp), &command, &mut self.events);
        if matches!(command, Command::Genesis(_)) {
            check_venue(&self.engine, self.venue)?;
        }
        self.ledger.apply(&Step { record, command: &command, events: &self.events })?;
        if let Some(block) = self.follower.block().filter(|block| block.last_sequence() == sequence.0) {
            self.ledger.end_block(block.hash);
        }
        Ok(Some(command))
    }

    /// A decision came along: the engine took it or refused it.
    fn settle(&mut self, decision: &BatchSealed, batches: &mut Vec<SealedBatch>) -> Result<(), FollowError> {
        let taken = self.events.iter().any(|event| matches!(event, Event::BatchSealed { .. }));
        let batch_id = decision.batch_id;
        match self.pending.front() {
            Some(batch) if taken && batch.command() == *decision => {
                batches.extend(self.pending.pop_front());
                Ok(())
            }
            _ if taken => Err(FollowError::SealedElsewhere { batch_id }),
            Some(batch) if batch.command() == *decision => {
                Err(FollowError::BatchDiffers { batch_id, detail: "the engine refused it".to_owned() })
            }
            // Somebody said a thing twice, or too late.
            _ => Ok(()),
        }
    }

    fn seal_where_decided(&mut self) -> Result<(), FollowError> {
        let here = self.engine.sequence();
        let Some(decision) = self.decided.pop_front_if(|decision| decision.last_sequence <= here) else {
            return Ok(());
        };
        let batch_id = decision.batch_id;
        let batch = self.ledger.seal(batch_id)?;
        if batch.command() != decision {
            let detail = format!("{:?} instead of {decision:?}", batch.command());
            self.differing = Some(batch);
            return Err(FollowError::BatchDiffers { batch_id, detail });
        }
        self.pending.push_back(batch);
        Ok(())
    }
}

fn check_venue(engine: &Engine, expected: Venue) -> Result<(), FollowError> {
    // A genesis that was refused says nothing; the one that is taken will.
    if engine.genesis().is_none() {
        return Ok(());
    }
    let found = engine.settlement().map(|found| (found.chain_id, Address(found.contract)));
    let (found_chain, found) = found.unwrap_or_default();
    if (found_chain, found) == (expected.chain_id, expected.contract) {
        return Ok(());
    }
    Err(FollowError::OtherVenue { found_chain, found, expected })
}

fn decode(record: &Record<'_>) -> Result<Command, FollowError> {
    let sequence = record.header.sequence;
    let parts = codec::split_payload(record.payload);
    parts.map(|(command, _)| command).map_err(|error| FollowError::Record { sequence, error })
}

/// What one pass over a journal finds.
struct Scan {
    /// The decisions, as the engine takes them.
    decided: VecDeque<BatchSealed>,
    quarantines: Quarantines,
    /// The last record.
    scanned: Sequence,
}

fn scan(directory: &Path) -> Result<Scan, FollowError> {
    let mut reader = JournalReader::open(directory)?;
    let mut quarantines = Quarantines::default();
    let mut decisions: VecDeque<BatchSealed> = VecDeque::new();
    let mut scanned = Sequence(0);
    let kind = Command::BatchSealed(BatchSealed {
        batch_id: 0,
        first_sequence: Sequence(0),
        last_sequence: Sequence(0),
        new_root: [0; 32],
        data_hash: [0; 32],
    })
    .kind();
    while let Some(record) = reader.next()? {
        scanned = Sequence(record.header.sequence);
        quarantines.note(&record)?;
        if record.header.kind != kind {
            continue;
        }
        let Command::BatchSealed(decision) = decode(&record)? else { continue };
        let (last_id, last_sequence) = decisions.back().map_or((0, 0), |last| (last.batch_id, last.last_sequence.0));
        let follows = decision.batch_id == last_id + 1 && decision.first_sequence.0 == last_sequence + 1;
        let covers = (decision.first_sequence..scanned).contains(&decision.last_sequence);
        if follows && covers {
            decisions.push_back(decision);
        }
    }
    Ok(Scan { decided: decisions, quarantines, scanned })
}

#[cfg(test)]
mod tests;
