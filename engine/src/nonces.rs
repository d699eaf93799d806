//! The nonces that a key has used: a window of 1,024 below the highest, one bit each.
//!
//! A nonce is used up once, accepted or rejected. More than 2^20 above the highest is refused unused, so that one
//! mistaken request cannot wedge a key; below the window is refused because it can no longer be told apart.

use crate::reject::RejectCode;

/// Nonces below the highest that are still told apart.
pub(crate) const WINDOW: u64 = 1_024;
/// How far above the highest a nonce may be.
pub(crate) const MAX_STEP: u64 = 1 << 20;
const WORDS: usize = (WINDOW / 64) as usize;

/// See the module. Bit `n % 1024` says whether nonce `n` of the window was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NonceWindow {
    pub(crate) highest: u64,
    pub(crate) used: [u64; WORDS],
}

/// What a nonce is to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceUse {
    Fresh,
    UsedBefore,
}

impl NonceWindow {
    pub(crate) const EMPTY: Self = Self { highest: 0, used: [0; WORDS] };

    /// Uses a nonce up and tells what it was.
    #[inline(always)]
    pub(crate) fn use_up(&mut self, nonce: u64) -> Result<NonceUse, RejectCode> {
        // The usual case: a client counts.
        if self.highest.checked_add(1) == Some(nonce) {
            self.highest = nonce;
            self.used[word(nonce)] |= bit(nonce);
            return Ok(NonceUse::Fresh);
        }
        self.use_up_out_of_turn(nonce)
    }

    fn use_up_out_of_turn(&mut self, nonce: u64) -> Result<NonceUse, RejectCode> {
        let found = self.check(nonce)?;
        if found == NonceUse::Fresh {
            self.consume(nonce);
        }
        Ok(found)
    }

    /// What `nonce` is.
    fn check(&self, nonce: u64) -> Result<NonceUse, RejectCode> {
        if nonce > self.highest.saturating_add(MAX_STEP) {
            return Err(RejectCode::NonceTooHigh);
        }
        if self.highest.checked_sub(nonce).is_some_and(|below| below >= WINDOW) {
            return Err(RejectCode::NonceTooLow);
        }
        let used = nonce <= self.highest && self.used[word(nonce)] & bit(nonce) != 0;
        Ok(if used { NonceUse::UsedBefore } else { NonceUse::Fresh })
    }

    /// Uses a fresh nonce up.
    fn consume(&mut self, nonce: u64) {
        if nonce > self.highest {
            if nonce > self.highest + 1 {
                self.skip_to(nonce);
            }
            self.highest = nonce;
        }
        self.used[word(nonce)] |= bit(nonce);
    }

    /// Moves the window up: the nonces between the highest and this one are not used yet.
    #[cold]
    fn skip_to(&mut self, nonce: u64) {
        if nonce - self.highest >= WINDOW {
            self.used = [0; WORDS];
            return;
        }
        for skipped in self.highest + 1..nonce {
            self.used[word(skipped)] &= !bit(skipped);
        }
    }
}

const fn word(nonce: u64) -> usize {
    (nonce % WINDOW / 64) as usize
}

const fn bit(nonce: u64) -> u64 {
    1 << (nonce % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nonce_is_used_once_in_any_order() {
        let mut window = NonceWindow::EMPTY;
        for nonce in [5, 1, 3, 900, 4, 1_500, 900 + 1] {
            assert_eq!(window.check(nonce), Ok(NonceUse::Fresh), "{nonce}");
            window.consume(nonce);
            assert_eq!(window.check(nonce), Ok(NonceUse::UsedBefore), "{nonce}");
        }
        assert_eq!(window.check(476), Err(RejectCode::NonceTooLow));
        assert_eq!(window.check(477), Ok(NonceUse::Fresh));
        assert_eq!(window.check(1_500 + MAX_STEP), Ok(NonceUse::Fresh));
        assert_eq!(window.check(1_500 + MAX_STEP + 1), Err(RejectCode::NonceTooHigh));
        window.consume(1_500 + MAX_STEP);
        assert_eq!(window.check(1_499 + MAX_STEP), Ok(NonceUse::Fresh), "a far step leaves no old bits behind");
    }

    #[test]
    fn there_is_nothing_above_the_highest_nonce_of_all() {
        let mut window = NonceWindow { highest: u64::MAX - 1, ..NonceWindow::EMPTY };
        assert_eq!(window.check(u64::MAX), Ok(NonceUse::Fresh));
        window.consume(u64::MAX);
        assert_eq!(window.check(u64::MAX), Ok(NonceUse::UsedBefore));
        assert_eq!(window.check(0), Err(RejectCode::NonceTooLow));
    }

    #[test]
    fn agrees_with_a_set_on_random_steps() {
        let mut window = NonceWindow::EMPTY;
        let mut model = std::collections::BTreeSet::new();
        let mut state = 42_u64;
        println!("seed {state}");
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let nonce = (window.highest + (state >> 33) % 40).saturating_sub(20);
            match window.use_up(nonce) {
                Ok(NonceUse::Fresh) => assert!(model.insert(nonce)),
                Ok(NonceUse::UsedBefore) => assert!(model.contains(&nonce)),
                Err(code) => panic!("{nonce} is near the highest, yet {code:?}"),
            }
        }
    }
}
