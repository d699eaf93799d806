//! What every session has to know: markets by name, trading keys by public key. A read model fed by events only.
//!
//! The publisher applies the events; sessions and verifiers look things up. Changes are rare, look-ups are not, so one
//! reader-writer lock is enough; the matching thread never touches it. Bounded by the engine's own tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lakh_engine::command::{DisconnectMode, MarketState, Mode, SettlementBinding};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, FeeTier, KeyId, MarketId};
use lakh_engine::market_spec::{AssetSpec, FeeRates, MarketSpec};
use lakh_engine::units::{Lots, Ticks, Timestamp};
use parking_lot::RwLock;

use crate::auth::native::SigningDomain;
use crate::decimal::{self, DecimalError};

/// Markets, assets and keys.
#[derive(Debug)]
pub struct Directory {
    venue_tag: [u8; 16],
    mode: Mode,
    domain: SigningDomain,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    assets: Vec<AssetSpec>,
    markets: Vec<Arc<MarketEntry>>,
    by_symbol: HashMap<String, MarketId>,
    keys: HashMap<[u8; 32], KeyEntry>,
    public_keys: HashMap<KeyId, [u8; 32]>,
    /// Accounts whose orders go with their last session.
    cancel_on_disconnect: HashSet<AccountId>,
}

/// A market with all that is needed to read and write its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketEntry {
    /// The market.
    pub spec: MarketSpec,
    /// Its base asset.
    pub base: AssetSpec,
    /// Its quote asset.
    pub quote: AssetSpec,
    /// Its state.
    pub state: MarketState,
    /// How far an order's price may be from the market's, in millionths; 0 for any price.
    pub price_band: u32,
    /// Decimals of a price.
    pub price_decimals: u8,
    /// Decimals of a quantity.
    pub quantity_decimals: u8,
}

/// A trading key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its number.
    pub key: KeyId,
    /// The account that it may trade for.
    pub account: AccountId,
    /// When it ends; 0 for never.
    pub expires_at: Timestamp,
    /// How far it has come.
    pub status: KeyStatus,
}

/// How far a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Registered, has not signed for itself.
    Pending,
    /// May trade.
    Live,
    /// Revoked or expired.
    Ended,
}

impl Directory {
    /// An empty directory of the venue with this tag, which has no settlement contract.
    pub fn new(venue_tag: [u8; 16], mode: Mode) -> Self {
        Self::bound(venue_tag, mode, SettlementBinding::NONE)
    }

    /// An empty directory of the venue with this tag, whose money is in this contract.
    pub fn bound(venue_tag: [u8; 16], mode: Mode, settlement: SettlementBinding) -> Self {
        let domain = SigningDomain::new(settlement, venue_tag);
        Self { venue_tag, mode, domain, state: RwLock::default() }
    }

    /// What the signatures of the binary face are bound to.
    pub const fn signing_domain(&self) -> &SigningDomain {
        &self.domain
    }

    /// The venue's tag, which stands in front of each api key.
    pub const fn venue_tag(&self) -> [u8; 16] {
        self.venue_tag
    }

    /// Demonstration or real.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Takes in what an event says of markets, assets and keys.
    pub fn apply(&self, event: &Event) {
        match event {
            Event::AssetListed(spec) => self.state.write().assets.push(*spec),
            Event::MarketListed(spec) => self.state.write().list_market(spec),
            Event::MarketStateChanged { market, state, .. } => {
                self.state.write().change_market(*market, |entry| entry.state = *state);
            }
            Event::FeesChanged { market, fees } => {
                let FeeRates { maker, taker } = fees.of(FeeTier(0));
                self.state.write().change_market(*market, |entry| {
                    entry.spec.maker_fee = maker;
                    entry.spec.taker_fee = taker;
                });
            }
            Event::PriceBandChanged { market, band } => {
                self.state.write().change_market(*market, |entry| entry.price_band = *band);
            }
            Event::KeyRegistered { key, account, public_key, expires_at } => {
                let entry =
                    KeyEntry { key: *key, account: *account, expires_at: *expires_at, status: KeyStatus::Pending };
                let mut state = self.state.write();
                state.keys.insert(*public_key, entry);
                state.public_keys.insert(*key, *public_key);
            }
            Event::KeyActivated { key } => self.state.write().change_key(*key, KeyStatus::Live),
            Event::KeyEnded { key, .. } => self.state.write().change_key(*key, KeyStatus::Ended),
            Event::DisconnectModeChanged { account, mode } => {
                let accounts = &mut self.state.write().cancel_on_disconnect;
                match mode {
                    DisconnectMode::CancelAll => accounts.insert(*account),
                    DisconnectMode::Keep => accounts.remove(account),
                };
            }
            _ => {}
        }
    }

    /// The market with this name, which is case-sensitive.
    pub fn market_by_symbol(&self, symbol: &str) -> Option<Arc<MarketEntry>> {
        let state = self.state.read();
        let market = state.by_symbol.get(symbol)?;
        state.markets.get(usize::from(market.0)).cloned()
    }

    /// The market with this number.
    pub fn market(&self, market: MarketId) -> Option<Arc<MarketEntry>> {
        self.state.read().markets.get(usize::from(market.0)).cloned()
    }

    /// All markets, in the order of their numbers.
    pub fn markets(&self) -> Vec<Arc<MarketEntry>> {
        self.state.read().markets.clone()
    }

    /// The asset with this number.
    pub fn asset(&self, asset: AssetId) -> Option<AssetSpec> {
        self.state.read().assets.get(usize::from(asset.0)).copied()
    }

    /// All assets, in the order of their numbers.
    pub fn assets(&self) -> Vec<AssetSpec> {
        self.state.read().assets.clone()
    }

    /// The key with these bytes.
    pub fn key(&self, public_key: &[u8; 32]) -> Option<KeyEntry> {
        self.state.read().keys.get(public_key).copied()
    }

    /// Whether the account's orders are to go when its last session ends.
    pub fn cancels_on_disconnect(&self, account: AccountId) -> bool {
        self.state.read().cancel_on_disconnect.contains(&account)
    }

    /// The bytes of the key with this number.
    pub fn public_key(&self, key: KeyId) -> Option<[u8; 32]> {
        self.state.read().public_keys.get(&key).copied()
    }
}

impl State {
    fn list_market(&mut self, spec: &MarketSpec) {
        let asset = |asset: AssetId| self.assets.get(usize::from(asset.0)).copied();
        let (Some(base), Some(quote)) = (asset(spec.base), asset(spec.quote)) else {
            unreachable!("the engine lists a market only after its assets");
        };
        let entry = MarketEntry {
            spec: *spec,
            base,
            quote,
            state: MarketState::PreOpen,
            price_band: 0,
            price_decimals: 8 - trailing_zeroes(spec.tick_size_e8, 8),
            quantity_decimals: base.decimals - trailing_zeroes(spec.base_atoms_per_lot, base.decimals),
        };
        self.by_symbol.insert(spec.symbol.as_str().to_owned(), spec.market);
        self.markets.push(Arc::new(entry));
    }

    fn change_market(&mut self, market: MarketId, change: impl FnOnce(&mut MarketEntry)) {
        if let Some(entry) = self.markets.get_mut(usize::from(market.0)) {
            change(Arc::make_mut(entry));
        }
    }

    fn change_key(&mut self, key: KeyId, status: KeyStatus) {
        if let Some(public_key) = self.public_keys.get(&key)
            && let Some(entry) = self.keys.get_mut(public_key)
        {
            entry.status = status;
        }
    }
}

/// Decimal zeroes at the end of `number`, at most `most`.
fn trailing_zeroes(mut number: u64, most: u8) -> u8 {
    let mut zeroes = 0;
    while zeroes < most && number.is_multiple_of(10) {
        number /= 10;
        zeroes += 1;
    }
    zeroes
}

impl MarketEntry {
    /// Reads a price; it must be a whole number of ticks.
    ///
    /// # Errors
    /// [`DecimalError::TooPrecise`] between two ticks, and what [`decimal::parse`] refuses.
    pub fn parse_price(&self, text: &str) -> Result<Ticks, DecimalError> {
        whole_multiple(decimal::parse(text, 8)?, self.spec.tick_size_e8).map(Ticks)
    }

    /// Reads a quantity; it must be a whole number of lots.
    ///
    /// # Errors
    /// [`DecimalError::TooPrecise`] between two lots, and what [`decimal::parse`] refuses.
    pub fn parse_quantity(&self, text: &str) -> Result<Lots, DecimalError> {
        whole_multiple(decimal::parse(text, self.base.decimals)?, self.spec.base_atoms_per_lot).map(Lots)
    }

    /// Appends a price with the market's decimals.
    pub fn write_price(&self, price: Ticks, out: &mut Vec<u8>) {
        // The tick size is a whole number of last places, so that is divided and not the price.
        let places_per_tick = self.spec.tick_size_e8 / 10_u64.pow(u32::from(8 - self.price_decimals));
        decimal::write(u128::from(price.0) * u128::from(places_per_tick), self.price_decimals, out);
    }

    /// Appends a quantity with the market's decimals.
    pub fn write_quantity(&self, quantity: Lots, out: &mut Vec<u8>) {
        let places_per_lot =
            self.spec.base_atoms_per_lot / 10_u64.pow(u32::from(self.base.decimals - self.quantity_decimals));
        decimal::write(u128::from(quantity.0) * u128::from(places_per_lot), self.quantity_decimals, out);
    }
}

/// `value` / `unit`, if that is whole.
fn whole_multiple(value: u64, unit: u64) -> Result<u64, DecimalError> {
    if value.is_multiple_of(unit) { Ok(value / unit) } else { Err(DecimalError::TooPrecise) }
}
