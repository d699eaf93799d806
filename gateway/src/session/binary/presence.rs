//! Which accounts have sessions that trade, so that the end of the last one is noticed.
//!
//! One lock, taken at logons and at the ends of sessions. Bounded by the connections.

use std::collections::HashMap;

use lakh_engine::ids::AccountId;
use parking_lot::Mutex;

/// See the module.
#[derive(Debug, Default)]
pub struct Presence(Mutex<HashMap<AccountId, u32>>);

impl Presence {
    /// One more session of the account.
    pub fn join(&self, account: AccountId) {
        *self.0.lock().entry(account).or_insert(0) += 1;
    }

    /// One less; true when it was the last one.
    pub fn leave(&self, account: AccountId) -> bool {
        let mut sessions = self.0.lock();
        let Some(count) = sessions.get_mut(&account) else { return false };
        *count -= 1;
        let was_last = *count == 0;
        if was_last {
            sessions.remove(&account);
        }
        was_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_one_is_the_last() {
        let presence = Presence::default();
        presence.join(AccountId(1));
        presence.join(AccountId(1));
        presence.join(AccountId(2));
        assert!(!presence.leave(AccountId(1)));
        assert!(presence.leave(AccountId(1)));
        assert!(!presence.leave(AccountId(1)), "who is not there cannot leave");
        assert!(presence.leave(AccountId(2)));
    }
}
