//! The venue itself: set-up, sequence, time and nonces.

use std::borrow::Borrow;

use lakh_engine::Engine;
use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, AmendMode, AmendOrder, BatchSealed, CancelAll, CancelOrder,
    CancelRestriction, Capacities, ChainEntry, ChainEntryKind, Command, Deposit, Epoch, EvidenceGrade, FrameCommand,
    FrameOperation, Genesis, MarketState, Mode, Operation, OrderReference, OrderType, PlaceOrder, RegisterKey,
    ReplaceMode, ReplaceOrder, ReplayGuard, SelfTradeMode, SettlementBinding, Side, SignedCommand, TimeInForce,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, ClientId, KeyId, MarketId, OrderId, Reason, Sequence, Symbol};
use lakh_engine::market_spec::{AssetSpec, FeeTable, MarketSpec};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

use super::Draft;
use super::{BTC, BTCUSD, ETH, ETHUSD, USD};

/// When every venue starts: far enough from 0 that windows can lie in the past.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000_000_000);
/// One second in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// The operator's key that every venue has, as role 0.
pub(crate) const OPERATOR: [u8; 32] = [0xa0; 32];

/// The contract that every venue is bound to.
pub(crate) const SETTLEMENT: SettlementBinding = SettlementBinding { chain_id: 31_337, contract: [0xc0; 20] };

/// What a venue is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Traders, numbered from 1; each has the key of the same number.
    pub(crate) traders: u32,
    /// What each trader gets of each asset; 0 for nothing.
    pub(crate) deposit: u64,
    /// Room of each book.
    pub(crate) max_orders: u32,
    /// Room of each side of a book.
    pub(crate) max_levels: u32,
    /// Bounds of the tables.
    pub(crate) capacities: Capacities,
    /// Requests by digest that each trader's key may have outstanding.
    pub(crate) digest_capacity: u32,
    /// Notice before a fee rises, in seconds.
    pub(crate) fee_notice_s: u32,
    /// Nobody holds more than one part in so many of a shared table.
    pub(crate) share_parts: u16,
    /// Operators' roles that the genesis names.
    pub(crate) roles: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            traders: 3,
            deposit: 1_000_000_000,
            max_orders: 64,
            max_levels: 32,
            capacities: Capacities {
                accounts: 8,
                assets: 4,
                markets: 3,
                keys: 12,
                digests: 256,
                agenda: 4,
                digests_per_key: 2,
            },
            digest_capacity: 8,
            fee_notice_s: 0,
            share_parts: 1,
            roles: 1,
        }
    }
}

/// See the module of the same name.
#[derive(Debug)]
pub(crate) struct Venue {
    /// The engine.
    pub(crate) engine: Engine,
    /// The time of the next command.
    pub(crate) now: Timestamp,
    /// Everything that was applied, from sequence 1 on.
    pub(crate) journal: Vec<(Timestamp, Command)>,
    role_nonces: [u64; 2],
    events: Vec<Event>,
}

/// The assets that every venue lists.
pub(crate) fn assets() -> [AssetSpec; 3] {
    [(BTC, "BTC"), (USD, "USD"), (ETH, "ETH")].map(|(asset, symbol)| AssetSpec {
        asset,
        symbol: Symbol::new(symbol).expect("short"),
        decimals: 2,
        chain_units_per_atom: 1,
    })
}

/// The markets that every venue lists.
pub(crate) fn markets(options: &Options) -> [MarketSpec; 2] {
    let first = MarketSpec {
        market: BTCUSD,
        symbol: Symbol::new("BTCUSD").expect("short"),
        base: BTC,
        quote: USD,
        tick_size_e8: 100_000_000,
        base_atoms_per_lot: 1,
        quote_atoms_per_tick_lot: 1,
        max_price: Ticks(100_000),
        min_quantity: Lots(1),
        max_quantity: Lots(10_000),
        min_notional: Atoms(10),
        market_order_band: 50_000,
        maker_fee: FeeRate(10_000),
        taker_fee: FeeRate(20_000),
        max_orders: options.max_orders,
        max_levels: options.max_levels,
    };
    let second = MarketSpec {
        market: ETHUSD,
        symbol: Symbol::new("ETHUSD").expect("short"),
        base: ETH,
        tick_size_e8: 200_000_000,
        base_atoms_per_lot: 5,
        quote_atoms_per_tick_lot: 10,
        min_quantity: Lots(2),
        maker_fee: FeeRate(-1_000),
        taker_fee: FeeRate(1_500),
        ..first
    };
    [first, second]
}

/// The genesis of every venue.
pub(crate) fn genesis(capacities: Capacities) -> Genesis {
    let mut role_keys = [[0; 32]; Genesis::ROLES];
    role_keys[0] = OPERATOR;
    Genesis {
        exchange_id: [7; 16],
        venue_tag: SETTLEMENT.venue_tag(),
        mode: Mode::Dev,
        hash_seed: 0x5eed,
        capacities,
        role_keys,
        fee_notice_s: 0,
        share_parts: 1,
        settlement: SETTLEMENT,
    }
}

impl Venue {
    /// A venue with both markets open, its genesis phase over.
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    /// A venue with both markets open, its genesis phase over.
    pub(crate) fn with(options: Options) -> Self {
        let mut venue = Self::in_genesis(options);
        for market in [BTCUSD, ETHUSD] {
            venue.genesis_admin(AdminAction::SetMarketState { market, state: MarketState::Open });
        }
        venue.must(Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }));
        venue
    }

    /// A venue before its first epoch: assets, markets (not open), traders and their keys are there.
    pub(crate) fn in_genesis(options: Options) -> Self {
        let mut venue = Self::bare();
        let mut genesis = genesis(options.capacities);
        (genesis.fee_notice_s, genesis.share_parts) = (options.fee_notice_s, options.share_parts);
        for role in 0..options.roles {
            genesis.role_keys[usize::from(role)] = [OPERATOR[0] + role; 32];
        }
        venue.must(Command::Genesis(genesis));
        assets().iter().for_each(|spec| venue.genesis_admin(AdminAction::ListAsset(*spec)));
        markets(&options).iter().for_each(|spec| venue.genesis_admin(AdminAction::ListMarket(*spec)));
        for trader in 1..=options.traders {
            let account = AccountId(trader);
            for asset in [BTC, USD, ETH] {
                // One atom opens the account where the trader is to have nothing.
                let amount = Atoms(if asset == ETH { options.deposit.max(1) } else { options.deposit });
                if amount != Atoms::ZERO {
                    venue.must(Command::Deposit(Deposit { account, owner: owner(account), asset, amount }));
                }
            }
            venue.genesis_admin(AdminAction::RegisterKey(RegisterKey {
                account,
                public_key: public_key(trader),
                epoch: 1,
                expires_at: Timestamp::ZERO,
                digest_capacity: options.digest_capacity,
            }));
        }
        venue
    }

    /// An engine without a genesis.
    pub(crate) fn bare() -> Self {
        Self {
            engine: Engine::new(),
            now: START,
            journal: Vec::new(),
            role_nonces: [0; 2],
            events: Vec::with_capacity(Engine::MAX_EVENTS),
        }
    }

    /// Applies a command now, whatever comes of it.
    pub(crate) fn apply(&mut self, command: impl Borrow<Command>) -> Vec<Event> {
        let command = command.borrow();
        let sequence = Sequence(self.engine.sequence().0 + 1);
        self.journal.push((self.now, command.clone()));
        self.engine.apply(sequence, self.now, command, &mut self.events);
        self.events.clone()
    }

    /// What the last command caused.
    pub(crate) fn last_events(&self) -> &[Event] {
        &self.events
    }

    /// Applies a command that must not be refused.
    pub(crate) fn must(&mut self, command: impl Borrow<Command>) -> Vec<Event> {
        let command = command.borrow();
        let events = self.apply(command);
        assert_eq!(rejection(&events), None, "{command:?}");
        events
    }

    /// Continues until the agenda is empty.
    pub(crate) fn drain(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        for _ in 0..100 {
            if !self.engine.agenda_pending() {
                return all;
            }
            all.extend(self.must(Command::Continue));
        }
        panic!("an agenda comes to its end");
    }

    /// Lets time pass; nothing is told to the engine before the next command.
    pub(crate) fn wait(&mut self, nanoseconds: u64) {
        self.now.0 += nanoseconds;
    }

    /// An operator's decision in the genesis phase, which must be taken.
    pub(crate) fn genesis_admin(&mut self, action: AdminAction) {
        let reason = Reason::EMPTY;
        self.must(Command::Admin(AdminCommand { authority: AdminAuthority::Genesis, action, reason }));
    }

    /// An operator's decision, signed by role 0 with its next nonce.
    pub(crate) fn admin(&mut self, action: AdminAction) -> Vec<Event> {
        self.role_nonces[0] += 1;
        let authority = AdminAuthority::Role { role: 0, nonce: self.role_nonces[0] };
        self.decide(authority, action)
    }

    /// An operator's decision that must be taken.
    pub(crate) fn must_admin(&mut self, action: AdminAction) {
        let events = self.admin(action);
        assert_eq!(rejection(&events), None, "{action:?}");
    }

    /// Two operators' decision, signed by the roles 0 and 1 with their next nonces.
    pub(crate) fn admin_by_two(&mut self, action: AdminAction) -> Vec<Event> {
        self.role_nonces = self.role_nonces.map(|nonce| nonce + 1);
        let [nonce, second_nonce] = self.role_nonces;
        self.decide(AdminAuthority::TwoRoles { role: 0, nonce, second_role: 1, second_nonce }, action)
    }

    /// A decision on anybody's word.
    pub(crate) fn decide(&mut self, authority: AdminAuthority, action: AdminAction) -> Vec<Event> {
        let reason = Reason::new("test").expect("short");
        self.apply(Command::Admin(AdminCommand { authority, action, reason }))
    }

    /// Sets a market's state.
    pub(crate) fn set_state(&mut self, market: MarketId, state: MarketState) {
        let events = self.admin(AdminAction::SetMarketState { market, state });
        assert_eq!(rejection(&events), None);
    }

    /// Sets a market's fees.
    pub(crate) fn set_fees(&mut self, market: MarketId, maker_fee: i32, taker_fee: i32) -> Vec<Event> {
        self.admin(AdminAction::SetFees { market, fees: FeeTable::flat(FeeRate(maker_fee), FeeRate(taker_fee)) })
    }

    /// Registers one more key for the account and tells its number, if it was taken.
    pub(crate) fn register_key(&mut self, registration: RegisterKey) -> Result<KeyId, RejectCode> {
        let events = self.admin(AdminAction::RegisterKey(registration));
        match events.first() {
            Some(Event::KeyRegistered { key, .. }) => Ok(*key),
            _ => Err(rejection(&events).expect("a registration is taken or refused")),
        }
    }

    /// One more key for an account, which has signed for itself.
    pub(crate) fn register_live_key(&mut self, account: AccountId, number: u32) -> KeyId {
        let public_key = public_key(number);
        let expires_at = Timestamp::ZERO;
        let registration = RegisterKey { account, public_key, epoch: 1, expires_at, digest_capacity: 1 };
        let key = self.register_key(registration).expect("a new key");
        let activation = self.signed_by(key, account, Operation::ActivateKey);
        self.must(activation);
        key
    }

    /// A request of any key for the next sequence, whose number is its nonce.
    pub(crate) fn signed_by(&self, key: KeyId, account: AccountId, operation: Operation) -> Command {
        Command::Signed(SignedCommand { key, ..self.signed(account, operation) })
    }

    /// A request of the account's first key for the next sequence, whose number is its nonce.
    pub(crate) fn signed(&self, account: AccountId, operation: Operation) -> SignedCommand {
        SignedCommand {
            account,
            key: KeyId(account.0),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: self.engine.sequence().0 + 1 },
            valid_until: Timestamp::ZERO,
            operation,
        }
    }

    /// Sends a request of the account's first key.
    pub(crate) fn send(&mut self, account: AccountId, operation: Operation) -> Vec<Event> {
        let signed = self.signed(account, operation);
        self.apply(Command::Signed(signed))
    }

    /// A frame of the account's first key for the next sequence, whose number is its nonce.
    pub(crate) fn framed(&self, account: AccountId, operations: &[FrameOperation]) -> FrameCommand {
        FrameCommand {
            account,
            key: KeyId(account.0),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: self.engine.sequence().0 + 1 },
            valid_until: Timestamp::ZERO,
            operations: operations.into(),
        }
    }

    /// Sends operations under one signature.
    pub(crate) fn frame(&mut self, account: AccountId, operations: &[FrameOperation]) -> Vec<Event> {
        let frame = self.framed(account, operations);
        self.apply(Command::Frame(frame))
    }

    /// Places an order.
    pub(crate) fn place(&mut self, account: AccountId, order: Draft) -> Vec<Event> {
        self.send(account, Operation::PlaceOrder(order.0))
    }

    /// Places an order that must be taken, and tells its id.
    pub(crate) fn placed(&mut self, account: AccountId, order: Draft) -> OrderId {
        let events = self.place(account, order);
        match events.first() {
            Some(Event::OrderAccepted(accepted)) => accepted.order,
            other => panic!("{order:?} is not accepted: {other:?}"),
        }
    }

    /// Cancels an order of the first market.
    pub(crate) fn cancel(&mut self, account: AccountId, order: OrderId) -> Vec<Event> {
        self.cancel_by(account, OrderReference::OrderId(order))
    }

    /// Cancels an order of the first market by either id.
    pub(crate) fn cancel_by(&mut self, account: AccountId, target: OrderReference) -> Vec<Event> {
        self.send(account, Operation::CancelOrder(CancelOrder { market: BTCUSD, target }))
    }

    /// Takes an order off and places another one, both or neither.
    pub(crate) fn replace(&mut self, account: AccountId, target: OrderId, order: Draft) -> Vec<Event> {
        self.send(account, Operation::ReplaceOrder(replacing(target, order)))
    }

    /// Makes an order of the first market smaller.
    pub(crate) fn amend(&mut self, account: AccountId, order: OrderId, new_quantity: u64) -> Vec<Event> {
        let (target, new_quantity) = (OrderReference::OrderId(order), Lots(new_quantity));
        self.send(account, Operation::AmendOrder(amendment(target, new_quantity)))
    }

    /// Gives an order of the first market another quantity and another price.
    pub(crate) fn reprice(&mut self, account: AccountId, order: OrderId, (quantity, price): (u64, u64)) -> Vec<Event> {
        let (target, new_quantity, new_price) = (OrderReference::OrderId(order), Lots(quantity), Ticks(price));
        let mode = AmendMode::MayLosePriority;
        self.send(account, Operation::AmendOrder(AmendOrder { new_price, mode, ..amendment(target, new_quantity) }))
    }

    /// Asks for a mass cancel.
    pub(crate) fn cancel_all(
        &mut self,
        account: AccountId,
        market: Option<MarketId>,
        side: Option<Side>,
    ) -> Vec<Event> {
        self.send(account, Operation::CancelAll(CancelAll { market, side }))
    }

    /// The entry as the contract has it, if it comes next.
    pub(crate) fn next_entry(&self, entry: ChainEntry) -> ChainEntry {
        let queue_id = self.engine.last_queue_id() + 1;
        ChainEntry { queue_id, prefix: entry.prefix_after(&self.engine.last_queue_prefix()), ..entry }
    }

    /// Takes the entry as the queue's next one; it must be used up.
    pub(crate) fn enter(&mut self, entry: ChainEntry) -> Vec<Event> {
        let entry = self.next_entry(entry);
        let events = self.must(Command::ChainEntry(entry));
        let last = events.last().copied();
        assert_eq!(last, Some(Event::ChainEntryConsumed { queue_id: entry.queue_id, refused: refusal(&events) }));
        events
    }

    /// A deposit of the account's owner on the chain.
    pub(crate) fn deposit(&mut self, account: AccountId, asset: AssetId, amount: u64) -> Vec<Event> {
        self.enter(deposit_entry(account, asset, amount))
    }

    /// A withdrawal that the account's owner asks for on the chain.
    pub(crate) fn withdraw(&mut self, account: AccountId, asset: AssetId, amount: u64) -> Vec<Event> {
        self.enter(withdrawal_entry(account, asset, amount))
    }

    /// A batch of the records behind the last one, up to `last_sequence`.
    pub(crate) fn next_batch(&self, last_sequence: Sequence) -> BatchSealed {
        let (batch_id, sealed) = self.engine.last_batch();
        BatchSealed {
            batch_id: batch_id + 1,
            first_sequence: Sequence(sealed.0 + 1),
            last_sequence,
            new_root: [1; 32],
            data_hash: [2; 32],
        }
    }

    /// What the account has available and held, in atoms.
    pub(crate) fn funds(&self, account: AccountId, asset: AssetId) -> (u64, u64) {
        let balance = self.engine.balance(account, asset).expect("known account and asset");
        (balance.available.0, balance.held.0)
    }
}

/// The owner's address of an account.
pub(crate) fn owner(account: AccountId) -> [u8; 20] {
    [u8::try_from(account.0).expect("tests have few accounts"); 20]
}

/// The public key of a key number.
pub(crate) fn public_key(number: u32) -> [u8; 32] {
    let mut key = [0x11; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    key
}

/// An entry of the queue that nobody has hashed yet.
fn entry(kind: ChainEntryKind, account: AccountId, asset: AssetId, amount: u64) -> ChainEntry {
    let (extra, prefix) = ([0; 32], [0; 32]);
    let time_seconds = 1_700_000_000;
    ChainEntry { queue_id: 0, kind, account, asset, amount: Atoms(amount), extra, time_seconds, prefix }
}

/// A deposit by the account's owner.
pub(crate) fn deposit_entry(account: AccountId, asset: AssetId, amount: u64) -> ChainEntry {
    ChainEntry { extra: padded(owner(account)), ..entry(ChainEntryKind::Deposit, account, asset, amount) }
}

/// The same deposit, of the owner of another account.
pub(crate) fn by_owner_of(account: AccountId, entry: ChainEntry) -> ChainEntry {
    ChainEntry { extra: padded(owner(account)), ..entry }
}

/// A second key of an account, which has signed for itself.
pub(crate) fn register_second_key(venue: &mut Venue, account: AccountId, number: u32) -> KeyId {
    let (public_key, expires_at) = (public_key(number), Timestamp::ZERO);
    let registration = RegisterKey { account, public_key, epoch: 2, expires_at, digest_capacity: 1 };
    let key = venue.register_key(registration).expect("a new key");
    let activation = venue.signed_by(key, account, Operation::ActivateKey);
    venue.must(activation);
    key
}

/// A withdrawal.
pub(crate) fn withdrawal_entry(account: AccountId, asset: AssetId, amount: u64) -> ChainEntry {
    entry(ChainEntryKind::Withdrawal, account, asset, amount)
}

/// A registration of key material `number` that ends at `seconds`.
pub(crate) fn register_entry(account: AccountId, number: u32, seconds: u64) -> ChainEntry {
    ChainEntry { extra: public_key(number), ..entry(ChainEntryKind::RegisterKey, account, AssetId(0), seconds) }
}

/// A revocation of key material `number`.
pub(crate) fn revoke_entry(account: AccountId, number: u32) -> ChainEntry {
    ChainEntry { extra: public_key(number), ..entry(ChainEntryKind::RevokeKey, account, AssetId(0), 0) }
}

/// An address as the queue has it.
pub(crate) fn padded(address: [u8; 20]) -> [u8; 32] {
    let mut extra = [0; 32];
    extra[12..].copy_from_slice(&address);
    extra
}

/// Why a queue entry that was used up came to nothing, if it did.
pub(crate) fn refusal(events: &[Event]) -> Option<RejectCode> {
    match events.last() {
        Some(Event::ChainEntryConsumed { refused, .. }) => *refused,
        other => panic!("no entry was used up: {other:?}"),
    }
}

/// The code with which a command was refused, if it was.
pub(crate) fn rejection(events: &[Event]) -> Option<RejectCode> {
    match events.first() {
        Some(Event::Rejected(rejected)) => Some(rejected.code),
        Some(Event::Duplicate(_)) => Some(RejectCode::Duplicate),
        _ => None,
    }
}

/// A request to take an order off and place another one, both or neither.
pub(crate) fn replacing(target: OrderId, order: Draft) -> ReplaceOrder {
    ReplaceOrder {
        target: OrderReference::OrderId(target),
        restriction: CancelRestriction::None,
        mode: ReplaceMode::StopOnFailure,
        order: order.0,
    }
}

/// Less of an order of the first market.
pub(crate) fn amendment(target: OrderReference, new_quantity: Lots) -> AmendOrder {
    AmendOrder::less(BTCUSD, target, new_quantity)
}
