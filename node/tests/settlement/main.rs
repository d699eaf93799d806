//! Money on a chain and back, with real processes: `lakh run` on one side, anvil or the embedded chain on the other.
//!
//! Deposit and key on the chain, trades over WebSocket, withdrawals, batches, claims, and `kill -9` in between. What the
//! traders hold at the end is reckoned here by hand, to the atom.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod apart;
mod blobs;
mod chains;
mod each_question;
mod promises;
mod proofs;
mod public_journal;
mod traders;
mod troubles;
mod venue;
mod watching;
mod world;

use std::time::Duration;

use lakh_engine::ids::AccountId;
use lakh_loadtest::random::SplitMix64;
use lakh_settlement::contract;
use lakh_settlement::contract::answer;

use crate::chains::{Anvil, Embedded};
use crate::traders::Client;
use crate::venue::Venue;
use crate::world::{CASH, CASH_SCALE, UNIT, UNIT_SCALE, World};

/// Trades of the scenario: each of 3 units at 100.00.
const TRADES: u64 = 60;
/// What a trade moves, in atoms of CASH.
const NOTIONAL: u64 = 30_000;
/// 0.1 % for the resting side.
const MAKER_FEE: u64 = 30;
/// 0.0333 % for the incoming side: 9.99 atoms, rounded in the venue's favour.
const TAKER_FEE: u64 = 10;
const KILLS: u32 = 10;
/// Between two trades.
const PACE: Duration = Duration::from_millis(100);

/// What is the same on every chain.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    tip_root: String,
    tokens: Vec<u128>,
    vault: Vec<u128>,
}

#[test]
fn money_goes_in_and_out_through_ten_kills_on_both_chains() {
    let embedded = Embedded::start();
    let on_embedded = scenario(&embedded.url(), 0, 0x6c61_6b68);
    let Some(anvil) = Anvil::start() else { return };
    let on_anvil = scenario(anvil.url(), 1, 0x616e_7669);
    assert_eq!(on_embedded, on_anvil, "roots and balances do not depend on the chain or on when the node was killed");
}

fn scenario(url: &str, confirmations: u64, seed: u64) -> Outcome {
    println!("seed {seed:#x}");
    let world = World::deploy(url);
    let venue = Venue::start(&world, confirmations);
    let [maker, taker] = [1, 2].map(|number| venue.trader(number));
    world.fund(1, UNIT, 1_000);
    world.register_key(1, maker.public_key());
    world.fund(2, CASH, 10_000_000);
    world.register_key(2, taker.public_key());

    let killer = venue.kill_at_random(KILLS, SplitMix64::stream(seed, 1));
    let [mut maker, mut taker] = [(1, maker), (2, taker)].map(|(account, key)| Client::new(&venue, account, key));
    maker.activate();
    taker.activate();
    for trade in 0..TRADES {
        maker.place("SELL", 100, 3);
        taker.place("BUY", 100, 3);
        // So that the kills fall between the trades and not behind them.
        std::thread::sleep(PACE);
        match trade {
            20 => world.request_withdrawal(1, CASH, 20 * (NOTIONAL - MAKER_FEE)),
            40 => world.request_withdrawal(2, UNIT, 7),
            _ => {}
        }
    }
    // It rests, and what it holds is still its owner's.
    maker.place("SELL", 200, 5);
    let kills = killer.join().unwrap();
    assert_eq!(kills, KILLS);
    let rest = (TRADES - 20) * (NOTIONAL - MAKER_FEE);
    world.request_withdrawal(1, CASH, rest);
    world.await_final(maker.last_sequence().max(taker.last_sequence()));
    let closed = venue.stop();

    let journal = venue.journal();
    maker.assert_journaled(&journal);
    taker.assert_journaled(&journal);
    venue.assert_audited(url);
    let replayed = venue.lakh(&["replay", "--json", journal.to_str().unwrap()]);
    assert_eq!(replayed["state_hash"], closed["stateHash"]);
    let engine = venue::replayed_engine(&journal);
    let owned = |account, asset| {
        let balance = engine.balance(AccountId(account), asset).unwrap();
        balance.available.raw() + balance.held.raw()
    };
    assert_eq!((owned(1, UNIT), owned(1, CASH)), (1_000 - 3 * TRADES, 0));
    assert_eq!((owned(2, UNIT), owned(2, CASH)), (3 * TRADES - 7, 10_000_000 - TRADES * (NOTIONAL + TAKER_FEE)));
    assert_eq!(owned(0, CASH), TRADES * (MAKER_FEE + TAKER_FEE));

    assert_eq!((claim_everything(&world, &venue, 1), claim_everything(&world, &venue, 2)), (2, 1));
    let paid = u128::from(20 * (NOTIONAL - MAKER_FEE) + rest);
    let tokens = vec![world.token_balance(1, CASH), world.token_balance(2, UNIT)];
    assert_eq!(tokens, [paid * CASH_SCALE, 7 * UNIT_SCALE]);
    let vault = vec![world.vault_balance(CASH), world.vault_balance(UNIT)];
    assert_eq!(vault, [(10_000_000 - paid) * CASH_SCALE, (1_000 - 7) * UNIT_SCALE]);
    world.assert_posted_once();
    let tip_root = answer::hash(&world.ask(contract::tip_root())).unwrap().to_string();
    Outcome { tip_root, tokens, vault }
}

/// Sends the calls that `lakh claims` prints, as anybody could; how many were paid. A second time none is left.
fn claim_everything(world: &World, venue: &Venue, account: u8) -> usize {
    let claims = || venue.claims(&world.url, account);
    let calls = claims();
    for call in &calls {
        world.send_from(9, world.contract, call.clone());
    }
    assert_eq!(claims(), Vec::<Vec<u8>>::new(), "claimed once");
    calls.len()
}

/// Between two looks at something that another process has to do.
const PAUSE: Duration = Duration::from_millis(50);
/// How long another process may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something to see.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
}
