//! Accounts under an owner's account: orders and money of their own, keys for one of them, nothing that leaves the owner.

use lakh_engine::command::{AccountBlock, AdminAction, KeyScope, Operation, RegisterKey, SelfTradeMode, Transfer};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, FeeTier, KeyId};
use lakh_engine::market_spec::FeeTable;
use lakh_engine::reject::RejectCode::{
    AccountUnknown, AmountOutOfRange, AssetUnknown, InsufficientBalance, OtherOwner, TableFull, TooManySubAccounts,
    WrongAccount,
};
use lakh_engine::units::{Atoms, FeeRate, Timestamp};

use crate::support::venue::{public_key, refusal, register_second_key, rejection};
use crate::support::{A, B, BTC, BTCUSD, C, Options, USD, Venue, ask, bid, check, told};

/// The first sub-account of a venue with room for 8 accounts.
const G: AccountId = AccountId(7);
/// The second one.
const F: AccountId = AccountId(6);
const START: u64 = 1_000_000_000;

/// A venue where a has a sub-account with 10,000 of quote money.
fn venue() -> Venue {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.send(A, Operation::OpenSubAccount)), "g under a");
    assert_eq!(moved(&mut venue, A, G, (USD, 10_000)), "10000 from a to g");
    venue
}

fn moved(venue: &mut Venue, from: AccountId, to: AccountId, (asset, amount): (AssetId, u64)) -> String {
    told(&by(venue, KeyId(1), from, Operation::Transfer(Transfer { to, asset, amount: Atoms(amount) })))
}

fn by(venue: &mut Venue, key: KeyId, account: AccountId, operation: Operation) -> Vec<Event> {
    let request = venue.signed_by(key, account, operation);
    venue.apply(request)
}

#[test]
fn a_sub_account_trades_with_its_own_money() {
    let mut venue = venue();
    venue.placed(B, ask(100, 50));
    let events = by(&mut venue, KeyId(1), G, Operation::PlaceOrder(bid(100, 20).0));
    assert_eq!(told(&events), "accepted, trade 20 @ 100 with b");
    assert_eq!(venue.funds(G, USD), (10_000 - 2_000 - 40, 0));
    assert_eq!(venue.funds(G, BTC), (20, 0));
    assert_eq!(venue.funds(A, USD), (START - 10_000, 0), "the owner's account has nothing to do with it");
    let events = by(&mut venue, KeyId(1), G, Operation::PlaceOrder(bid(100, 200).0));
    assert_eq!(told(&events), "rejected InsufficientBalance");
    by(&mut venue, KeyId(1), G, Operation::PlaceOrder(bid(90, 3).0));
    check(
        &venue,
        "   | 100 | 30b
         3g | 90 |",
    );
}

#[test]
fn money_moves_between_an_owners_accounts_only() {
    let mut venue = venue();
    assert_eq!(moved(&mut venue, G, A, (USD, 4_000)), "4000 from g to a");
    assert_eq!((venue.funds(A, USD).0, venue.funds(G, USD).0), (START - 6_000, 6_000));
    by(&mut venue, KeyId(1), A, Operation::OpenSubAccount);
    assert_eq!(moved(&mut venue, G, F, (USD, 1_000)), "1000 from g to f", "from one to another too");
    let refused = |venue: &mut Venue, from, to, asset, amount| {
        let transfer = Operation::Transfer(Transfer { to, asset, amount: Atoms(amount) });
        rejection(&by(venue, KeyId(1), from, transfer))
    };
    assert_eq!(refused(&mut venue, A, B, USD, 1), Some(OtherOwner));
    assert_eq!(refused(&mut venue, A, AccountId(0), USD, 1), Some(OtherOwner));
    assert_eq!(refused(&mut venue, A, AccountId(5), USD, 1), Some(OtherOwner), "nobody's yet");
    assert_eq!(refused(&mut venue, A, A, USD, 1), Some(OtherOwner));
    assert_eq!(refused(&mut venue, A, G, AssetId(9), 1), Some(AssetUnknown));
    assert_eq!(refused(&mut venue, A, G, USD, 0), Some(AmountOutOfRange));
    assert_eq!(refused(&mut venue, G, A, USD, 5_001), Some(InsufficientBalance), "5,000 are left");
    by(&mut venue, KeyId(1), G, Operation::PlaceOrder(bid(100, 10).0));
    assert_eq!(refused(&mut venue, G, A, USD, 5_000), Some(InsufficientBalance), "what is held stays");
}

#[test]
fn a_key_speaks_for_its_owners_sub_accounts_and_nobody_elses() {
    let mut venue = venue();
    let place = Operation::PlaceOrder(bid(100, 1).0);
    assert_eq!(told(&by(&mut venue, KeyId(2), G, place)), "rejected KeyOfOtherAccount");
    assert_eq!(told(&by(&mut venue, KeyId(1), F, place)), "rejected KeyOfOtherAccount", "there is no such account");
}

#[test]
fn a_key_of_one_sub_account_stays_in_it() {
    let mut venue = venue();
    let key = register_second_key(&mut venue, A, 20);
    let scope = KeyScope { account: Some(G), ..KeyScope::EVERYTHING };
    assert_eq!(told(&venue.send(A, Operation::NarrowKey { key, scope })), format!("key {key} narrowed"));
    let place = Operation::PlaceOrder(bid(100, 1).0);
    assert_eq!(told(&by(&mut venue, key, G, place)), "accepted, rests 1");
    assert_eq!(told(&by(&mut venue, key, G, Operation::Logon)), "logged on");
    assert_eq!(told(&by(&mut venue, key, A, place)), "rejected OutOfScope");
    assert_eq!(told(&by(&mut venue, key, A, Operation::Logon)), "rejected OutOfScope", "nor does it hear of others");
    for elsewhere in [
        Operation::Transfer(Transfer { to: A, asset: USD, amount: Atoms(1) }),
        Operation::OpenSubAccount,
        Operation::NarrowKey { key, scope: KeyScope { operations: 0, ..scope } },
    ] {
        assert_eq!(told(&by(&mut venue, key, G, elsewhere)), "rejected OutOfScope", "what concerns others too");
    }
    let frame = lakh_engine::command::FrameCommand {
        key,
        ..venue.framed(A, &[lakh_engine::command::FrameOperation::PlaceOrder(bid(100, 1).0)])
    };
    let events = venue.apply(lakh_engine::command::Command::Frame(frame));
    assert_eq!(told(&events), "frame of 1, 0 refused OutOfScope");
}

#[test]
fn an_owner_does_not_trade_with_himself_unless_he_wants_to() {
    let mut venue = venue();
    let group = Operation::SetSelfTradeGroup { group: A };
    assert_eq!(told(&by(&mut venue, KeyId(1), G, group)), "g in group 1", "one owner needs no invitation");
    venue.placed(A, ask(100, 5));
    let order = bid(100, 5).on_self_trade(SelfTradeMode::ExpireTaker);
    let events = by(&mut venue, KeyId(1), G, Operation::PlaceOrder(order.0));
    assert_eq!(told(&events), "accepted, canceled 5g SelfTrade");
}

#[test]
fn the_owners_tier_block_and_policy_are_the_sub_accounts() {
    let mut venue = venue();
    let mut fees = FeeTable::flat(FeeRate(10_000), FeeRate(20_000));
    fees.rates[1].taker = FeeRate(0);
    fees.rates[1].maker = FeeRate(0);
    venue.admin(AdminAction::SetFees { market: BTCUSD, fees });
    venue.admin(AdminAction::SetFeeTier { account: A, tier: FeeTier(1) });
    assert_eq!(venue.engine.fee_rates(G, BTCUSD), Some(fees.rates[1]));
    let events = venue.admin(AdminAction::SetFeeTier { account: G, tier: FeeTier(1) });
    assert_eq!(rejection(&events), Some(AccountUnknown), "it has none of its own");
    venue.placed(A, bid(90, 1));
    by(&mut venue, KeyId(1), G, Operation::PlaceOrder(bid(91, 2).0));
    let block = AdminAction::BlockAccount { account: A, block: AccountBlock::Blocked };
    let expected = "a Blocked, mass cancel, canceled 1a MassCancel, progress 1 Finished, \
                    mass cancel, canceled 2g MassCancel, progress 1 Finished";
    assert_eq!(told(&venue.admin(block)), expected, "all of the owner's orders go");
    let place = Operation::PlaceOrder(bid(91, 2).0);
    assert_eq!(told(&by(&mut venue, KeyId(1), G, place)), "rejected AccountBlocked");
    assert_eq!(moved(&mut venue, G, A, (USD, 1)), "rejected AccountBlocked");
}

#[test]
fn one_sub_account_can_be_blocked_alone() {
    let mut venue = venue();
    venue.placed(A, bid(90, 1));
    by(&mut venue, KeyId(1), G, Operation::PlaceOrder(bid(91, 2).0));
    let block = AdminAction::BlockAccount { account: G, block: AccountBlock::Blocked };
    assert_eq!(told(&venue.admin(block)), "g Blocked, mass cancel, canceled 2g MassCancel, progress 1 Finished");
    check(&venue, "1a | 90 |");
    let place = Operation::PlaceOrder(bid(91, 2).0);
    assert_eq!(told(&by(&mut venue, KeyId(1), G, place)), "rejected AccountBlocked");
    assert_eq!(told(&venue.place(A, bid(91, 2))), "accepted, rests 2");
}

#[test]
fn the_chain_knows_owners_only() {
    let mut venue = venue();
    assert_eq!(refusal(&venue.withdraw(G, USD, 1)), Some(WrongAccount), "its money goes to the owner's account first");
    let deposit = crate::support::venue::by_owner_of(A, crate::support::venue::deposit_entry(G, USD, 5));
    assert_eq!(refusal(&venue.enter(deposit)), Some(WrongAccount));
    let registration = RegisterKey {
        account: G,
        public_key: public_key(30),
        epoch: 1,
        expires_at: Timestamp::ZERO,
        digest_capacity: 1,
    };
    assert_eq!(venue.register_key(registration).err(), Some(AccountUnknown), "keys are bound to owners");
}

#[test]
fn owners_and_sub_accounts_share_one_table_from_both_ends() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.send(A, Operation::OpenSubAccount)), "g under a");
    assert_eq!(told(&venue.send(B, Operation::OpenSubAccount)), "f under b");
    assert_eq!(told(&venue.deposit(AccountId(4), USD, 1)), "account 4, deposit 1, entry 1");
    assert_eq!(told(&venue.deposit(AccountId(5), USD, 1)), "account 5, deposit 1, entry 2");
    assert_eq!(rejection(&venue.send(C, Operation::OpenSubAccount)), Some(TableFull));
    assert_eq!(refusal(&venue.deposit(F, USD, 1)), Some(TableFull), "the contract's next account has no room here");
    assert_eq!(refusal(&venue.deposit(AccountId(8), USD, 1)), Some(TableFull));
    assert_eq!(rejection(&by(&mut venue, KeyId(1), G, Operation::OpenSubAccount)), Some(OtherOwner), "one level only");
}

#[test]
fn an_owner_has_sixteen_at_most() {
    let mut options = Options::default();
    options.capacities.accounts = 64;
    let mut venue = Venue::with(options);
    for _ in 0..lakh_engine::MAX_SUB_ACCOUNTS {
        venue.must(lakh_engine::command::Command::Signed(venue.signed(A, Operation::OpenSubAccount)));
    }
    assert_eq!(rejection(&venue.send(A, Operation::OpenSubAccount)), Some(TooManySubAccounts));
    assert_eq!(rejection(&venue.send(B, Operation::OpenSubAccount)), None);
    let of_a = venue.engine.accounts().filter(|account| venue.engine.parent(*account) == Some(A));
    assert_eq!(of_a.count(), 16);
}
