//! What the end of a session means to the account that has asked for its orders to go then.
//!
//! A session holds its place with the account from the request on, not from the answer: who is gone before the answer
//! comes has asked all the same. Bounds: one place for each account that the session has signed for.

use lakh_engine::command::{DisconnectMode, Operation};
use lakh_engine::ids::AccountId;

use super::api::{ApiSession, Purpose};
use crate::presence::Departure;

impl ApiSession {
    /// What becomes of the answer to an operation.
    pub(super) fn purpose_of(&mut self, operation: &Operation, account: AccountId) -> Purpose {
        let Operation::SetDisconnectMode { mode } = *operation else { return Purpose::PassOn };
        if mode == DisconnectMode::CancelAll {
            self.take_place(account);
        }
        Purpose::Disconnect(mode, account)
    }

    fn take_place(&mut self, account: AccountId) {
        if self.places.iter().all(|place| place.account() != account) {
            self.places.push(self.context.presence.enter(account));
        }
    }

    /// The account's wish has been taken.
    pub(super) fn settle_disconnect(&mut self, mode: DisconnectMode, account: AccountId) {
        match mode {
            // Asked for while the answer to the opposite was still on its way, the place is gone again by now.
            DisconnectMode::CancelAll => self.take_place(account),
            DisconnectMode::Keep => {
                self.context.presence.forget(account);
                self.places.retain(|place| place.account() != account);
            }
        }
    }

    /// The connection is over: the accounts whose last session it was.
    pub(super) fn end(&mut self) -> Vec<AccountId> {
        let places = std::mem::take(&mut self.places);
        let last = places.into_iter().filter(|place| self.context.presence.leave(*place) == Departure::Last);
        last.map(|place| place.account()).collect()
    }
}
