//! Which accounts have asked that their orders go when they are not connected any more, and by how many sessions each is
//! still connected.
//!
//! A session that has asked for it holds a place here until it ends, however it ends: by a close, by an error, because
//! nothing was heard of it any more, or because the venue stops. Whoever ends the account's last such session tells the
//! sequencer (`SessionEnded`), and tells it again until it has been taken. A start of the node takes those orders off by
//! itself, so nothing has to be remembered over a crash.
//! Bounds: one count for each account that has such a session, so by the connections.

use std::collections::HashMap;

use lakh_engine::ids::AccountId;
use parking_lot::Mutex;

/// See the module.
#[derive(Debug, Default)]
pub struct Presence {
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    sessions: HashMap<AccountId, Sessions>,
    /// Counts up, so that who entered before an account was forgotten is told from who entered afterwards.
    next_generation: u64,
}

#[derive(Debug)]
struct Sessions {
    generation: u64,
    count: u32,
}

/// A session's place with its account, to be given back by [`Presence::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    account: AccountId,
    generation: u64,
}

impl Place {
    /// Whose.
    pub const fn account(&self) -> AccountId {
        self.account
    }
}

/// What the end of a session means to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The account has another such session, or does not ask for anything any more.
    Others,
    /// It was the last one: the account's orders have to go.
    Last,
}

impl Presence {
    /// A session of the account asks for it.
    pub fn enter(&self, account: AccountId) -> Place {
        let Accounts { sessions, next_generation } = &mut *self.accounts.lock();
        let sessions = sessions.entry(account).or_insert_with(|| {
            *next_generation += 1;
            Sessions { generation: *next_generation, count: 0 }
        });
        sessions.count += 1;
        Place { account, generation: sessions.generation }
    }

    /// A session that has asked for it is over.
    pub fn leave(&self, place: Place) -> Departure {
        let sessions = &mut self.accounts.lock().sessions;
        let Some(known) = sessions.get_mut(&place.account).filter(|known| known.generation == place.generation) else {
            return Departure::Others;
        };
        known.count -= 1;
        if known.count > 0 {
            return Departure::Others;
        }
        sessions.remove(&place.account);
        Departure::Last
    }

    /// The account's orders stay from here on, whoever of those leaves that have entered so far.
    pub fn forget(&self, account: AccountId) {
        self.accounts.lock().sessions.remove(&account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts() {
        let presence = Presence::default();
        let (account, other) = (AccountId(1), AccountId(2));
        let (first, second, third) = (presence.enter(account), presence.enter(account), presence.enter(other));
        assert_eq!(presence.leave(first), Departure::Others);
        assert_eq!(presence.leave(second), Departure::Last);
        assert_eq!(presence.leave(second), Departure::Others, "it is told once");
        presence.forget(other);
        let fourth = presence.enter(other);
        assert_eq!(presence.leave(third), Departure::Others, "it was forgotten, and another one is there");
        assert_eq!(presence.leave(fourth), Departure::Last);
    }
}
