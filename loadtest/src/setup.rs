//! What has to stand before a flow's first order: a market that it fits into, and funded keys.
//!
//! Here as commands for an engine in this process; [`crate::scratch_venue`] has the same market as the configuration of
//! a process. The keys made here come from a seed that anybody may know: they are for tests only.

use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, Capacities, Command, Deposit, Epoch, Genesis, MarketState, Mode,
    RegisterKey, SettlementBinding,
};
use lakh_engine::ids::{AccountId, AssetId, MarketId, Reason, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

use crate::flow::format::FlowBounds;
use crate::random::SplitMix64;

/// Accounts that a flow's orders are spread over, because one account may hold only so many open orders at once.
pub const FLOW_ACCOUNTS: u32 = 8;
/// The market of a flow.
pub const FLOW_MARKET: MarketId = MarketId(0);
/// Resting orders and levels that a flow's book has room for: what the accounts together may hold.
const FLOW_BOOK_ORDERS: u32 = FLOW_ACCOUNTS * 4_096;
/// What each account gets of each asset. All accounts together stay below 2^62.
const FLOW_DEPOSIT: Atoms = Atoms(1 << 59);
const BASE: AssetId = AssetId(0);
const QUOTE: AssetId = AssetId(1);

/// The commands that make an empty engine into one with an open market for a flow within `bounds`: one quote atom a
/// tick and lot, no fees, [`FLOW_ACCOUNTS`] funded accounts, account `n` trading with key `n`.
pub fn flow_genesis(bounds: &FlowBounds) -> Vec<Command> {
    let mut commands = vec![Command::Genesis(Genesis {
        exchange_id: *b"lakh-flow-check.",
        venue_tag: [0; 16],
        mode: Mode::Dev,
        hash_seed: 0x1a4b,
        capacities: Capacities {
            accounts: FLOW_ACCOUNTS + 1,
            assets: 2,
            markets: 1,
            keys: FLOW_ACCOUNTS,
            digests: FLOW_ACCOUNTS,
            agenda: 64,
            digests_per_key: 1,
        },
        role_keys: [[0; 32]; Genesis::ROLES],
        fee_notice_s: 0,
        share_parts: 1,
        settlement: SettlementBinding::NONE,
    })];
    commands.push(admin(AdminAction::ListAsset(asset(BASE, "UNIT"))));
    commands.push(admin(AdminAction::ListAsset(asset(QUOTE, "CASH"))));
    commands.push(admin(AdminAction::ListMarket(flow_market(bounds))));
    for account in 1..=FLOW_ACCOUNTS {
        for asset in [BASE, QUOTE] {
            commands.push(Command::Deposit(Deposit {
                account: AccountId(account),
                owner: owner(account),
                asset,
                amount: FLOW_DEPOSIT,
            }));
        }
    }
    for account in 1..=FLOW_ACCOUNTS {
        commands.push(admin(AdminAction::RegisterKey(RegisterKey {
            account: AccountId(account),
            public_key: SplitMix64::stream(0xf10c, u64::from(account)).bytes_32(),
            epoch: 1,
            expires_at: Timestamp(0),
            digest_capacity: 1,
        })));
    }
    commands.push(admin(AdminAction::SetMarketState { market: FLOW_MARKET, state: MarketState::Open }));
    commands.push(Command::Epoch(Epoch { epoch: 1, software: reason("flow check") }));
    commands
}

/// The market of a flow: its bounds are the flow's own, so that long prices and large quantities both fit as far as
/// their product does.
fn flow_market(bounds: &FlowBounds) -> MarketSpec {
    MarketSpec {
        market: FLOW_MARKET,
        symbol: symbol("UNITCASH"),
        base: BASE,
        quote: QUOTE,
        // One quote unit a tick; neither asset has decimals, so a lot at a tick is one quote atom.
        tick_size_e8: 100_000_000,
        base_atoms_per_lot: 1,
        quote_atoms_per_tick_lot: 1,
        max_price: bounds.max_price.max(Ticks(1)),
        min_quantity: Lots(1),
        max_quantity: bounds.max_quantity.max(Lots(1)),
        min_notional: Atoms(1),
        market_order_band: 100_000,
        maker_fee: FeeRate(0),
        taker_fee: FeeRate(0),
        max_orders: FLOW_BOOK_ORDERS,
        max_levels: FLOW_BOOK_ORDERS,
    }
}

fn asset(asset: AssetId, name: &str) -> AssetSpec {
    AssetSpec { asset, symbol: symbol(name), decimals: 0, chain_units_per_atom: 1 }
}

fn admin(action: AdminAction) -> Command {
    Command::Admin(AdminCommand { authority: AdminAuthority::Genesis, action, reason: reason("flow check") })
}

fn owner(account: u32) -> [u8; 20] {
    let mut owner = [0; 20];
    owner[16..].copy_from_slice(&account.to_be_bytes());
    owner
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).expect("a short constant")
}

fn reason(text: &str) -> Reason {
    Reason::new(text).expect("a short constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flow_market_is_valid_for_large_prices_and_for_large_quantities() {
        let (base, quote) = (asset(BASE, "UNIT"), asset(QUOTE, "CASH"));
        let cases = [
            (FlowBounds::default(), true),
            (FlowBounds { commands: 1, max_price: Ticks(1 << 31), max_quantity: Lots((1 << 28) - 1) }, true),
            // A coin at 70,000.00 in lots of 1e-8: a thousand coins fit, ten million do not.
            (FlowBounds { commands: 1, max_price: Ticks(7_000_000), max_quantity: Lots(10_u64.pow(10)) }, true),
            (FlowBounds { commands: 1, max_price: Ticks(7_000_000), max_quantity: Lots(10_u64.pow(15)) }, false),
        ];
        for (bounds, fits) in cases {
            assert_eq!(flow_market(&bounds).validate(&base, &quote).is_ok(), fits, "{bounds:?}");
        }
    }
}
