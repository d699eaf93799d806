//! What has to stand before the first order: a market that a flow fits into, and funded keys.
//!
//! Two ways to the same market: as commands for an engine in this process, and as the configuration of a venue that
//! somebody else starts. The keys made here come from a seed that anybody may know: they are for tests only.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, Capacities, Command, Deposit, Epoch, FundsSource, Genesis, MarketState,
    Mode, RegisterKey,
};
use lakh_engine::ids::{AccountId, AssetId, MarketId, Reason, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use lakh_gateway::decimal;

use crate::client::Trader;
use crate::error::LoadtestError;
use crate::flow::format::FlowBounds;
use crate::market_text::MarketText;
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
        },
        role_keys: [[0; 32]; Genesis::ROLES],
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
                source: FundsSource::Genesis,
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

/// When a record of the venue's journal counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueDurability {
    /// When the disk has it.
    Sync,
    /// When the kernel has it.
    Async,
}

/// A venue for a flow or a load: one market, funded keys, limits out of the way.
#[derive(Clone, Debug)]
pub struct VenueOptions {
    /// How the market's numbers are written; tick, lot and decimals follow from it.
    pub market: MarketText,
    /// Highest price and largest quantity of an order.
    pub bounds: FlowBounds,
    /// In front of each API key; the traders are made with the same one.
    pub venue_tag: [u8; 16],
    /// Folder of the journal.
    pub journal: PathBuf,
    /// When a record counts as durable.
    pub durability: VenueDurability,
    /// Where traders connect: loopback; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where operators look: loopback, another port or 0.
    pub operators_listen: SocketAddr,
    /// Path of the operators' Unix socket.
    pub control_socket: PathBuf,
    /// Requests of each key that the venue remembers at once: its rate × (receive window + 1 s), 1 ..= 2^26 over all.
    pub digest_capacity: u32,
}

/// The configuration file for `lakh run` of a venue in which each of `traders` has an account of its own.
///
/// # Errors
/// [`LoadtestError::Options`] for a path that TOML would need escapes for, no traders, more digests than a venue can
/// hold, or prices and quantities with more than 8 decimals together.
pub fn venue_config(options: &VenueOptions, traders: &[Trader]) -> Result<String, LoadtestError> {
    let refuse = |message: &str| Err(LoadtestError::Options(message.to_owned()));
    let VenueOptions { market, bounds, digest_capacity, .. } = options;
    let quote_decimals = market.price_decimals + market.quantity_decimals;
    let digests = traders.len() as u64 * u64::from(*digest_capacity);
    if quote_decimals > AssetSpec::MAX_DECIMALS {
        return refuse("the decimals of price and quantity together must be at most 8");
    }
    if traders.is_empty() || !(1..=1 << 26).contains(&digests) {
        return refuse("there must be a trader, and 1 to 2^26 digests over all of them");
    }
    let (Some(journal), Some(control)) = (plain_path(&options.journal), plain_path(&options.control_socket)) else {
        return refuse("a path with a quote, backslash or control character");
    };
    let mut text = format!(
        "[exchange]\nmode = \"run\"\nvenue_tag = \"{}\"\n\n\
         [journal]\ndirectory = \"{journal}\"\ndurability = \"{}\"\n\n\
         [gateway]\nlisten = \"{}\"\nin_flight_per_connection = 65536\n\
         requests_per_second_per_address = 10000000\nrequest_burst_per_address = 10000000\n\
         requests_per_second_per_key = 10000000\nrequest_burst_per_key = 10000000\noutbox_messages = 262144\n\n\
         [operators]\nlisten = \"{}\"\ncontrol_socket = \"{control}\"\n\n\
         [capacities]\naccounts = {}\nassets = 2\nmarkets = 1\nkeys = {}\ndigests = {digests}\n\n",
        hex(&options.venue_tag),
        match options.durability {
            VenueDurability::Sync => "sync",
            VenueDurability::Async => "async",
        },
        options.listen,
        options.operators_listen,
        traders.len() + 1,
        traders.len(),
    );
    text += &format!(
        "[[asset]]\nsymbol = \"UNIT\"\ndecimals = {}\n\n[[asset]]\nsymbol = \"CASH\"\ndecimals = {quote_decimals}\n\n\
         [[market]]\nsymbol = \"{}\"\nbase = \"UNIT\"\nquote = \"CASH\"\ntick_size = \"{}\"\nlot_size = \"{}\"\n\
         max_price = \"{}\"\nmax_quantity = \"{}\"\nmaker_fee = \"0\"\ntaker_fee = \"0\"\nstate = \"open\"\n",
        market.quantity_decimals,
        market.symbol,
        market.price(Ticks(1)),
        market.quantity(Lots(1)),
        market.price(bounds.max_price.max(Ticks(1))),
        market.quantity(bounds.max_quantity.max(Lots(1))),
    );
    // All accounts together hold half of what a venue takes of one asset.
    let atoms = u128::from((1_u64 << 61) / traders.len() as u64);
    let [base, quote] = [market.quantity_decimals, quote_decimals].map(|decimals| {
        let mut amount = Vec::new();
        decimal::write(atoms, decimals, &mut amount);
        String::from_utf8(amount).expect("digits and a point")
    });
    for trader in traders {
        text += &format!(
            "\n[[genesis.account]]\npublic_keys = [\"{}\"]\n\
             balances = {{ UNIT = \"{base}\", CASH = \"{quote}\" }}\ndigest_capacity = {digest_capacity}\n",
            hex(&trader.public_key()),
        );
    }
    Ok(text)
}

/// The path as it can stand between quotes in TOML.
fn plain_path(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| !text.contains(['"', '\\']) && !text.contains(char::is_control))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

    fn venue_options() -> VenueOptions {
        VenueOptions {
            market: MarketText::cents_and_units("UNITCASH"),
            bounds: FlowBounds { commands: 1, max_price: Ticks(200_000), max_quantity: Lots(33_570) },
            venue_tag: [0xab; 16],
            journal: PathBuf::from("journal"),
            durability: VenueDurability::Async,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            operators_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control_socket: PathBuf::from("lakh.sock"),
            digest_capacity: 1_000,
        }
    }

    #[test]
    fn a_venue_file_says_what_the_options_say() {
        let traders = Trader::from_seed(1, 2, Some([0xab; 16]));
        let text = venue_config(&venue_options(), &traders).unwrap();
        let lines = [
            "tick_size = \"0.01\"",
            "lot_size = \"1\"",
            "max_price = \"2000.00\"",
            "max_quantity = \"33570\"",
            "durability = \"async\"",
            "digests = 2000",
            "accounts = 3",
            "balances = { UNIT = \"1152921504606846976\", CASH = \"11529215046068469.76\" }",
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        for trader in &traders {
            assert!(trader.api_key().starts_with(&"ab".repeat(16)));
            assert!(text.contains(&trader.api_key()[32..]));
        }
    }

    #[test]
    fn impossible_venues_are_refused() {
        let traders = Trader::from_seed(1, 2, None);
        assert!(venue_config(&venue_options(), &[]).is_err());
        let fine = MarketText { price_decimals: 8, quantity_decimals: 1, ..venue_options().market };
        for options in [
            VenueOptions { digest_capacity: 1 << 26, ..venue_options() },
            VenueOptions { digest_capacity: 0, ..venue_options() },
            VenueOptions { journal: PathBuf::from("a\"b"), ..venue_options() },
            VenueOptions { market: fine, ..venue_options() },
        ] {
            assert!(matches!(venue_config(&options, &traders), Err(LoadtestError::Options(_))), "{options:?}");
        }
    }
}
