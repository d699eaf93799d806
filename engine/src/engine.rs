//! The state machine: one `apply` for every record of the journal.
//!
//! `apply` validates completely, then changes; a reject is an event. What it does depends on nothing but the state and
//! the command. One `apply` touches at most [`MAX_TOUCHED_ORDERS`](crate::agenda::MAX_TOUCHED_ORDERS) orders and emits at most
//! [`Engine::MAX_EVENTS`] events; what is left stands in the agenda.

use alloc::vec::Vec;

use crate::accounts::Accounts;
use crate::agenda::{Agenda, MAX_TOUCHED_ORDERS};
use crate::allowance::Footing;
use crate::balances::{Balance, Balances};
use crate::book_view::BookView;
use crate::chain_queue::ChainPosition;
use crate::command::{Command, Epoch, Genesis, MarketState, Mode, SettlementBinding};
use crate::digests::DigestStore;
use crate::emitter::Emitter;
use crate::event::{Event, Rejected};
use crate::event_digest::EventDigest;
use crate::forced_withdrawal::Leaving;
use crate::frame::PendingFrame;
use crate::ids::{AccountId, AssetId, ClientId, KeyId, MarketId, OrderId, Sequence};
use crate::indexed_heap::IndexedHeap;
use crate::market::Market;
use crate::market_spec::{AssetSpec, FeeRates, MarketSpec};
use crate::reject::RejectCode;
use crate::snapshot;
use crate::units::{Atoms, Timestamp};

/// One shard. See the module.
#[derive(Debug)]
pub struct Engine {
    pub(crate) sequence: Sequence,
    pub(crate) now: Timestamp,
    pub(crate) epoch: u32,
    /// The last record that was passed over; see [`crate::quarantine`].
    pub(crate) passed_over: Sequence,
    pub(crate) shard: Option<Shard>,
    pub(crate) event_digest: EventDigest,
}

/// What there is from the genesis on.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) genesis: Genesis,
    pub(crate) role_nonces: [u64; Genesis::ROLES],
    pub(crate) chain: ChainPosition,
    pub(crate) assets: Vec<AssetSpec>,
    pub(crate) markets: Vec<Market>,
    pub(crate) accounts: Accounts,
    pub(crate) balances: Balances,
    pub(crate) digests: DigestStore,
    pub(crate) agenda: Agenda,
    /// Accounts that a forced withdrawal has emptied and no batch covers yet, in ascending order.
    pub(crate) leaving: Vec<Leaving>,
    /// The frame that stands in the agenda, if one does.
    pub(crate) frame: PendingFrame,
    /// Digests that keys have reserved.
    pub(crate) digests_reserved: u32,
    /// Markets with orders that end by themselves, by the first one's end.
    pub(crate) market_deadlines: IndexedHeap,
    /// Accounts with a dead-man timer, by the time at which it fires.
    pub(crate) timers: IndexedHeap,
    /// Markets whose fees will change, by when.
    pub(crate) announced_fees: IndexedHeap,
    /// Accounts whose tier will change, by when.
    pub(crate) announced_tiers: IndexedHeap,
    /// Orders that the current command may still touch; not state.
    pub(crate) work: u32,
}

/// A reject on its way out: the code and what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) code: RejectCode,
    /// The live order that is in the way, or 0.
    pub(crate) order: OrderId,
}

impl From<RejectCode> for Reject {
    fn from(code: RejectCode) -> Self {
        Self { code, order: OrderId(0) }
    }
}

/// Where and at what time a command runs; the same for all that it causes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) sequence: Sequence,
    pub(crate) now: Timestamp,
    pub(crate) genesis_phase: GenesisPhase,
    /// Which operation of the command it is about; 0 where there is only one.
    pub(crate) operation: u64,
    /// With which key it was asked for; 0 for none, and for one that nothing bounds.
    pub(crate) bounded_key: KeyId,
    /// The last record that was passed over.
    pub(crate) passed_over: Sequence,
    /// On what right it was asked for.
    pub(crate) footing: Footing,
}

/// Whether the exchange is still being set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GenesisPhase {
    Open,
    Over,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// The most events that one command causes: four for each order that it may touch (its own two and its account's
    /// two balances), twelve for each operation that a frame may hold.
    pub const MAX_EVENTS: usize = 4_864;

    /// An engine before its first record.
    pub fn new() -> Self {
        Self {
            sequence: Sequence(0),
            now: Timestamp::ZERO,
            epoch: 0,
            passed_over: Sequence(0),
            shard: None,
            event_digest: EventDigest::new(),
        }
    }

    /// Applies the command at `sequence` (the last one + 1) and `timestamp` (not before the last one) and puts what it
    /// causes into `events`, which is emptied first and should have room for [`Self::MAX_EVENTS`].
    ///
    /// # Panics
    /// When the sequence has a gap or time runs backwards: the journal would be wrong.
    pub fn apply(&mut self, sequence: Sequence, timestamp: Timestamp, command: &Command, events: &mut Vec<Event>) {
        assert!(sequence.0 == self.sequence.0 + 1, "the journal has no gaps");
        assert!(timestamp >= self.now, "the journal's time never runs backwards");
        self.sequence = sequence;
        self.now = timestamp;
        let moment = self.moment();
        let Self { epoch, shard, event_digest, .. } = self;
        let mut events = Emitter::new(events, event_digest);
        let outcome = match shard {
            Some(shard) => {
                let outcome = shard.dispatch(moment, epoch, command, &mut events);
                shard.report_balances(&mut events);
                outcome
            }
            None => found(shard, command),
        };
        if let Err(code) = outcome {
            events.push(Event::Rejected(Rejected {
                account: AccountId(0),
                report_sequence: 0,
                code,
                market: None,
                client_id: ClientId::EMPTY,
                order: OrderId(0),
            }));
        }
        let count = events.finish(timestamp);
        assert!(count <= Self::MAX_EVENTS, "one command does bounded work");
    }

    pub(crate) fn moment(&self) -> Moment {
        let genesis_phase = if self.epoch == 0 { GenesisPhase::Open } else { GenesisPhase::Over };
        let &Self { sequence, now, passed_over, .. } = self;
        let (bounded_key, footing) = (KeyId(0), Footing::Own);
        Moment { sequence, now, genesis_phase, operation: 0, bounded_key, passed_over, footing }
    }

    /// The last record applied.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The last record's time.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The number of the last start; 0 before the first.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What the exchange is, once there is a genesis.
    pub fn genesis(&self) -> Option<&Genesis> {
        self.shard.as_ref().map(|shard| &shard.genesis)
    }

    /// Demonstration or real, once there is a genesis.
    pub fn mode(&self) -> Option<Mode> {
        self.genesis().map(|genesis| genesis.mode)
    }

    /// True while only [`Command::Continue`] is taken.
    pub fn agenda_pending(&self) -> bool {
        self.shard.as_ref().is_some_and(|shard| !shard.agenda.is_empty())
    }

    /// When [`Command::AdvanceTime`] is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.shard.as_ref()?.next_deadline()
    }

    /// Markets that a start of the node has closed, each with the next state that the node may set by itself.
    pub fn reopenings(&self) -> impl Iterator<Item = (MarketId, MarketState)> {
        let markets = self.shard.iter().flat_map(|shard| shard.markets.iter());
        markets.filter_map(|market| Some((market.spec.market, market.next_reopening()?)))
    }

    /// BLAKE3 of the canonical snapshot: equal states have equal hashes, on any machine.
    pub fn state_hash(&self) -> [u8; 32] {
        snapshot::hash(self)
    }

    /// The running digest of every event so far: 16 bytes and as many zeroes.
    pub fn event_digest(&self) -> [u8; 32] {
        self.event_digest.current()
    }

    /// The canonical encoding of the whole state.
    pub fn snapshot(&self) -> Vec<u8> {
        snapshot::encode(self)
    }

    /// The engine that a snapshot describes.
    ///
    /// # Errors
    /// When the bytes are no snapshot.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, crate::codec::DecodeError> {
        snapshot::decode(bytes)
    }

    /// An account's balance; `None` where there is no such account or asset.
    pub fn balance(&self, account: AccountId, asset: AssetId) -> Option<Balance> {
        let shard = self.shard.as_ref()?;
        let known = shard.accounts.account(account).is_some() && usize::from(asset.0) < shard.assets.len();
        known.then(|| shard.balances.balance(account, asset))
    }

    /// Deposits minus withdrawals of an asset; the sum of all balances of it is the same.
    pub fn supply(&self, asset: AssetId) -> Option<Atoms> {
        let shard = self.shard.as_ref()?;
        shard.assets.get(usize::from(asset.0))?;
        let totals = shard.balances.totals(asset);
        Some(totals.deposited - totals.withdrawn)
    }

    /// Owners' accounts that there are, the venue's own included; sub-accounts are not counted.
    pub fn account_count(&self) -> usize {
        self.shard.as_ref().map_or(0, |shard| shard.accounts.owners().len())
    }

    /// The numbers of all accounts: the venue's own, the owners', the sub-accounts.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        let accounts = self.shard.iter().map(|shard| &shard.accounts);
        accounts.flat_map(|accounts| (0..).map_while(|place| accounts.at(place).map(|(account, _)| account)))
    }

    /// The account that an account is under; `None` for an owner's account and where there is no such account.
    pub fn parent(&self, account: AccountId) -> Option<AccountId> {
        let parent = self.shard.as_ref()?.accounts.account(account)?.parent;
        (parent != AccountId(0)).then_some(parent)
    }

    /// The rates at which an order of the account in the market would be accepted now.
    pub fn fee_rates(&self, account: AccountId, market: MarketId) -> Option<FeeRates> {
        let shard = self.shard.as_ref()?;
        shard.accounts.account(account)?;
        Some(shard.fee_rates(account, &shard.markets.get(usize::from(market.0))?.fees))
    }

    /// A trading key's bytes.
    pub fn public_key(&self, key: KeyId) -> Option<[u8; 32]> {
        self.shard.as_ref()?.accounts.key(key).map(|key| key.public_key)
    }

    /// A role's last used nonce.
    pub fn role_nonce(&self, role: u8) -> Option<u64> {
        self.shard.as_ref()?.role_nonces.get(usize::from(role)).copied()
    }

    /// The last entry of the settlement contract's queue that was used up; 0 before the first.
    pub fn last_queue_id(&self) -> u64 {
        self.shard.as_ref().map_or(0, |shard| shard.chain.last_queue_id)
    }

    /// The contract's hash of that entry and all before it, the queue's origin before the first; zeroes where the
    /// exchange has no chain.
    pub fn last_queue_prefix(&self) -> [u8; 32] {
        self.shard.as_ref().map_or([0; 32], |shard| shard.chain.last_queue_prefix)
    }

    /// The number of the last settlement batch that was sealed and its last record; zeroes before the first.
    pub fn last_batch(&self) -> (u64, Sequence) {
        let chain = self.shard.as_ref().map(|shard| &shard.chain);
        chain.map_or((0, Sequence(0)), |chain| (chain.last_batch_id, chain.last_sealed))
    }

    /// The contract that the exchange is bound to; `None` before the genesis and where there is no chain.
    pub fn settlement(&self) -> Option<SettlementBinding> {
        self.genesis().map(|genesis| genesis.settlement).filter(|settlement| !settlement.is_none())
    }

    /// The assets, by number.
    pub fn assets(&self) -> &[AssetSpec] {
        self.shard.as_ref().map_or(&[], |shard| &shard.assets)
    }

    /// The markets' specifications, by number.
    pub fn market_specs(&self) -> impl Iterator<Item = &MarketSpec> {
        self.shard.iter().flat_map(|shard| shard.markets.iter().map(|market| &market.spec))
    }

    /// A look at a market's book.
    pub fn book(&self, market: MarketId) -> Option<BookView<'_>> {
        self.shard.as_ref()?.markets.get(usize::from(market.0)).map(BookView::new)
    }
}

/// Takes the first command, which says what the exchange is.
#[cold]
fn found(shard: &mut Option<Shard>, command: &Command) -> Result<(), RejectCode> {
    let Command::Genesis(genesis) = command else { return Err(RejectCode::NotConfigured) };
    *shard = Some(Shard::new(genesis)?);
    Ok(())
}

impl Shard {
    /// Hands the command to whoever carries it out, out of line, so that what is rare costs the rest nothing. A reject from
    /// here has used up no digest and no nonce.
    #[inline(always)]
    fn dispatch(
        &mut self,
        moment: Moment,
        epoch: &mut u32,
        command: &Command,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        self.balances.begin(moment.sequence);
        self.work = MAX_TOUCHED_ORDERS;
        if !self.agenda.is_empty() && !matches!(command, Command::Continue) {
            return Err(RejectCode::AgendaPending);
        }
        // By itself, since nearly all are.
        if let Command::Signed(signed) = command {
            return self.trade(moment, signed, events);
        }
        self.dispatch_unusual(Moment { ..moment }, epoch, command, events)
    }

    #[inline(never)]
    fn dispatch_unusual(
        &mut self,
        moment: Moment,
        epoch: &mut u32,
        command: &Command,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        match command {
            Command::Signed(_) => unreachable!("the caller carries these out"),
            Command::Frame(frame) => self.take_frame(moment, frame, events),
            Command::Continue => self.continue_agenda(moment, events),
            Command::AdvanceTime => {
                self.advance_time(moment.sequence, moment.now, events);
                Ok(())
            }
            Command::SessionEnded { account } => self.session_ended(moment.sequence, *account, events),
            Command::ChainEntry(entry) => self.chain_entry(moment.sequence, entry, events),
            Command::BatchSealed(batch) => self.seal_batch(moment, batch, events),
            Command::Admin(admin) => self.administer(moment, admin, events),
            Command::Deposit(deposit) => self.deposit(moment, deposit, events),
            Command::Epoch(started) => self.start_epoch(moment, epoch, started, events),
            Command::Genesis(_) => Err(RejectCode::GenesisOver),
        }
    }

    #[inline(never)]
    fn start_epoch(
        &mut self,
        moment: Moment,
        epoch: &mut u32,
        started: &Epoch,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        if started.epoch != *epoch + 1 {
            return Err(RejectCode::WrongEpoch);
        }
        *epoch = started.epoch;
        events.push(Event::EpochStarted { epoch: started.epoch });
        self.close_for_restart(started.epoch, events);
        self.cancel_disconnected(moment.sequence, 1, events);
        Ok(())
    }

    /// An empty shard within the genesis' bounds.
    pub(crate) fn new(genesis: &Genesis) -> Result<Self, RejectCode> {
        let capacities = &genesis.capacities;
        let in_range = (2..=1 << 24).contains(&capacities.accounts)
            && (2..=64).contains(&capacities.assets)
            && (1..=1_024).contains(&capacities.markets)
            && (1..=1 << 24).contains(&capacities.keys)
            && (1..=1 << 26).contains(&capacities.digests)
            && (1..=1 << 20).contains(&capacities.agenda)
            && (1..=capacities.digests).contains(&capacities.digests_per_key);
        // Whoever signs for this venue tag must mean the contract that pays.
        let bound = genesis.settlement.is_none() || genesis.venue_tag == genesis.settlement.venue_tag();
        let least_notice = if genesis.mode == Mode::Run { Genesis::MIN_FEE_NOTICE_S } else { 0 };
        let notice = (least_notice..=Genesis::MAX_FEE_NOTICE_S).contains(&genesis.fee_notice_s);
        // Two roles of one key would be one operator's two signatures.
        let keys = genesis.role_keys;
        let named = |index: usize| keys[index] != [0; 32];
        let parts = (1..=Genesis::MAX_SHARE_PARTS).contains(&genesis.share_parts);
        let distinct = (0..keys.len()).all(|index| !named(index) || !keys[..index].contains(&keys[index]));
        if !in_range || !bound || !notice || !parts || !distinct {
            return Err(RejectCode::BadSpecification);
        }
        Ok(Self {
            genesis: *genesis,
            role_nonces: [0; Genesis::ROLES],
            chain: ChainPosition::start(genesis.settlement),
            assets: Vec::with_capacity(usize::from(capacities.assets)),
            markets: Vec::with_capacity(usize::from(capacities.markets)),
            accounts: Accounts::new(genesis),
            balances: Balances::new(capacities.accounts, capacities.assets, Engine::MAX_EVENTS),
            digests: DigestStore::new(capacities.digests, genesis.hash_seed),
            agenda: Agenda::new(capacities.agenda),
            leaving: Vec::with_capacity(capacities.accounts as usize),
            frame: PendingFrame::new(),
            digests_reserved: 0,
            market_deadlines: IndexedHeap::new(u32::from(capacities.markets)),
            timers: IndexedHeap::new(capacities.accounts),
            announced_fees: IndexedHeap::new(u32::from(capacities.markets)),
            announced_tiers: IndexedHeap::new(capacities.accounts),
            work: 0,
        })
    }

    /// Tells the balances that the command changed, as they are now, each once. Comes when no more of them change.
    #[inline]
    pub(crate) fn report_balances(&mut self, events: &mut Emitter<'_>) {
        for (account, asset, Balance { available, held }) in self.balances.touched() {
            events.push(Event::BalanceChanged { account, asset, available, held });
        }
        self.balances.forget_touched();
    }
}
