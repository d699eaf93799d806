//! A record that stopped the engine: how every replay passes over it, on operators' word, and over no other.
//!
//! The journal has a command before the engine does. If that command panics the engine, the node is down, and so is every
//! start after it. Operators then journal a [`AdminAction::Quarantine`] as the very next record. Whoever replays looks one
//! record ahead: where the next one is such a decision about this one and its authority holds
//! ([`Engine::is_quarantined_by`]), this one is passed over ([`Engine::pass_over`]): it takes its number and its time and
//! changes nothing else, not even a nonce; work that stands in the agenda is given up, since it may be what stops the
//! engine: its orders stay as they are. Nothing that was applied can be undone so: a record that others followed on
//! has no quarantine directly behind it. A quarantine of a record that was not passed over is refused.

use crate::command::{AdminAction, AdminAuthority, Command};
use crate::emitter::Emitter;
use crate::engine::{Engine, GenesisPhase, Moment, Shard};
use crate::event::Event;
use crate::ids::Sequence;
use crate::reject::RejectCode;
use crate::units::Timestamp;

impl Engine {
    /// Whether `next`, the record behind the one that comes now, takes that one out of the journal's meaning.
    pub fn is_quarantined_by(&self, next: &Command) -> bool {
        let (Command::Admin(admin), Some(shard)) = (next, &self.shard) else { return false };
        let AdminAction::Quarantine { sequence } = admin.action else { return false };
        let by_roles = matches!(admin.authority, AdminAuthority::Role { .. } | AdminAuthority::TwoRoles { .. });
        sequence.0 == self.sequence.0 + 1
            && by_roles
            && self.moment().genesis_phase == GenesisPhase::Over
            && shard.check_roles(admin).and(shard.check_enough_roles(admin)).is_ok()
    }

    /// Gives the next sequence (the last one + 1) to a record that is quarantined. It causes no event.
    ///
    /// # Panics
    /// When the sequence has a gap or time runs backwards, as in [`Engine::apply`].
    pub fn pass_over(&mut self, sequence: Sequence, timestamp: Timestamp) {
        assert_eq!(sequence.0, self.sequence.0 + 1, "the journal has no gaps");
        assert!(timestamp >= self.now, "the journal's time never runs backwards");
        self.sequence = sequence;
        self.now = timestamp;
        self.passed_over = sequence;
        // What it was to go on with is given up with it, or the next `Continue` would stop the engine again.
        if let Some(shard) = &mut self.shard {
            shard.agenda.clear();
            shard.frame.give_up();
        }
        self.event_digest.end_command(timestamp, 0);
    }
}

impl Shard {
    /// Says that the record in front of this one was passed over.
    pub(crate) fn note_quarantine(
        &mut self,
        moment: Moment,
        sequence: Sequence,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        if moment.passed_over != sequence || moment.sequence.0 != sequence.0 + 1 {
            return Err(RejectCode::NotQuarantined);
        }
        events.push(Event::Quarantined { sequence });
        Ok(())
    }
}
