//! The running digest of everything the engine has ever said: part of its state, so that a replay proves each event.
//!
//! It is there to find that two runs of one journal differ, by a fault of a machine or of ours. Nobody chooses events to
//! deceive it: events follow from the inputs, which BLAKE3 chains in the journal, and whoever doubts them replays those.
//! So it needs no cryptographic hash, which with the bytes to feed it took a quarter of a command's time. What is left is
//! a multiplication and a turn for each word of an event, in two lanes that do not wait for each other. For a given word
//! a lane's step can be undone, so a single word that differs always shows, and nothing that ever made a difference is
//! lost later on.
//!
//! Two runs that differ by chance in several words at once have equal digests with a probability of about 2^-64 for the
//! event in which they first differ. Integers alone, from fields and not from memory: the same on every machine.

use alloc::vec::Vec;

use crate::codec::encode_event;
use crate::event::{Event, OrderAccepted, OrderCanceled, OrderRested, Trade, TradeParty};
use crate::ids::{AccountId, OrderId, Sequence};
use crate::units::Timestamp;

/// What a lane is multiplied by: odd, so that it can be undone. Of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
/// How far a lane is turned, so that the bits that a product leaves alone are not always the same.
const TURN: u32 = 29;
/// Words of an event's bytes that are taken in at a time, with two in front of them.
const BLOCK_WORDS: usize = 16;

/// First words of blocks that are no event of their own layout, whose first bytes are their tags, below 128.
const COMMAND: u64 = 0xff;
const ENCODED: u64 = 0xfe;

/// See the module.
#[derive(Debug)]
pub(crate) struct EventDigest {
    pub(crate) state: [u64; 2],
    /// Where an event is put together that is too rare to have a layout of words here.
    encoded: Vec<u8>,
}

impl EventDigest {
    /// The digest of nothing.
    pub(crate) fn new() -> Self {
        Self { state: [0; 2], encoded: Vec::with_capacity(512) }
    }

    /// Takes in an event of the current command. In line, where the event's kind is known.
    #[inline(always)]
    pub(crate) fn absorb(&mut self, event: &Event) {
        let state = &mut self.state;
        match event {
            Event::OrderAccepted(accepted) => {
                let (usual, rare) = words_of_accepted(accepted);
                absorb_words(state, &usual);
                if let Some(rare) = rare {
                    absorb_words(state, &rare);
                }
            }
            Event::Trade(trade) => absorb_words(state, &words_of_trade(trade)),
            Event::OrderRested(rested) => absorb_words(state, &words_of_rested(rested)),
            Event::OrderCanceled(canceled) => absorb_words(state, &words_of_canceled(canceled)),
            &Event::BalanceChanged { account, asset, available, held } => {
                let which = 10 | u64::from(asset.0) << 8 | u64::from(account.0) << 32;
                absorb_words(state, &[which, available.0, held.0]);
            }
            // As its bytes, like every other one, but without a buffer: there is one for each operation of a frame.
            &Event::OperationDone { account, report_sequence, origin, index, refused: None, order } => {
                absorb_words(state, &words_of_done((account, report_sequence), (origin, index), order));
            }
            other => absorb_encoded(state, &mut self.encoded, other),
        }
    }

    /// Ends a command, which comes behind its events: how many they were, and when it was. Which command it was follows
    /// from how many have ended.
    #[inline]
    pub(crate) fn end_command(&mut self, timestamp: Timestamp, events: usize) {
        absorb_words(&mut self.state, &[COMMAND | (events as u64) << 8, timestamp.0]);
    }

    /// The digest: 16 bytes, and zeroes in the rest of the 32 that the journal keeps for it.
    pub(crate) fn current(&self) -> [u8; 32] {
        let mut state = self.state;
        // What the last words changed reaches every bit of their lane.
        absorb_words(&mut state, &[0; 8]);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&state[0].to_le_bytes());
        digest[8..16].copy_from_slice(&state[1].to_le_bytes());
        digest
    }
}

/// An event by its bytes, which begin with its tag: their number, then 14 words of them at a time.
#[cold]
fn absorb_encoded(state: &mut [u64; 2], encoded: &mut Vec<u8>, event: &Event) {
    encoded.clear();
    encode_event(event, encoded);
    for chunk in encoded.chunks(8 * (BLOCK_WORDS - 2)) {
        let mut words = [0; BLOCK_WORDS];
        (words[0], words[1]) = (ENCODED, encoded.len() as u64);
        for (word, bytes) in words[2..].iter_mut().zip(chunk.chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(padded);
        }
        absorb_words(state, &words);
    }
}

/// Takes words in, every other one into each lane, the first one into the even lane. An event's first word says what it is
/// and so how many words there are.
#[inline(always)]
fn absorb_words<const WORDS: usize>([even, odd]: &mut [u64; 2], words: &[u64; WORDS]) {
    let (pairs, last) = words.as_chunks::<2>();
    for [first, second] in pairs {
        *even = (*even ^ first).wrapping_mul(FACTOR).rotate_left(TURN);
        *odd = (*odd ^ second).wrapping_mul(FACTOR).rotate_left(TURN);
    }
    for last in last {
        *even = (*even ^ last).wrapping_mul(FACTOR).rotate_left(TURN);
    }
}

// Each of the following takes its event apart by name, so that a field that is added and not told here does not compile.
// A field of less than 32 bits is never put where a register ends: only its own bits matter there, so it is read with
// what stands behind it in memory, and that read waits until what was written in parts has left the store buffer.

/// What every order has, and what few have. The first word tells whether those follow.
#[inline(always)]
fn words_of_accepted(accepted: &OrderAccepted) -> ([u64; 10], Option<[u64; 4]>) {
    let &OrderAccepted {
        account,
        report_sequence,
        market,
        order,
        ref client_id,
        side,
        order_type,
        time_in_force,
        self_trade_mode,
        price,
        trigger_price,
        quantity,
        display_quantity,
        quote_budget,
        expires_at,
    } = accepted;
    let (text, end) = client_id.words();
    let has_rare = trigger_price.0 | display_quantity.0 | quote_budget.0 | expires_at.0 != 0;
    let rare = has_rare.then_some([trigger_price.0, display_quantity.0, quote_budget.0, expires_at.0]);
    let kinds = (side as u64) << 8
        | u64::from(has_rare) << 9
        | (order_type as u64) << 16
        | (time_in_force as u64) << 24
        | (self_trade_mode as u64) << 32
        | (client_id.length() as u64) << 40
        | u64::from(market.0) << 48;
    let owner = u64::from(end) | u64::from(account.0) << 32;
    let [first, second, third, fourth] = text;
    let usual = [3 | kinds, owner, report_sequence, order.0, first, second, third, fourth, price.0, quantity.0];
    (usual, rare)
}

#[inline]
fn words_of_trade(trade: &Trade) -> [u64; 15] {
    let &Trade { market, trade, feed_sequence, taker_side, price, quantity, maker_displayed, ref maker, ref taker } =
        trade;
    let which = 4 | u64::from(market.0) << 8 | (taker_side as u64) << 24;
    let [maker, taker] = [maker, taker].map(|party| {
        let &TradeParty { account, order, report_sequence, remaining, fee } = party;
        (u64::from(account.0), [order.0, report_sequence, remaining.0, fee.cast_unsigned()])
    });
    let ((maker_account, [m0, m1, m2, m3]), (taker_account, [t0, t1, t2, t3])) = (maker, taker);
    let parties = maker_account | taker_account << 32;
    let (trade, displayed) = (trade.0, maker_displayed.0);
    [which, parties, trade, feed_sequence, price.0, quantity.0, m0, m1, m2, m3, t0, t1, t2, t3, displayed]
}

#[inline]
fn words_of_rested(rested: &OrderRested) -> [u64; 5] {
    let &OrderRested { account, market, order, side, price, remaining, feed_sequence } = rested;
    let which = 5 | u64::from(market.0) << 8 | (side as u64) << 24 | u64::from(account.0) << 32;
    [which, order.0, price.0, remaining.0, feed_sequence]
}

#[inline]
fn words_of_canceled(canceled: &OrderCanceled) -> [u64; 8] {
    let &OrderCanceled {
        account,
        report_sequence,
        market,
        order,
        side,
        price,
        remaining,
        displayed,
        reason,
        feed_sequence,
    } = canceled;
    let which = 6 | u64::from(market.0) << 8 | (side as u64) << 24 | u64::from(account.0) << 32;
    [which, reason as u64, order.0, report_sequence, price.0, remaining.0, feed_sequence, displayed.0]
}

/// The words of [`absorb_encoded`] for an operation that was carried out.
#[inline]
fn words_of_done(
    (account, report_sequence): (AccountId, u64),
    (origin, index): (Sequence, u8),
    order: OrderId,
) -> [u64; BLOCK_WORDS] {
    // From registers: put together in memory they would be read in other pieces than they were written in.
    let (account, index) = (u64::from(account.0), u64::from(index));
    let mut words = [0; BLOCK_WORDS];
    (words[0], words[1]) = (ENCODED, 31);
    words[2] = 32 | account << 8 | report_sequence << 40;
    words[3] = report_sequence >> 24 | origin.0 << 40;
    // Behind the index the byte of a reason that is none.
    words[4] = origin.0 >> 24 | index << 40 | order.0 << 56;
    words[5] = order.0 >> 8;
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{OrderType, SelfTradeMode, Side, TimeInForce};
    use crate::event::CancelReason;
    use crate::ids::{AssetId, ClientId, KeyId, MarketId, Reason, TradeId};
    use crate::units::{Atoms, Lots, Ticks};

    fn digest_of(events: &[Event]) -> [u8; 32] {
        let mut digest = EventDigest::new();
        take_in(&mut digest, Sequence(7), events);
        digest.current()
    }

    /// The events of the command at `sequence`.
    fn take_in(digest: &mut EventDigest, sequence: Sequence, events: &[Event]) {
        events.iter().for_each(|event| digest.absorb(event));
        digest.end_command(Timestamp(sequence.0 + 1), events.len());
    }

    fn accepted() -> OrderAccepted {
        OrderAccepted {
            account: AccountId(1),
            report_sequence: 2,
            market: MarketId(3),
            order: OrderId(4),
            client_id: ClientId::new("0123456789abcdefghijklmnopqrstuvwxyz").expect("36 bytes"),
            side: Side::Bid,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            self_trade_mode: SelfTradeMode::None,
            price: Ticks(5),
            trigger_price: Ticks(8),
            quantity: Lots(6),
            display_quantity: Lots(9),
            quote_budget: Atoms(7),
            expires_at: Timestamp(10),
        }
    }

    fn trade() -> Trade {
        let party = |account| TradeParty {
            account: AccountId(account),
            order: OrderId(9),
            report_sequence: 10,
            remaining: Lots(11),
            fee: -12,
        };
        Trade {
            market: MarketId(3),
            trade: TradeId(1),
            feed_sequence: 2,
            taker_side: Side::Bid,
            price: Ticks(5),
            quantity: Lots(6),
            maker_displayed: Lots(13),
            maker: party(7),
            taker: party(8),
        }
    }

    fn rested() -> OrderRested {
        OrderRested {
            account: AccountId(1),
            market: MarketId(3),
            order: OrderId(4),
            side: Side::Bid,
            price: Ticks(5),
            remaining: Lots(6),
            feed_sequence: 7,
        }
    }

    fn canceled() -> OrderCanceled {
        OrderCanceled {
            account: AccountId(1),
            report_sequence: 2,
            market: MarketId(3),
            order: OrderId(4),
            side: Side::Bid,
            price: Ticks(5),
            remaining: Lots(6),
            displayed: Lots(8),
            reason: CancelReason::Requested,
            feed_sequence: 7,
        }
    }

    fn balance(account: u32, asset: u16, available: u64, held: u64) -> Event {
        let (account, asset) = (AccountId(account), AssetId(asset));
        Event::BalanceChanged { account, asset, available: Atoms(available), held: Atoms(held) }
    }

    /// A value and the same with each of the named fields as the given other value, as events.
    macro_rules! altered {
        ($event:ident, $base:expr, { $($field:ident $(. $inner:ident)? = $other:expr),* $(,)? }) => {{
            let mut events = vec![Event::$event($base)];
            $({
                let mut other = $base;
                other.$field $(. $inner)? = $other;
                events.push(Event::$event(other));
            })*
            events
        }};
    }

    #[test]
    fn each_field_of_each_event_makes_a_difference() {
        let text = |text| ClientId::new(text).expect("fits");
        let mut events = altered!(OrderAccepted, accepted(), {
            account = AccountId(2), report_sequence = 3, market = MarketId(4), order = OrderId(5),
            client_id = text("0123456789abcdefghijklmnopqrstuvwxy!"), client_id = text("0123456789abcdef"),
            client_id = ClientId::EMPTY, client_id = text("!123456789abcdefghijklmnopqrstuvwxyz"),
            side = Side::Ask, order_type = OrderType::LimitMaker, time_in_force = TimeInForce::FillOrKill,
            self_trade_mode = SelfTradeMode::ExpireTaker, price = Ticks(6), quantity = Lots(7), quote_budget = Atoms(8),
            trigger_price = Ticks(9), display_quantity = Lots(10), expires_at = Timestamp(11),
        });
        events.extend(altered!(Trade, trade(), {
            market = MarketId(4), trade = TradeId(2), feed_sequence = 3, taker_side = Side::Ask, price = Ticks(6),
            quantity = Lots(7), maker_displayed = Lots(14), maker.account = AccountId(9), maker.order = OrderId(10),
            maker.report_sequence = 11,
            maker.remaining = Lots(12), maker.fee = 12, taker.account = AccountId(9), taker.order = OrderId(10),
            taker.report_sequence = 11, taker.remaining = Lots(12), taker.fee = 12,
        }));
        events.extend(altered!(OrderRested, rested(), {
            account = AccountId(2), market = MarketId(4), order = OrderId(5), side = Side::Ask, price = Ticks(6),
            remaining = Lots(7), feed_sequence = 8,
        }));
        events.extend(altered!(OrderCanceled, canceled(), {
            account = AccountId(2), report_sequence = 3, market = MarketId(4), order = OrderId(5), side = Side::Ask,
            price = Ticks(6), remaining = Lots(7), displayed = Lots(9), reason = CancelReason::SelfTrade,
            feed_sequence = 8,
        }));
        events.extend([balance(1, 2, 3, 4), balance(2, 2, 3, 4), balance(1, 3, 3, 4), balance(1, 2, 4, 4)]);
        events.extend([balance(1, 2, 3, 5), balance(0, 0, 0, 0)]);
        events.extend([KeyId(1), KeyId(2)].map(|key| Event::KeyActivated { key }));
        for (reason, feed_sequence) in [("", 1), ("a", 1), ("a", 2)] {
            let (market, state) = (MarketId(0), crate::command::MarketState::Halt);
            let reason = Reason::new(reason).expect("short");
            events.push(Event::MarketStateChanged { market, state, reason, feed_sequence });
        }
        let digests: std::collections::BTreeSet<_> = events.iter().map(|event| digest_of(&[*event])).collect();
        assert_eq!(digests.len(), events.len());
        // Their order, their number and their command's place count as well.
        let [first, second] = [events[0], events[1]];
        assert_ne!(digest_of(&[first, second]), digest_of(&[second, first]));
        assert_ne!(digest_of(&[first]), digest_of(&[first, first]));
        let (mut together, mut apart) = (EventDigest::new(), EventDigest::new());
        take_in(&mut together, Sequence(1), &[first, second]);
        take_in(&mut together, Sequence(2), &[]);
        take_in(&mut apart, Sequence(1), &[first]);
        take_in(&mut apart, Sequence(2), &[second]);
        assert_ne!(together.current(), apart.current());
    }

    /// Its words are put together by hand, so they are held against its bytes.
    #[test]
    fn an_operation_that_was_carried_out_is_taken_in_as_its_bytes() {
        let (account, report_sequence, origin) =
            (AccountId(0x0102_0304), 0x1112_1314_1516_1718, Sequence(u64::MAX - 9));
        for (index, order) in [(0, OrderId(0)), (63, OrderId(0x2122_2324_2526_2728))] {
            let done = Event::OperationDone { account, report_sequence, origin, index, refused: None, order };
            let (mut in_words, mut encoded) = (EventDigest::new(), EventDigest::new());
            in_words.absorb(&done);
            absorb_encoded(&mut encoded.state, &mut encoded.encoded, &done);
            assert_eq!(in_words.state, encoded.state);
        }
    }

    /// A step by hand, in both lanes.
    #[test]
    fn a_word_is_mixed_in_multiplied_and_turned() {
        let mut state = [1, 2];
        absorb_words(&mut state, &[3, 4]);
        assert_eq!(state, [0x5fd2_9f05_478d_de6e, 0x1f77_dd0f_d6a9_9b4b]);
    }

    /// Digests that are the same on every machine and for every compiler.
    #[test]
    fn digests_are_the_known_ones() {
        let hex = |events: &[Event]| {
            let digest = digest_of(events);
            assert_eq!(digest[16..], [0; 16]);
            digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let of_one = [
            Event::OrderAccepted(accepted()),
            Event::Trade(trade()),
            Event::OrderRested(rested()),
            Event::OrderCanceled(canceled()),
            balance(1, 2, 3, 4),
            Event::KeyActivated { key: KeyId(1) },
        ];
        let mut known = vec![hex(&[])];
        known.extend(of_one.iter().map(|event| hex(&[*event])));
        known.push(hex(&of_one));
        assert_eq!(known, KNOWN);
    }

    /// Computed by another program, from the definition.
    const KNOWN: [&str; 8] = [
        "ea47d89cc1f104528e953264e4ad5b4e",
        "13a09b0818cd4ed1091a4cf32bf9ba1f",
        "cd86f2746726b1bea4ce12cfb88947ec",
        "423e5c9e241e91d103587c9ef63ad2a4",
        "1e5cf5298ed164a42c702a6877c0519b",
        "5ad89d02265f21a967906700e53fbdf6",
        "5c68d6a106e524806c4259cd06f2e8bd",
        "6a6d5bdaf6b7f4add02b44fe5f8ed8c5",
    ];
}
