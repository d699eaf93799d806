//! What every session has to know: markets by name, trading keys by public key. A read model fed by events only.
//!
//! The publisher applies the events; sessions and verifiers look things up. Changes are rare, look-ups are not, so one
//! reader-writer lock is enough; the matching thread never touches it. Bounded by the engine's own tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lakh_engine::command::{DisconnectMode, MarketState, Mode, SettlementBinding};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, FeeTier, KeyId, MarketId};
use lakh_engine::market_spec::{AssetSpec, FeeRates, FeeTable, MarketSpec};
use lakh_engine::units::{Lots, Ticks, Timestamp};
use lakh_engine::wire::{DecodeError, Wire, wire_struct};
use parking_lot::RwLock;

use crate::auth::native::SigningDomain;
use crate::decimal::{self, DecimalError};
use crate::finality::ChainProgress;
use crate::saved::{put_each, saved_enum, sorted, take_each};

saved_enum!(KeyStatus { Pending, Live, Ended });
wire_struct!(KeyEntry { key, account, expires_at, status, bound_to });
use crate::key_budgets::LiveOrders;

/// Markets, assets and keys.
#[derive(Debug)]
pub struct Directory {
    venue_tag: [u8; 16],
    mode: Mode,
    domain: SigningDomain,
    state: RwLock<State>,
    live_orders: LiveOrders,
    chain: ChainProgress,
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
    /// Owners' sub-accounts in the order in which they were opened.
    families: HashMap<AccountId, Vec<AccountId>>,
    /// The owner's account of each sub-account.
    owners: HashMap<AccountId, AccountId>,
    /// Owners' accounts that are not in the first tier, or were not always.
    tiers: HashMap<AccountId, FeeTier>,
}

/// What a directory knows, read from a snapshot.
pub(crate) struct DirectoryContents(State);

impl DirectoryContents {
    /// How many markets.
    pub(crate) fn market_count(&self) -> usize {
        self.0.markets.len()
    }
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
    /// What each tier pays; tier 0 is in the specification too.
    pub fees: FeeTable,
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
    /// The only one of its owner's accounts that it may speak for; `None` for all of them.
    pub bound_to: Option<AccountId>,
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
        Self {
            venue_tag,
            mode,
            domain,
            state: RwLock::default(),
            live_orders: LiveOrders::default(),
            chain: ChainProgress::default(),
        }
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

    /// How many live orders each account has.
    pub const fn live_orders(&self) -> &LiveOrders {
        &self.live_orders
    }

    /// Which batches the settlement chain has.
    pub const fn chain(&self) -> &ChainProgress {
        &self.chain
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
                    entry.fees = *fees;
                });
            }
            Event::FeeTierChanged { account, tier } => {
                self.state.write().tiers.insert(*account, *tier);
            }
            Event::PriceBandChanged { market, band } => {
                self.state.write().change_market(*market, |entry| entry.price_band = *band);
            }
            Event::KeyRegistered { key, account, public_key, expires_at } => {
                let (key, account, expires_at) = (*key, *account, *expires_at);
                let entry = KeyEntry { key, account, expires_at, status: KeyStatus::Pending, bound_to: None };
                let mut state = self.state.write();
                state.keys.insert(*public_key, entry);
                state.public_keys.insert(key, *public_key);
            }
            Event::KeyActivated { key } => self.state.write().change_key(*key, |key| key.status = KeyStatus::Live),
            Event::KeyEnded { key, .. } => self.state.write().change_key(*key, |key| key.status = KeyStatus::Ended),
            Event::KeyNarrowed { key, scope } => {
                self.state.write().change_key(*key, |key| key.bound_to = scope.account);
            }
            Event::SubAccountOpened { account, parent } => {
                self.state.write().add_sub_account(*account, *parent);
                self.live_orders.join(*account, *parent);
            }
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

    /// Appends all of it, for a snapshot.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let state = self.state.read();
        let State {
            assets,
            markets,
            keys,
            cancel_on_disconnect,
            families,
            tiers,
            by_symbol: _,
            public_keys: _,
            owners: _,
        } = &*state;
        put_each(assets.iter(), out, Wire::encode);
        put_each(markets.iter(), out, |market, out| {
            (market.spec, (market.state, market.price_band)).encode(out);
            market.fees.encode(out);
        });
        put_each(sorted(keys).into_iter(), out, |(public_key, key), out| (public_key, *key).encode(out));
        let mut departing: Vec<AccountId> = cancel_on_disconnect.iter().copied().collect();
        departing.sort_unstable();
        put_each(departing.into_iter(), out, |account, out| account.encode(out));
        put_each(sorted(families).into_iter(), out, |(owner, accounts), out| {
            owner.encode(out);
            put_each(accounts.iter(), out, Wire::encode);
        });
        put_each(sorted(tiers).into_iter(), out, |(account, tier), out| (account, *tier).encode(out));
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(input: &mut &[u8]) -> Result<DirectoryContents, DecodeError> {
        let mut state = State { assets: take_each(input, Wire::decode)?, ..State::default() };
        let market =
            |input: &mut &[u8]| Ok((<(MarketSpec, (MarketState, u32))>::decode(input)?, FeeTable::decode(input)?));
        for ((spec, (market_state, price_band)), fees) in take_each(input, market)? {
            let listed = |asset: AssetId| usize::from(asset.0) < state.assets.len();
            if usize::from(spec.market.0) != state.markets.len() || !listed(spec.base) || !listed(spec.quote) {
                return Err(DecodeError::BadValue);
            }
            state.list_market(&spec);
            state.change_market(spec.market, |entry| {
                (entry.state, entry.price_band, entry.fees) = (market_state, price_band, fees);
            });
        }
        for (public_key, key) in take_each(input, <([u8; 32], KeyEntry)>::decode)? {
            state.keys.insert(public_key, key);
            state.public_keys.insert(key.key, public_key);
        }
        state.cancel_on_disconnect.extend(take_each(input, AccountId::decode)?);
        let families = take_each(input, |input| Ok((AccountId::decode(input)?, take_each(input, AccountId::decode)?)))?;
        for (owner, accounts) in families {
            accounts.into_iter().for_each(|account| state.add_sub_account(account, owner));
        }
        state.tiers.extend(take_each(input, <(AccountId, FeeTier)>::decode)?);
        Ok(DirectoryContents(state))
    }

    /// Knows from here on exactly what was read.
    pub(crate) fn replace(&self, contents: DirectoryContents) {
        for (account, owner) in &contents.0.owners {
            self.live_orders.join(*account, *owner);
        }
        *self.state.write() = contents.0;
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

    /// The owner's account of a sub-account; `None` for every other account.
    pub fn owner_of(&self, account: AccountId) -> Option<AccountId> {
        self.state.read().owners.get(&account).copied()
    }

    /// The account's fee tier, which is its owner's.
    pub fn fee_tier(&self, account: AccountId) -> FeeTier {
        let state = self.state.read();
        let owner = state.owners.get(&account).unwrap_or(&account);
        state.tiers.get(owner).copied().unwrap_or_default()
    }

    /// The owner's sub-accounts, first opened first: as many as the engine lets one owner have.
    pub fn sub_accounts(&self, owner: AccountId) -> Vec<AccountId> {
        self.state.read().families.get(&owner).cloned().unwrap_or_default()
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
            fees: FeeTable::flat(spec.maker_fee, spec.taker_fee),
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

    fn change_key(&mut self, key: KeyId, change: impl FnOnce(&mut KeyEntry)) {
        if let Some(public_key) = self.public_keys.get(&key)
            && let Some(entry) = self.keys.get_mut(public_key)
        {
            change(entry);
        }
    }

    fn add_sub_account(&mut self, account: AccountId, owner: AccountId) {
        self.families.entry(owner).or_default().push(account);
        self.owners.insert(account, owner);
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
