//! Orders against a model that keeps everything and looks through all of it.

use lakh_engine::command::{OrderReference, OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::{CancelReason, OrderAccepted, OrderCanceled, OrderRested};
use lakh_engine::ids::{AccountId, ClientId, MarketId, OrderId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use proptest::prelude::*;

use super::{OrderState, OrderStateOptions};

const BOUNDS: OrderStateOptions = OrderStateOptions { ended_orders_max: 12, ended_orders_per_account_max: 5 };

/// What one command does.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A new order of an account in a market by one of a few client ids, or by none; it rests.
    Rest(u32, u16, u8),
    /// One that is gone at once.
    Pass(u32, u16, u8),
    /// One of the open orders goes.
    Cancel(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = || (0..4_u32, 0..3_u16, 0..4_u8);
    let step = prop_oneof![
        4 => order().prop_map(|(account, market, client)| Step::Rest(account, market, client)),
        2 => order().prop_map(|(account, market, client)| Step::Pass(account, market, client)),
        3 => any::<prop::sample::Index>().prop_map(Step::Cancel),
    ];
    prop::collection::vec(step, 1..200)
}

/// An order as the model has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    account: AccountId,
    market: MarketId,
    order: OrderId,
    client_id: ClientId,
}

/// Open orders, and ended ones in the order of their ends.
#[derive(Default)]
struct Model {
    open: Vec<Known>,
    ended: Vec<Known>,
    /// Of all that ever came, as they came.
    come: Vec<Known>,
    last: u64,
}

impl Model {
    fn come(&mut self, account: u32, market: u16, client: u8) -> Known {
        self.last += 1;
        let text = if client == 0 { String::new() } else { format!("client-{client}") };
        let client_id = ClientId::new(&text).unwrap();
        let one = Known { account: AccountId(account), market: MarketId(market), order: OrderId(self.last), client_id };
        self.come.push(one);
        one
    }

    fn end(&mut self, one: Known) {
        self.open.retain(|other| *other != one);
        self.ended.push(one);
        let is_own = |other: &Known| other.account == one.account;
        if self.ended.iter().filter(|other| is_own(other)).count() > BOUNDS.ended_orders_per_account_max {
            let oldest = self.ended.iter().position(is_own).unwrap();
            self.ended.remove(oldest);
        }
        if self.ended.len() > BOUNDS.ended_orders_max {
            self.ended.remove(0);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Known> {
        self.open.iter().chain(&self.ended)
    }
}

fn accept(state: &mut OrderState, one: Known) {
    let event = OrderAccepted {
        account: one.account,
        report_sequence: 1,
        market: one.market,
        order: one.order,
        client_id: one.client_id,
        side: Side::Bid,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        self_trade_mode: SelfTradeMode::ExpireMaker,
        price: Ticks(1),
        trigger_price: Ticks(0),
        quantity: Lots(1),
        display_quantity: Lots(0),
        quote_budget: Atoms(0),
        expires_at: Timestamp::ZERO,
    };
    state.accept(&event, Timestamp(one.order.0));
}

fn rest(state: &mut OrderState, Known { account, market, order, .. }: Known) {
    let (side, price, remaining) = (Side::Bid, Ticks(1), Lots(1));
    state.rest(&OrderRested { account, market, order, side, price, remaining, feed_sequence: 1 });
}

fn cancel(state: &mut OrderState, Known { account, market, order, .. }: Known) {
    let event = OrderCanceled {
        account,
        report_sequence: 1,
        market,
        order,
        side: Side::Bid,
        price: Ticks(1),
        remaining: Lots(1),
        displayed: Lots(1),
        reason: CancelReason::Requested,
        feed_sequence: 1,
    };
    assert!(state.cancel(&event, Timestamp(1)).is_some(), "until the command is through, every order is here");
}

/// Every question has the model's answer.
fn compare(state: &OrderState, model: &Model) {
    assert_eq!(state.record_count(), model.all().count());
    for account in (0..4).map(AccountId) {
        let ids = |mut orders: Vec<Known>| {
            orders.sort_by_key(|one| (one.market, one.order));
            orders.iter().map(|one| one.order).collect::<Vec<_>>()
        };
        let of = |orders: &[Known], market: Option<MarketId>| {
            let is_asked = |one: &&Known| one.account == account && market.is_none_or(|market| one.market == market);
            orders.iter().filter(is_asked).copied().collect::<Vec<_>>()
        };
        let open = |market| state.open_orders(account, market).map(|record| record.order).collect::<Vec<_>>();
        assert_eq!(open(None), ids(of(&model.open, None)));
        assert_eq!(state.open_order_count(account), of(&model.open, None).len());
        for market in (0..3).map(MarketId) {
            assert_eq!(open(Some(market)), ids(of(&model.open, Some(market))));
            let both = [of(&model.open, Some(market)), of(&model.ended, Some(market))].concat();
            let orders = state.orders(account, market);
            assert_eq!(orders.iter().map(|record| record.order).collect::<Vec<_>>(), ids(both));
            for client in 1..4 {
                let client_id = ClientId::new(&format!("client-{client}")).unwrap();
                let found = state.find(account, market, &OrderReference::ClientId(client_id));
                let named = |one: &&Known| (one.account, one.market, one.client_id) == (account, market, client_id);
                let latest = model.all().filter(named).map(|one| one.order).max();
                // A name goes with the latest order that used it, though an older one may still be here.
                if let Some(found) = found {
                    assert_eq!(Some(found.order), latest);
                } else if let Some(last) = model.come.iter().rfind(named) {
                    assert!(latest != Some(last.order), "the last of its name is found as long as it is here");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn orders_are_what_a_model_that_looks_through_everything_says(steps in steps()) {
        let (mut state, mut model) = (OrderState::new(BOUNDS), Model::default());
        for step in steps {
            match step {
                Step::Rest(account, market, client) => {
                    let one = model.come(account, market, client);
                    accept(&mut state, one);
                    rest(&mut state, one);
                    // The next part of an iceberg says so again.
                    rest(&mut state, one);
                    model.open.push(one);
                }
                Step::Pass(account, market, client) => {
                    let one = model.come(account, market, client);
                    accept(&mut state, one);
                    cancel(&mut state, one);
                    model.end(one);
                }
                Step::Cancel(_) if model.open.is_empty() => {}
                Step::Cancel(index) => {
                    let one = *index.get(&model.open);
                    cancel(&mut state, one);
                    model.end(one);
                }
            }
            state.forget_oldest();
            compare(&state, &model);
        }
        let mut bytes = Vec::new();
        state.save(&mut bytes);
        let loaded = OrderState::load(BOUNDS, &mut &bytes[..]).unwrap();
        compare(&loaded, &model);
        let mut again = Vec::new();
        loaded.save(&mut again);
        prop_assert_eq!(again, bytes, "what was read is what was written");
    }
}
