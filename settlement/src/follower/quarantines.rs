//! Records that operators have taken out of the journal's meaning, found before a replay comes to them.
//!
//! Such a record stopped the engine, so a replay has to know of it in front of it; the decision stands directly behind it
//! (see the engine's `quarantine`). One pass over the records' headers finds the decisions; whether one counts is the
//! engine's to say when the replay is there. Bounds: an entry for each decision, of which a venue has a handful in its
//! life.

use std::collections::BTreeMap;
use std::path::Path;

use lakh_engine::Engine;
use lakh_engine::command::{AdminAction, AdminAuthority, AdminCommand, Command};
use lakh_engine::event::Event;
use lakh_engine::ids::{Reason, Sequence};
use lakh_engine::units::Timestamp;
use lakh_journal::{JournalReader, Record};

use super::{FollowError, decode};

/// See the module.
#[derive(Debug, Default)]
pub struct Quarantines {
    /// By the record that each is about.
    decisions: BTreeMap<u64, Command>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The engine has applied it.
    Applied,
    /// It is quarantined.
    PassedOver,
}

impl Quarantines {
    /// Looks through the journal in `directory`.
    ///
    /// # Errors
    /// A journal that cannot be read, or a decision of operators in it that is no command.
    pub fn scan(directory: &Path) -> Result<Self, FollowError> {
        let (mut reader, mut found) = (JournalReader::open(directory)?, Self::default());
        while let Some(record) = reader.next()? {
            found.note(&record)?;
        }
        Ok(found)
    }

    /// Takes in one record of a pass.
    ///
    /// # Errors
    /// A decision of operators that is no command.
    pub(super) fn note(&mut self, record: &Record<'_>) -> Result<(), FollowError> {
        if record.header.kind != admin_kind() {
            return Ok(());
        }
        let command = decode(record)?;
        if let Command::Admin(AdminCommand { action: AdminAction::Quarantine { sequence }, .. }) = command {
            self.decisions.insert(sequence.0, command);
        }
        Ok(())
    }

    /// Applies the next record to the engine, or passes over it where a decision about it counts.
    pub fn apply(
        &self,
        engine: &mut Engine,
        (sequence, timestamp): (Sequence, Timestamp),
        command: &Command,
        events: &mut Vec<Event>,
    ) -> Fate {
        let decision = self.decisions.get(&sequence.0);
        if decision.is_some_and(|decision| engine.is_quarantined_by(decision)) {
            events.clear();
            engine.pass_over(sequence, timestamp);
            return Fate::PassedOver;
        }
        engine.apply(sequence, timestamp, command, events);
        Fate::Applied
    }
}

/// The record type of operators' decisions.
fn admin_kind() -> u16 {
    let (authority, reason) = (AdminAuthority::Node, Reason::EMPTY);
    let action = AdminAction::Quarantine { sequence: Sequence(0) };
    Command::Admin(AdminCommand { authority, action, reason }).kind()
}
