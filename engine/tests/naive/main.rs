//! The engine against a naive book: after every command of thousands of short random sequences both must have done the
//! same, in the same order, and hold the same orders in the same priority.

#[path = "../support/mod.rs"]
mod support;

mod book;

use lakh_engine::command::{
    AmendMode, AmendOrder, CancelAll, CancelOrder, CancelRestriction, Capacities, Command, Operation, OrderReference,
    OrderType, PlaceOrder, ReplaceMode, ReplaceOrder, Side, TimeInForce,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, OrderId, Sequence};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use proptest::prelude::{any, prop};

use book::{NaiveBook, Outcome};
use support::random::{self, Random};
use support::{A, BTCUSD, C, Options, Venue};

/// What the events say happened to the book.
fn outcomes(events: &[Event]) -> Vec<Outcome> {
    let outcome = |event: &Event| match *event {
        Event::Trade(trade) => Some(Outcome::Fill(trade.maker.order, trade.price.0, trade.quantity.0)),
        Event::OrderRested(rested) => Some(Outcome::Rest(rested.order, rested.price.0, rested.remaining.0)),
        Event::OrderCanceled(gone) => Some(Outcome::Cancel(gone.order, gone.remaining.0, gone.reason)),
        Event::OrderReduced(reduced) => Some(Outcome::Reduce(reduced.order, reduced.remaining.0)),
        Event::OrderTriggered { order, .. } => Some(Outcome::Trigger(order)),
        Event::ReplaceAnswered { cancel_refused, order_refused, .. } => {
            Some(Outcome::Replace(cancel_refused, order_refused))
        }
        Event::QuoteSet(quote) => Some(Outcome::Quote([quote.bid_refused, quote.ask_refused])),
        Event::Rejected(rejected) => Some(Outcome::Reject(rejected.code)),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

/// An order of any kind around a price of 100 whose fields go together.
fn order(random: &mut Random, now: Timestamp) -> PlaceOrder {
    let order = random::place(random, BTCUSD, now);
    let by_budget = order.order_type == OrderType::Market
        && order.quantity == Lots::ZERO
        && order.time_in_force == TimeInForce::ImmediateOrCancel;
    let time_in_force = match (order.order_type, order.time_in_force) {
        (OrderType::LimitMaker | OrderType::LimitMakerSlide, time_in_force) if !time_in_force.rests() => {
            TimeInForce::GoodTillCancel
        }
        (OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit, time_in_force) if time_in_force.rests() => {
            TimeInForce::ImmediateOrCancel
        }
        (_, time_in_force) => time_in_force,
    };
    let price = match (order.order_type, order.price.0) {
        (OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit, 0) => 0,
        (_, price) => price.clamp(90, 110),
    };
    let quantity = if by_budget { Lots::ZERO } else { Lots(order.quantity.0.clamp(1, 20)) };
    let may_hide = time_in_force.rests() && !order.order_type.waits() && order.order_type != OrderType::Market;
    PlaceOrder {
        trigger_price: Ticks(if order.order_type.waits() { order.trigger_price.0.clamp(90, 110) } else { 0 }),
        price: Ticks(price),
        quantity,
        display_quantity: if may_hide { order.display_quantity.min(quantity) } else { Lots::ZERO },
        quote_budget: if by_budget { Atoms(10 + order.quote_budget.0 % 3_000) } else { Atoms::ZERO },
        expires_at: match time_in_force {
            TimeInForce::GoodTillDate => order.expires_at.max(Timestamp(now.0 + 1)),
            _ => Timestamp::ZERO,
        },
        time_in_force,
        ..order
    }
}

/// An order that rests, most of the time of the account that asks.
fn some_order(random: &mut Random, book: &NaiveBook, account: AccountId) -> OrderId {
    let resting: Vec<OrderId> = [Side::Bid, Side::Ask]
        .into_iter()
        .flat_map(|side| book.side(side))
        .chain(book.waiting().iter().copied())
        .filter(|order| order.account == account || random.once_in(10))
        .map(|order| order.id)
        .collect();
    if resting.is_empty() { OrderId(64) } else { random.pick(&resting) }
}

/// One command to both; they must agree on all that happened and on what is there.
fn step(random: &mut Random, venue: &mut Venue, book: &mut NaiveBook) -> usize {
    if random.once_in(12) {
        venue.wait(random.below(4_000_000_000));
        let events = venue.must(Command::AdvanceTime);
        assert_eq!(outcomes(&events), book.expire(venue.now));
    }
    let account = AccountId(1 + u32::try_from(random.below(5)).expect("small"));
    let next = Sequence(venue.engine.sequence().0 + 1);
    let (operation, expected) = match random.below(21) {
        0..13 => {
            let order = order(random, venue.now);
            (Operation::PlaceOrder(order), book.place(OrderId::new(next, 0), account, &order))
        }
        13 => {
            let (order, target) = (order(random, venue.now), some_order(random, book, account));
            let mode = random.pick(&[ReplaceMode::StopOnFailure, ReplaceMode::AllowFailure]);
            let target_reference = OrderReference::OrderId(target);
            let restriction = CancelRestriction::None;
            let replace = ReplaceOrder { target: target_reference, restriction, mode, order };
            (Operation::ReplaceOrder(replace), book.replace(OrderId::new(next, 0), account, target, &replace))
        }
        14..16 => {
            let id = some_order(random, book, account);
            let target = OrderReference::OrderId(id);
            (Operation::CancelOrder(CancelOrder { market: BTCUSD, target }), book.cancel(account, id))
        }
        16 => {
            let client_id = random::place(random, BTCUSD, venue.now).client_id;
            let id = book.by_client_id(account, &client_id).map_or(OrderId(0), |order| order.id);
            let target = OrderReference::ClientId(client_id);
            (Operation::CancelOrder(CancelOrder { market: BTCUSD, target }), book.cancel(account, id))
        }
        17..19 => {
            let (id, new_quantity) = (some_order(random, book, account), random.below(20));
            let new_price = if random.once_in(2) { 0 } else { 90 + random.below(21) };
            let (target, new_id) = (OrderReference::OrderId(id), OrderId::new(next, 0));
            let numbers = (Lots(new_quantity), Ticks(new_price));
            let mode = random.pick(&[AmendMode::KeepPriority, AmendMode::MayLosePriority, AmendMode::MayLosePriority]);
            let amend = AmendOrder { market: BTCUSD, target, new_quantity: numbers.0, new_price: numbers.1, mode };
            (Operation::AmendOrder(amend), book.amend(new_id, account, id, &amend))
        }
        19 => {
            let quote = random::quote(random, BTCUSD);
            let ids = [OrderId::new(next, 0), OrderId::new(next, 1)];
            (Operation::Quote(quote), book.quote(ids, account, &quote))
        }
        _ => {
            let side = random.pick(&[None, Some(Side::Bid), Some(Side::Ask)]);
            (Operation::CancelAll(CancelAll { market: Some(BTCUSD), side }), book.cancel_all(account, side))
        }
    };
    let events = venue.send(account, operation);
    assert_eq!(outcomes(&events), expected, "{operation:?} of account {account}");
    let view = venue.engine.book(BTCUSD).expect("listed");
    for side in [Side::Bid, Side::Ask] {
        let naive = book.side(side).into_iter();
        let naive = naive.map(|o| (o.id, o.account, o.client_id, o.price, o.quantity, o.remaining));
        let engine = view.orders(side);
        let engine = engine.map(|o| (o.order, o.account, o.client_id, o.price.0, o.quantity.0, o.remaining.0));
        assert!(engine.eq(naive), "{side:?} after {operation:?}");
    }
    let waiting: Vec<OrderId> = book.waiting().iter().map(|order| order.id).collect();
    assert!(view.waiting().iter().map(|(_, order)| order.order).eq(waiting), "{operation:?}");
    expected.iter().filter(|outcome| matches!(outcome, Outcome::Fill(..))).count()
}

/// A venue that is quick to make and never out of room or money.
fn venue() -> Venue {
    let capacities =
        Capacities { accounts: 6, assets: 3, markets: 2, keys: 5, digests: 5, agenda: 1, digests_per_key: 1 };
    let traders = 5;
    let options =
        Options { traders, max_orders: 1_024, max_levels: 64, capacities, digest_capacity: 1, ..Options::default() };
    let mut venue = Venue::with(options);
    venue.send(A, Operation::InviteToSelfTradeGroup { invited: C });
    venue.send(C, Operation::SetSelfTradeGroup { group: A });
    venue
}

#[test]
fn ten_thousand_short_sequences_agree() {
    let rolls = prop::collection::vec(any::<u64>(), 1..100);
    let fills = std::cell::Cell::new(0);
    let outcome = random::runner("naive, short sequences", 10_000).run(&rolls, |rolls| {
        let (mut venue, mut book) = (venue(), NaiveBook::default());
        for roll in rolls {
            fills.set(fills.get() + step(&mut Random(roll), &mut venue, &mut book));
        }
        Ok(())
    });
    outcome.expect("the engine and the naive book agree");
    println!("{} fills", fills.get());
    assert!(fills.get() > 50_000, "only {} fills prove little", fills.get());
}

/// One short sequence, which follows from its number alone; tells its fills.
fn sequence(number: u64) -> usize {
    let mut random = Random(number);
    let (mut venue, mut book) = (venue(), NaiveBook::default());
    let length = 1 + random.below(99);
    (0..length).map(|_| step(&mut random, &mut venue, &mut book)).sum()
}

/// As many sequences as `LAKH_SOAK_SEQUENCES` says, from number `LAKH_SOAK_FIRST` on.
#[test]
#[ignore = "`cargo xtask soak engine` runs it"]
fn soak() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = (number("LAKH_SOAK_FIRST").unwrap_or(0), number("LAKH_SOAK_SEQUENCES").unwrap_or(1_000));
    let mut fills = 0;
    for number in first..first + count {
        let outcome = std::panic::catch_unwind(|| sequence(number));
        fills += outcome.unwrap_or_else(|_| panic!("sequence {number} does not agree"));
    }
    println!("{count} sequences from {first} on agree, {fills} fills");
}

#[test]
fn long_sequences_agree() {
    let mut random = Random(random::seed("naive, long sequences"));
    for _ in 0..20 {
        let (mut venue, mut book) = (venue(), NaiveBook::default());
        let fills: usize = (0..1_000).map(|_| step(&mut random, &mut venue, &mut book)).sum();
        assert!(fills > 100, "only {fills} fills");
    }
}
