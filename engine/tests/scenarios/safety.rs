//! Orders that go without their owner's asking there and then: dead-man timer, disconnects, restarts, kill switch.

use lakh_engine::Engine;
use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, Command, DisconnectMode, Epoch, FrameOperation,
    MarketState, Operation, RestartMode,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, Reason};
use lakh_engine::units::Timestamp;

use crate::support::venue::{SECOND, START};
use crate::support::{A, B, BTCUSD, ETHUSD, Options, USD, Venue, ask, bid, check, told};

fn restart(venue: &mut Venue) -> Vec<Event> {
    let epoch = venue.engine.epoch() + 1;
    venue.must(Command::Epoch(Epoch { epoch, software: Reason::EMPTY }))
}

fn block(venue: &mut Venue, account: AccountId, block: AccountBlock) -> String {
    told(&venue.admin(AdminAction::BlockAccount { account, block }))
}

#[test]
fn the_dead_man_timer_takes_everything_off_unless_it_is_set_anew() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 1));
    venue.placed(A, bid(100, 2).in_market(ETHUSD));
    venue.placed(A, bid(90, 3).stop(120));
    venue.placed(B, bid(99, 9));
    let after = |timeout_ms| Operation::CancelAllAfter { timeout_ms };
    assert_eq!(told(&venue.send(A, after(1_000))), "timer");
    venue.wait(SECOND - 1);
    assert_eq!(told(&venue.send(A, after(1_000))), "timer", "in time");
    assert_eq!(venue.engine.next_deadline(), Some(Timestamp(START.0 + 2 * SECOND - 1)));
    venue.wait(SECOND - 1);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "", "not yet");
    venue.wait(1);
    let expected = "mass cancel, canceled 1a MassCancel, canceled 3a MassCancel, canceled 2a MassCancel, \
                    progress 3 Finished";
    assert_eq!(told(&venue.must(Command::AdvanceTime)), expected);
    check(&venue, "9b | 99 |");
    assert_eq!((venue.engine.next_deadline(), venue.funds(A, USD).1), (None, 0));
    venue.placed(A, bid(100, 1));
    venue.send(A, after(1_000));
    assert_eq!(told(&venue.send(A, after(0))), "timer off");
    venue.wait(9 * SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "");
}

#[test]
fn timers_that_fire_together_are_worked_off_one_after_the_other() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    for index in 0..1_500 {
        venue.placed(A, bid(90, 1));
        venue.placed(B, ask(110, 1));
        if index < 10 {
            venue.placed(B, bid(80, 1).until(1));
        }
    }
    venue.send(B, Operation::CancelAllAfter { timeout_ms: 500 });
    venue.send(A, Operation::CancelAllAfter { timeout_ms: 500 });
    venue.wait(2 * SECOND);
    let first = venue.must(Command::AdvanceTime);
    assert!(told(&first).starts_with("canceled 1b Expired"), "orders that end go first");
    let mut all = first;
    let mut parts = 0;
    while venue.engine.agenda_pending() {
        let mut restored = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
        let sequence = lakh_engine::ids::Sequence(venue.engine.sequence().0 + 1);
        restored.apply(sequence, venue.now, &Command::Continue, &mut Vec::new());
        all.extend(venue.must(Command::Continue));
        assert_eq!(restored.state_hash(), venue.engine.state_hash(), "a restored engine goes on alike");
        parts += 1;
    }
    assert!((2..8).contains(&parts), "{parts} parts");
    check(&venue, "");
    let owners: Vec<AccountId> = all
        .iter()
        .filter_map(|event| match event {
            Event::CancelAllAccepted { account, .. } => Some(*account),
            _ => None,
        })
        .collect();
    assert_eq!(owners, [A, B], "two timers of one moment by account");
}

#[test]
fn orders_go_when_the_last_session_ends_if_that_was_asked_for() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 1));
    let ended = |account| Command::SessionEnded { account };
    assert_eq!(told(&venue.apply(ended(A))), "rejected NotAuthorised", "nobody asked for it");
    assert_eq!(told(&venue.apply(ended(AccountId(9)))), "rejected AccountUnknown");
    let mode = DisconnectMode::CancelAll;
    assert_eq!(told(&venue.send(A, Operation::SetDisconnectMode { mode })), "a CancelAll");
    let expected = "mass cancel, canceled 1a MassCancel, progress 1 Finished";
    assert_eq!(told(&venue.apply(ended(A))), expected);
    check(&venue, "");
}

#[test]
fn a_start_of_the_node_takes_off_the_orders_of_those_who_are_cut_off() {
    let mut venue = Venue::with(Options { max_orders: 4_096, ..Options::default() });
    for account in [A, B] {
        venue.send(account, Operation::SetDisconnectMode { mode: DisconnectMode::CancelAll });
    }
    venue.send(B, Operation::SetDisconnectMode { mode: DisconnectMode::Keep });
    for _ in 0..1_500 {
        venue.placed(A, bid(90, 1));
    }
    venue.placed(B, bid(91, 7));
    let events = restart(&mut venue);
    assert!(told(&events).starts_with("epoch 2, mass cancel, canceled 1a MassCancel"));
    assert!(venue.engine.agenda_pending());
    assert_eq!(told(&venue.place(B, ask(90, 1))), "rejected AgendaPending", "before anything else");
    venue.drain();
    check(&venue, "7b | 91 |");
}

#[test]
fn the_kill_switch_blocks_an_account_and_takes_its_orders_off() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 1));
    venue.placed(A, ask(120, 1).stop(90));
    venue.placed(A, bid(100, 2).in_market(ETHUSD));
    venue.set_state(ETHUSD, MarketState::Halt);
    let expected = "a Blocked, mass cancel, canceled 1a MassCancel, canceled 1a MassCancel, progress 2 Finished";
    assert_eq!(block(&mut venue, A, AccountBlock::Blocked), expected);
    assert_eq!(told(&venue.place(A, bid(100, 1))), "rejected AccountBlocked");
    assert_eq!(told(&venue.amend(A, order, 1)), "rejected AccountBlocked");
    assert_eq!(told(&venue.replace(A, order, bid(100, 1))), "rejected AccountBlocked");
    assert_eq!(told(&venue.frame(A, &[FrameOperation::PlaceOrder(bid(100, 1).0)])), "rejected AccountBlocked");
    venue.set_state(ETHUSD, MarketState::Open);
    let expected = "mass cancel, canceled 2a MassCancel, progress 1 Finished";
    assert_eq!(told(&venue.cancel_all(A, None, None)), expected, "what a halted market kept");
    assert_eq!(told(&venue.withdraw(A, USD, 5)), "withdrawal 5, entry 1", "the money is its owner's");
    assert_eq!(told(&venue.place(B, bid(100, 1))), "accepted, rests 1", "others trade on");
    assert_eq!(block(&mut venue, A, AccountBlock::None), "a None");
    assert_eq!(told(&venue.place(A, bid(100, 1))), "accepted, rests 1");
    assert_eq!(block(&mut venue, AccountId(0), AccountBlock::Blocked), "rejected AccountUnknown");
    assert_eq!(block(&mut venue, AccountId(9), AccountBlock::Blocked), "rejected AccountUnknown");
}

#[test]
fn a_blocked_account_stays_blocked_over_a_restart() {
    let mut venue = Venue::new();
    block(&mut venue, A, AccountBlock::Blocked);
    venue.engine = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    assert_eq!(told(&venue.place(A, bid(100, 1))), "rejected AccountBlocked");
    assert_eq!(venue.engine.book(BTCUSD).expect("listed").order_count(), 0);
}

/// The node sets a market's state by itself.
fn by_the_node(venue: &mut Venue, market: lakh_engine::ids::MarketId, state: MarketState) -> String {
    let action = AdminAction::SetMarketState { market, state };
    let authority = AdminAuthority::Node;
    told(&venue.apply(Command::Admin(AdminCommand { authority, action, reason: Reason::EMPTY })))
}

#[test]
fn a_guarded_market_comes_back_by_cancels_then_by_orders_that_rest() {
    let mut venue = Venue::new();
    venue.admin(AdminAction::SetRestartMode { market: BTCUSD, mode: RestartMode::Guarded });
    venue.placed(A, bid(100, 1));
    assert_eq!(told(&restart(&mut venue)), "epoch 2, state CancelOnly", "the other market stays as it is");
    assert_eq!(venue.engine.reopenings().collect::<Vec<_>>(), [(BTCUSD, MarketState::PostOnly)]);
    assert_eq!(told(&venue.place(B, ask(100, 1))), "rejected MarketClosed");
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::Open), "rejected NotAuthorised", "one step at a time");
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::PostOnly), "state PostOnly");
    assert_eq!(told(&venue.place(B, ask(101, 1).post_only())), "accepted, rests 1");
    assert_eq!(told(&restart(&mut venue)), "epoch 3, state CancelOnly", "a start on the way begins it again");
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::PostOnly), "state PostOnly");
    venue.engine = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::Open), "state Open");
    assert_eq!(venue.engine.reopenings().count(), 0);
    assert_eq!(told(&venue.place(B, ask(100, 1))), "accepted, trade 1 @ 100 with a");
}

#[test]
fn the_node_opens_no_market_that_its_start_has_not_closed() {
    let mut venue = Venue::new();
    for market in [BTCUSD, ETHUSD] {
        venue.admin(AdminAction::SetRestartMode { market, mode: RestartMode::Guarded });
    }
    venue.set_state(BTCUSD, MarketState::PostOnly);
    venue.set_state(ETHUSD, MarketState::Halt);
    restart(&mut venue);
    assert_eq!(by_the_node(&mut venue, ETHUSD, MarketState::PostOnly), "rejected NotAuthorised", "it was halted");
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::PostOnly), "state PostOnly");
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::Open), "rejected NotAuthorised", "it was not open");
    restart(&mut venue);
    venue.set_state(BTCUSD, MarketState::CancelOnly);
    assert_eq!(by_the_node(&mut venue, BTCUSD, MarketState::PostOnly), "rejected NotAuthorised", "an operator decided");
}
