//! A small venue for tests: one market, three keys, a time, and frames signed by them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod bench;
pub(crate) mod exchange;
pub(crate) mod venue;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use lakh_engine::command::{MarketState, Mode};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, Reason, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use lakh_gateway::auth::api_key;
use lakh_gateway::directory::Directory;
use serde_json::Value;

pub(crate) const VENUE_TAG: [u8; 16] = *b"tag of the venue";

/// The private key of test 1 of RFC 8032: a throw-away that everybody knows.
pub(crate) const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&SEED)
}

pub(crate) fn api_key_of(key: &SigningKey) -> String {
    api_key(VENUE_TAG, key.verifying_key().as_bytes())
}

pub(crate) fn asset(number: u16, symbol: &str) -> AssetSpec {
    let symbol = Symbol::new(symbol).unwrap();
    AssetSpec { asset: AssetId(number), symbol, decimals: 8, chain_units_per_atom: 1 }
}

/// BTCUSDT of assets 0 and 1, with a tick of 0.01 and a lot of 0.00001.
pub(crate) fn market() -> MarketSpec {
    MarketSpec {
        market: MarketId(0),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        base: AssetId(0),
        quote: AssetId(1),
        tick_size_e8: 1_000_000,
        base_atoms_per_lot: 1_000,
        quote_atoms_per_tick_lot: 10,
        max_price: Ticks(100_000_000),
        min_quantity: Lots(1),
        max_quantity: Lots(10_000_000),
        min_notional: Atoms(1),
        market_order_band: 50_000,
        maker_fee: FeeRate(0),
        taker_fee: FeeRate(100),
        max_orders: 1_000,
        max_levels: 1_000,
    }
}

/// [`market`], open; account 5 trades with key 3.
pub(crate) fn directory(mode: Mode) -> Arc<Directory> {
    let directory = Directory::new(VENUE_TAG, mode);
    let spec = market();
    spec.validate(&asset(0, "BTC"), &asset(1, "USDT")).unwrap();
    directory.apply(&Event::AssetListed(asset(0, "BTC")));
    directory.apply(&Event::AssetListed(asset(1, "USDT")));
    directory.apply(&Event::MarketListed(spec));
    let reason = Reason::new("test").unwrap();
    directory.apply(&Event::MarketStateChanged {
        market: MarketId(0),
        state: MarketState::Open,
        reason,
        feed_sequence: 1,
    });
    register(&directory, KeyId(3), AccountId(5), signing_key().verifying_key().as_bytes());
    Arc::new(directory)
}

pub(crate) fn register(directory: &Directory, key: KeyId, account: AccountId, public_key: &[u8; 32]) {
    let expires_at = Timestamp::ZERO;
    directory.apply(&Event::KeyRegistered { key, account, public_key: *public_key, expires_at });
    directory.apply(&Event::KeyActivated { key });
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_nanos()).unwrap())
}

/// A frame of the API as JSON.
pub(crate) fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// Numbers from a seed, printed by who uses it: SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}
