//! What should rest on the venue's books by what it has answered, level by level.
//!
//! Every answer or report that says that a quantity came to rest, traded or went adds or takes away at its price, so the
//! order in which connections are read does not matter: at the end the sums are the depth of each market. A sum below
//! zero, or one that the venue's own snapshot does not show, is a wrong answer of the venue's or of this client.
//! Bounds: a window of ticks around the middle as an array, prices outside of it in a map.

use std::collections::BTreeMap;

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};

/// Levels of a market and side that are named in a difference at most.
const NAMED_LEVELS: usize = 3;

/// A level's place: market, side, price.
type Place = (u16, u8, u64);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct OwnBook {
    /// First price of the window.
    base: u64,
    width: usize,
    /// Both sides of each market, bids first.
    window: Vec<i64>,
    far: BTreeMap<Place, i64>,
}

/// A book as the venue shows it: market, side, price and all that rests there.
pub(crate) type ShownLevels = BTreeMap<Place, u64>;

/// A side's place in a key.
pub(crate) const fn side_index(side: Side) -> u8 {
    match side {
        Side::Bid => 0,
        Side::Ask => 1,
    }
}

impl OwnBook {
    /// Empty books of `markets` markets that trade around `mid`, mostly within `reach` of it.
    pub(crate) fn new(markets: u16, mid: u64, reach: u64) -> Self {
        let base = mid.saturating_sub(reach);
        let width = usize::try_from(2 * reach + 1).expect("a window of prices fits memory");
        Self { base, width, window: vec![0; width * 2 * usize::from(markets)], far: BTreeMap::new() }
    }

    /// So much more rests there.
    pub(crate) fn add(&mut self, market: u16, side: u8, price: Ticks, quantity: Lots) {
        let quantity = i64::try_from(quantity.raw()).expect("quantities of the load are small");
        self.change((market, side, price.raw()), quantity);
    }

    /// So much less does.
    pub(crate) fn take(&mut self, market: u16, side: u8, price: Ticks, quantity: Lots) {
        let quantity = i64::try_from(quantity.raw()).expect("quantities of the load are small");
        self.change((market, side, price.raw()), -quantity);
    }

    fn change(&mut self, place: Place, by: i64) {
        let (market, side, price) = place;
        let offset = usize::try_from(price.wrapping_sub(self.base)).unwrap_or(usize::MAX);
        let row = usize::from(market) * 2 + usize::from(side);
        match self.window.get_mut(row * self.width + offset.min(self.width)) {
            Some(level) if offset < self.width => *level += by,
            _ => *self.far.entry(place).or_insert(0) += by,
        }
    }

    /// Every level on which something rests, or less than nothing.
    fn levels(&self) -> BTreeMap<Place, i64> {
        let mut levels: BTreeMap<Place, i64> = self.far.iter().map(|(place, lots)| (*place, *lots)).collect();
        for (index, lots) in self.window.iter().enumerate() {
            let (row, offset) = (index / self.width, index % self.width);
            let market = u16::try_from(row / 2).expect("as many markets as at the start");
            levels.insert((market, u8::from(row % 2 == 1), self.base + offset as u64), *lots);
        }
        levels.retain(|_, lots| *lots != 0);
        levels
    }

    /// What the venue shows otherwise, a sentence for each market and side; nothing where both agree.
    pub(crate) fn differences(&self, shown: &ShownLevels) -> Vec<String> {
        let own = self.levels();
        let mut wrong: BTreeMap<(u16, u8), Vec<String>> = BTreeMap::new();
        let places: std::collections::BTreeSet<&Place> = own.keys().chain(shown.keys()).collect();
        for place in places {
            let own = own.get(place).copied().unwrap_or(0);
            let venue = shown.get(place).copied().unwrap_or(0);
            if i128::from(own) != i128::from(venue) {
                let text = format!("{venue} lots at {} ticks where {own} should rest", place.2);
                wrong.entry((place.0, place.1)).or_default().push(text);
            }
        }
        let sentence = |((market, side), levels): ((u16, u8), Vec<String>)| {
            let side = if side == 0 { "bids" } else { "asks" };
            let named = levels[..levels.len().min(NAMED_LEVELS)].join(", ");
            format!("the venue's {side} of market {market} differ at {} prices: {named}", levels.len())
        };
        wrong.into_iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(levels: &[(u16, u8, u64, u64)]) -> ShownLevels {
        levels.iter().map(|(market, side, price, lots)| ((*market, *side, *price), *lots)).collect()
    }

    #[test]
    fn sums_by_level_inside_and_outside_of_the_window_are_the_depth() {
        let mut book = OwnBook::new(2, 100, 5);
        // What is taken away may be read before it is known to have been there.
        book.take(0, 0, Ticks(99), Lots(3));
        book.add(0, 0, Ticks(99), Lots(7));
        book.add(1, 1, Ticks(105), Lots(2));
        book.add(1, 1, Ticks(1_000), Lots(4));
        book.add(1, 0, Ticks(94), Lots(1));
        let venue = shown(&[(0, 0, 99, 4), (1, 0, 94, 1), (1, 1, 105, 2), (1, 1, 1_000, 4)]);
        assert_eq!(book.differences(&venue), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let mut book = OwnBook::new(1, 100, 5);
        book.add(0, 0, Ticks(99), Lots(7));
        book.take(0, 1, Ticks(101), Lots(1));
        assert_eq!(
            book.differences(&shown(&[(0, 0, 99, 6)])),
            [
                "the venue's bids of market 0 differ at 1 prices: 6 lots at 99 ticks where 7 should rest",
                "the venue's asks of market 0 differ at 1 prices: 0 lots at 101 ticks where -1 should rest",
            ]
        );
        let differ =
            book.differences(&shown(&[(0, 0, 99, 7), (0, 0, 90, 1), (0, 0, 91, 1), (0, 0, 92, 1), (0, 0, 93, 1)]));
        assert!(differ[0].starts_with("the venue's bids of market 0 differ at 4 prices: "), "{differ:?}");
        assert!(differ[0].contains("at 92 ticks") && !differ[0].contains("at 93 ticks"), "{differ:?}");
    }
}
