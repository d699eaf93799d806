//! Tiers of fees: who pays by which, from when on, and the notice that every rise needs.

use lakh_engine::command::{AdminAction, Command, MarketState};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, FeeTier};
use lakh_engine::market_spec::{FeeRates, FeeTable};
use lakh_engine::reject::RejectCode::{AccountUnknown, BadSpecification, MarketUnknown};
use lakh_engine::units::FeeRate;

use crate::support::venue::{SECOND, rejection};
use crate::support::{A, B, BTCUSD, ETHUSD, Options, USD, Venue, ask, bid, told};

const VENUE: AccountId = AccountId(0);
const START: u64 = 1_000_000_000;
/// A week, in seconds.
const WEEK: u32 = 7 * 86_400;

/// Tier 0 pays 1 % and 2 %, tier 1 half of it, tier 2 nothing as a maker and 1 % as a taker.
fn table() -> FeeTable {
    let mut table = FeeTable::flat(FeeRate(10_000), FeeRate(20_000));
    table.rates[1] = FeeRates { maker: FeeRate(5_000), taker: FeeRate(10_000) };
    table.rates[2] = FeeRates { maker: FeeRate(0), taker: FeeRate(10_000) };
    table
}

fn set(venue: &mut Venue, fees: FeeTable) -> String {
    told(&venue.admin(AdminAction::SetFees { market: BTCUSD, fees }))
}

fn tier(venue: &mut Venue, account: AccountId, tier: u8) -> String {
    told(&venue.admin(AdminAction::SetFeeTier { account, tier: FeeTier(tier) }))
}

/// A venue with three tiers, where a fee rises a week after it was announced.
fn venue() -> Venue {
    let mut venue = Venue::with(Options { fee_notice_s: WEEK, ..Options::default() });
    assert_eq!(set(&mut venue, table()), "fees", "nobody pays more by it");
    venue
}

#[test]
fn each_side_pays_by_its_own_tier() {
    let mut venue = venue();
    assert_eq!(tier(&mut venue, A, 1), "a in tier 1");
    assert_eq!(tier(&mut venue, B, 2), "b in tier 2");
    venue.placed(A, ask(100, 10));
    venue.placed(B, bid(100, 10));
    assert_eq!(venue.funds(A, USD), (START + 1_000 - 5, 0), "half a percent as a maker");
    assert_eq!(venue.funds(B, USD), (START - 1_000 - 10, 0), "one percent as a taker");
    assert_eq!(venue.funds(VENUE, USD), (15, 0));
    assert_eq!(venue.engine.fee_rates(B, BTCUSD), Some(table().rates[2]));
}

#[test]
fn a_buy_holds_its_own_tiers_worst_fee() {
    let mut venue = venue();
    venue.placed(A, bid(100, 10));
    assert_eq!(venue.funds(A, USD).1, 1_020);
    tier(&mut venue, B, 1);
    venue.placed(B, bid(100, 10));
    assert_eq!(venue.funds(B, USD).1, 1_010);
}

#[test]
fn an_order_keeps_the_rates_of_the_tier_that_it_was_accepted_in() {
    let mut venue = venue();
    venue.placed(A, bid(100, 10));
    assert_eq!(tier(&mut venue, A, 2), "a in tier 2");
    venue.placed(B, ask(100, 10));
    assert_eq!(venue.funds(A, USD), (START - 1_000 - 10, 0), "1 % as when it came");
    venue.placed(A, bid(100, 10));
    venue.placed(B, ask(100, 10));
    assert_eq!(venue.funds(A, USD), (START - 2_000 - 10, 0), "nothing as now");
}

#[test]
fn a_rise_waits_for_its_notice_and_a_cut_does_not() {
    let mut venue = venue();
    let dearer = FeeTable::flat(FeeRate(10_000), FeeRate(30_000));
    assert_eq!(set(&mut venue, dearer), format!("fees from {WEEK}"));
    assert_eq!(venue.engine.fee_rates(A, BTCUSD), Some(table().rates[0]), "not yet");
    assert_eq!(venue.engine.next_deadline().expect("announced").0, venue.now.0 + u64::from(WEEK) * SECOND);
    venue.wait(u64::from(WEEK) * SECOND - 1);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "");
    venue.wait(1);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "fees");
    assert_eq!(venue.engine.fee_rates(A, BTCUSD), Some(dearer.rates[0]));
    assert_eq!(set(&mut venue, FeeTable::flat(FeeRate(0), FeeRate(0))), "fees", "at once");
    assert_eq!(venue.engine.next_deadline(), None);
}

#[test]
fn what_is_accepted_before_the_rise_keeps_the_old_rates() {
    let mut venue = venue();
    set(&mut venue, FeeTable::flat(FeeRate(20_000), FeeRate(20_000)));
    venue.placed(A, bid(100, 10));
    venue.wait(u64::from(WEEK) * SECOND);
    venue.must(Command::AdvanceTime);
    venue.placed(B, ask(100, 10));
    assert_eq!(venue.funds(A, USD), (START - 1_000 - 10, 0));
}

#[test]
fn a_rise_hidden_behind_a_cut_waits_as_a_whole() {
    let mut venue = venue();
    let mixed = FeeTable::flat(FeeRate(-20_000), FeeRate(25_000));
    assert_eq!(set(&mut venue, mixed), format!("fees from {WEEK}"));
    assert_eq!(
        venue.engine.fee_rates(A, BTCUSD),
        Some(table().rates[0]),
        "the rebate alone would be paid by the venue"
    );
}

#[test]
fn the_last_decision_takes_the_place_of_the_one_before() {
    let mut venue = venue();
    set(&mut venue, FeeTable::flat(FeeRate(10_000), FeeRate(90_000)));
    assert_eq!(set(&mut venue, table()), "fees", "called off");
    venue.wait(u64::from(WEEK) * SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "");
    assert_eq!(venue.engine.fee_rates(A, BTCUSD), Some(table().rates[0]));
}

#[test]
fn a_dearer_tier_needs_notice_too() {
    let mut venue = venue();
    tier(&mut venue, A, 2);
    assert_eq!(tier(&mut venue, A, 0), format!("a in tier 0 from {WEEK}"));
    assert_eq!(venue.engine.fee_rates(A, BTCUSD), Some(table().rates[2]));
    venue.wait(u64::from(WEEK) * SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "a in tier 0");
    assert_eq!(venue.engine.fee_rates(A, BTCUSD), Some(table().rates[0]));
}

#[test]
fn no_tier_takes_on_an_announced_rise_without_notice() {
    let mut venue = venue();
    let mut dearer = table();
    dearer.rates[1].taker = FeeRate(90_000);
    set(&mut venue, dearer);
    // Tier 1 is cheaper today; in a week it is dearer, and a would have had a day's notice.
    venue.wait(u64::from(WEEK - 86_400) * SECOND);
    let from = WEEK - 86_400 + WEEK;
    assert_eq!(tier(&mut venue, A, 1), format!("a in tier 1 from {from}"));
}

#[test]
fn no_two_tiers_may_pay_each_other_for_trading() {
    let mut venue = venue();
    let mut paying = FeeTable::flat(FeeRate(10_000), FeeRate(20_000));
    paying.rates[1].maker = FeeRate(-20_000);
    assert_eq!(set(&mut venue, paying), format!("fees from {WEEK}"), "every tier's taker pays as much");
    paying.rates[2].taker = FeeRate(19_999);
    assert_eq!(set(&mut venue, paying), "rejected BadSpecification", "tier 2 takes what tier 1 makes");
    paying.rates[2].taker = FeeRate(-1);
    assert_eq!(set(&mut venue, paying), "rejected BadSpecification");
    let out_of_range = FeeTable::flat(FeeRate(-100_001), FeeRate(100_000));
    assert_eq!(set(&mut venue, out_of_range), "rejected BadSpecification");
}

#[test]
fn tiers_are_of_owners_and_within_the_table() {
    let mut venue = venue();
    for (account, tier, code) in
        [(VENUE, 1, AccountUnknown), (AccountId(7), 1, AccountUnknown), (A, 8, BadSpecification)]
    {
        let events = venue.admin(AdminAction::SetFeeTier { account, tier: FeeTier(tier) });
        assert_eq!(rejection(&events), Some(code));
    }
    let events = venue.admin(AdminAction::SetFees { market: lakh_engine::ids::MarketId(9), fees: table() });
    assert_eq!(rejection(&events), Some(MarketUnknown));
}

#[test]
fn the_genesis_gives_no_notice() {
    let mut venue = Venue::in_genesis(Options { fee_notice_s: WEEK, ..Options::default() });
    venue.genesis_admin(AdminAction::SetFees { market: ETHUSD, fees: FeeTable::flat(FeeRate(0), FeeRate(50_000)) });
    venue.genesis_admin(AdminAction::SetMarketState { market: ETHUSD, state: MarketState::Open });
    assert!(matches!(venue.last_events(), [Event::MarketStateChanged { .. }]));
    assert_eq!(venue.engine.fee_rates(A, ETHUSD).map(|rates| rates.taker), Some(FeeRate(50_000)));
    assert_eq!(venue.engine.next_deadline(), None);
}
